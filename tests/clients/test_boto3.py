"""boto3, unmodified, against moto's server and against a server that checks every signature."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import boto3
import httpx
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.conftest import Site
from tests.support.aws_servers import ACCESS_KEY, REGION, SECRET_KEY, MotoServer, SignatureServer

pytestmark = pytest.mark.clients

PART_BYTES = 5 * 1024 * 1024
FRAMING = {"connection", "transfer-encoding"}
RANDOM_PER_CALL = {"RequestId", "HostId", "HTTPHeaders", "LastModified", "UploadId", "date"}
ODD_KEY = "a folder/+plus & ünïcode?#%41 (1)~.txt"


def connect(base: str, service: str, **config: Any) -> Any:
    """A client as a user makes it, apart from the address."""
    return boto3.client(
        service,
        endpoint_url=base,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


def settled(value: Any) -> Any:
    """`value` without what a service draws anew for each call, and with bodies read."""
    if isinstance(value, dict):
        kept = {key: settled(v) for key, v in value.items() if key not in RANDOM_PER_CALL}
        if "HTTPHeaders" in value:
            kept["headers"] = {
                name: content
                for name, content in value["HTTPHeaders"].items()
                if "date" not in name
                and "request" not in name
                and name not in FRAMING
                and "last-modified" not in name
            }
        return kept
    if isinstance(value, list | tuple):
        return [settled(item) for item in value]
    return value.read() if hasattr(value, "read") else value


def check(site: Site[Any], service: str, work: Callable[[Any, str], Any]) -> Any:
    """Run `work(client, name)` directly and governed, each on a name of its own."""
    results = []
    for base in (site.direct, site.governed):
        client = connect(base, service)
        try:
            results.append(settled(work(client, "shared-name")))
        finally:
            client.close()
    assert results[1] == results[0]
    return results[0]


def emptied(s3: Any, bucket: str) -> None:
    """Delete the bucket and all in it, so that both runs start from the same state."""
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)


def failure(work: Callable[[], Any]) -> Any:
    """What a ClientError tells its caller."""
    with pytest.raises(ClientError) as caught:
        work()
    return str(caught.value), caught.value.response


def test_objects(moto: Site[MotoServer]) -> None:
    """Put, get, ranges, head, list, metadata, odd keys, errors and delete are equal."""

    def work(s3: Any, bucket: str) -> Any:
        results = [s3.create_bucket(Bucket=bucket)]
        body = bytes(range(256)) * 4096
        results.append(
            s3.put_object(
                Bucket=bucket, Key=ODD_KEY, Body=body, ContentType="x/y", Metadata={"a": "B c"}
            )
        )
        results.append(s3.put_object(Bucket=bucket, Key="empty", Body=b""))
        results.append(s3.get_object(Bucket=bucket, Key=ODD_KEY))
        results[-1]["Body"] = results[-1]["Body"].read()
        part = s3.get_object(Bucket=bucket, Key=ODD_KEY, Range="bytes=10-99")
        results.append((part["Body"].read(), part["ContentRange"]))
        results.append(s3.head_object(Bucket=bucket, Key=ODD_KEY))
        results.append(s3.list_objects_v2(Bucket=bucket, Prefix="a folder/"))
        results.append(failure(lambda: s3.get_object(Bucket=bucket, Key="none")))
        results.append(failure(lambda: s3.head_object(Bucket=bucket, Key="none")))
        results.append(s3.delete_object(Bucket=bucket, Key="empty"))
        emptied(s3, bucket)
        return results

    results = check(moto, "s3", work)
    assert results[3]["Body"] == bytes(range(256)) * 4096
    assert results[8][1]["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_multipart_upload(moto: Site[MotoServer]) -> None:
    """The transfer manager's threads upload 11 MiB in parts and download them again."""
    content = hashlib.sha256(b"part").digest() * (11 * 1024 * 1024 // 32)
    transfer = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)

    def work(s3: Any, bucket: str) -> Any:
        s3.create_bucket(Bucket=bucket)
        s3.upload_fileobj(BytesIO(content), bucket, "large", Config=transfer)
        head = s3.head_object(Bucket=bucket, Key="large")
        sink = BytesIO()
        s3.download_fileobj(bucket, "large", sink, Config=transfer)
        emptied(s3, bucket)
        return head, hashlib.sha256(sink.getvalue()).hexdigest()

    head, digest = check(moto, "s3", work)
    assert head["ETag"].endswith('-3"')
    assert digest == hashlib.sha256(content).hexdigest()


