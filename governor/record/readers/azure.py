"""Azure's LLM inference traces (2023, 2024): TIMESTAMP, ContextTokens, GeneratedTokens.

*Rule of this file*: reading only. There is no latency and nobody is named: holding times
are estimated from the tokens, and every call is a caller of its own.

*Source*: Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from governor.record.readers import base
from governor.record.readers.base import BadLine, Problems, Row


def parse_time_s(text: str) -> float:
    """Return Unix seconds; seven digits of a fraction are cut to six.

    Examples
    --------
    >>> parse_time_s("1970-01-01 00:00:01.5000000")
    1.5
    """
    whole, _, fraction = text.strip().removesuffix("+00:00").partition(".")
    try:
        at = datetime.fromisoformat(whole).replace(tzinfo=UTC)
        return at.timestamp() + float(f"0.{fraction or 0}")
    except ValueError:
        raise BadLine("TIMESTAMP", "must be as 2023-11-16 18:15:46.6805900") from None


def read(path: Path, problems: Problems) -> Iterator[Row]:
    """Yield the calls of a file."""
    return base.rows_of(base.table_of(path, problems), problems, _read_line)


def _read_line(values: dict[str, str]) -> Row:
    n_tokens = base.number(values.get("GeneratedTokens"), "GeneratedTokens")
    return Row(parse_time_s(values.get("TIMESTAMP") or ""), base.seconds_of_tokens(n_tokens))