def test_dynamodb(moto: Site[MotoServer]) -> None:
    """A table's life: create, put, get, query, conditional failure, delete."""

    def work(db: Any, table: str) -> Any:
        created = db.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        item = {"id": {"S": "ü"}, "n": {"N": "42"}, "b": {"B": bytes(range(256))}}
        results = [created["TableDescription"]["TableName"]]
        results.append(db.put_item(TableName=table, Item=item))
        results.append(db.get_item(TableName=table, Key={"id": {"S": "ü"}}))
        results.append(
            failure(
                lambda: db.put_item(
                    TableName=table, Item=item, ConditionExpression="attribute_not_exists(id)"
                )
            )
        )
        results.append(db.scan(TableName=table)["Items"])
        db.delete_table(TableName=table)
        return results

    results = check(moto, "dynamodb", work)
    assert results[2]["Item"]["b"]["B"] == bytes(range(256))
    assert "ConditionalCheckFailed" in results[3][0]


SIGNED_CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda s3: s3.get_object(Bucket="b", Key=ODD_KEY),
    "range": lambda s3: s3.get_object(Bucket="b", Key="k", Range="bytes=0-9"),
    "head": lambda s3: s3.head_object(Bucket="b", Key="k"),
    "put": lambda s3: s3.put_object(Bucket="b", Key=ODD_KEY, Body=b"x" * 100_000),
    "metadata": lambda s3: s3.put_object(Bucket="b", Key="k", Body=b"", Metadata={"M": " a  b "}),
    "delete": lambda s3: s3.delete_object(Bucket="b", Key="k//../k", VersionId="a+b/c=="),
}


@pytest.mark.parametrize("name", SIGNED_CALLS)
def test_signatures_stay_valid(signature: Site[SignatureServer], name: str) -> None:
    """The signature computed again over what arrived, Host included, is the one that was sent."""
    for base in (signature.direct, signature.governed):
        s3 = connect(base, "s3")
        SIGNED_CALLS[name](s3)
        s3.close()
        (verdict,) = signature.server.take()
        assert verdict.is_valid
        assert "host" in verdict.signed_headers.split(";")
        assert verdict.host == base.removeprefix("http://")


def test_put_waits_for_100_continue(signature: Site[SignatureServer]) -> None:
    """The Expect: 100-continue of botocore reaches the server and its 100 comes back, both ways."""
    for base in (signature.direct, signature.governed):
        s3 = connect(base, "s3")
        s3.put_object(Bucket="b", Key="k", Body=BytesIO(b"y" * 300_000))
        s3.close()
        (verdict,) = signature.server.take()
        assert verdict.is_valid
        assert verdict.was_continued
        assert len(verdict.body) == 300_000


def test_other_services_signatures(signature: Site[SignatureServer]) -> None:
    """A JSON service's signature, with its own canonical form, stays valid too."""
    for base in (signature.direct, signature.governed):
        db = connect(base, "dynamodb", user_agent_extra="x" * 200)
        db.get_item(TableName="t", Key={"id": {"S": "1"}})
        db.close()
        (verdict,) = signature.server.take()
        assert verdict.is_valid


def test_presigned_url(signature: Site[SignatureServer]) -> None:
    """A presigned URL used by another client is valid as signed, Host and query untouched."""
    for base in (signature.direct, signature.governed):
        s3 = connect(base, "s3", signature_version="s3v4")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": ODD_KEY})
        s3.close()
        assert httpx.get(url).status_code == 200
        (verdict,) = signature.server.take()
        assert verdict.is_valid


def test_a_tampered_request_is_refused(signature: Site[SignatureServer]) -> None:
    """The checking server does refuse: a signature for another host gives 403."""
    s3 = connect("http://127.0.0.1:9", "s3", signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    s3.close()
    for base in (signature.direct, signature.governed):
        assert httpx.get(url.replace("http://127.0.0.1:9", base)).status_code == 403
