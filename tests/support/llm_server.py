"""A sample LLM API on aiohttp that speaks the wire of OpenAI and of Anthropic.

The model's name chooses the behaviour, so that an SDK needs no other hook:
`plain`; `refuse-400` ...: always that status; `fail-429-2`: that status until the SDK's own
retry count reaches 2; `steps:NAME`: a stream that waits for `release(NAME)` before each event after
the first; `hang:NAME`: no answer until the caller leaves or the test calls `let_go(NAME)`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.support.loops import LoopThread, wait_until

WORDS = ["Coordination ", "is ", "not ", "free", ".", " café ", "日本"]
Event = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """One request as the API saw it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class LlmServer:
    """The API on a loopback port. `take` hands out the calls since the last `take`."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._steps: dict[str, asyncio.Semaphore] = {}
        self._hanging: dict[str, list[asyncio.Event]] = {}
        self.left: set[str] = set()
        self._thread = LoopThread("llm")
        self._thread.run(self._start())

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{name}/content", self._content)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop the server."""
        self._thread.run(self._runner.cleanup())
        self._thread.close()

    def take(self) -> list[Call]:
        """The calls since the last `take`, oldest first."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls

    def release(self, name: str) -> None:
        """Let the stream `name` send one more event. From any thread."""
        self._thread.loop.call_soon_threadsafe(lambda: self._step(name).release())

    def let_go(self, name: str) -> None:
        """Answer the calls that hang as `hang:NAME` now, whether or not their callers are there."""
        self._thread.loop.call_soon_threadsafe(self._let_go, f"hang:{name}")

    def _let_go(self, model: str) -> None:
        for call in self._hanging.pop(model, []):
            call.set()

    def wait_until_hanging(self, name: str) -> None:
        """Wait until a call of `name` hangs here: only such can be let go."""
        wait_until(lambda: f"hang:{name}" in self._hanging, what=f"a hanging call of {name!r}")

    def wait_until_left(self, name: str) -> None:
        """Wait until the caller of `name` was seen to leave."""
        wait_until(lambda: name in self.left, what=f"the caller of {name!r} leaving")

    def _step(self, name: str) -> asyncio.Semaphore:
        return self._steps.setdefault(name, asyncio.Semaphore(0))

    async def _read(self, request: web.Request) -> bytes:
        body = await request.read()
        self._note(request, body)
        return body

    def _note(self, request: web.Request, body: bytes) -> None:
        fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.raw_headers]
        with self._lock:
            self._calls.append(Call(request.method, request.path_qs, fields, body))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await self._read(request))
        if (refusal := _refusal(request, asked["model"], _openai_error)) is not None:
            return refusal
        await self._hang(asked["model"])
        if asked.get("stream"):
            return await self._stream(request, asked["model"], _openai_events())
        return _json(_completion(asked), {"x-request-id": "req_chat", "openai-version": "1"})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await self._read(request))
        if (refusal := _refusal(request, asked["model"], _anthropic_error)) is not None:
            return refusal
        await self._hang(asked["model"])
        if asked.get("stream"):
            return await self._stream(request, asked["model"], _anthropic_events(asked["model"]))
        headers = {
            "request-id": "req_msg",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-organization-id": "org",
        }
        return _json(_message(asked["model"]), headers)

    async def _stream(
        self, request: web.Request, model: str, events: list[Event]
    ) -> web.StreamResponse:
        name = model.partition("steps:")[2]
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8", "request-id": "req_s"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            for number, (kind, data) in enumerate(events):
                if name and number:
                    await self._step(name).acquire()
                prefix = f"event: {kind}\n" if kind else ""
                text = data.get("raw") or json.dumps(data, ensure_ascii=False)
                await response.write(f"{prefix}data: {text}\n\n".encode())
            await response.write_eof()
        except (asyncio.CancelledError, ConnectionError):
            self.left.add(name)
            raise
        return response

    async def _hang(self, model: str) -> None:
        if model.startswith("hang:"):
            call = asyncio.Event()
            self._hanging.setdefault(model, []).append(call)
            await call.wait()

    async def _embeddings(self, request: web.Request) -> web.Response:
        asked = json.loads(await self._read(request))
        data = [
            {"object": "embedding", "index": idx, "embedding": "AACAPwAAAEAAAEBA"}
            for idx, _ in enumerate(asked["input"])
        ]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return _json({"object": "list", "data": data, "model": asked["model"], "usage": usage})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        sent = form["file"]
        assert isinstance(sent, web.FileField)
        content = sent.file.read()
        self._note(request, content)
        return _json(
            {
                "id": hashlib.sha256(content).hexdigest(),
                "object": "file",
                "bytes": len(content),
                "created_at": 1,
                "filename": sent.filename,
                "purpose": form["purpose"],
                "status": "processed",
            }
        )

    async def _content(self, request: web.Request) -> web.Response:
        await self._read(request)
        return web.Response(body=bytes(range(256)) * 1024)

    async def _models(self, request: web.Request) -> web.Response:
        await self._read(request)
        model = {"id": "plain", "object": "model", "created": 1, "owned_by": "sample"}
        return _json({"object": "list", "data": [model]})

    async def _count(self, request: web.Request) -> web.Response:
        await self._read(request)
        return _json({"input_tokens": 7})


def _json(body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, headers=headers)


def _refusal(request: web.Request, model: str, error: Any) -> web.Response | None:
    word, _, rest = model.partition("-")
    status, _, retries = rest.partition("-")
    if word == "fail":
        if int(request.headers.get("x-stainless-retry-count", "0")) >= int(retries):
            return None
        headers = {"retry-after-ms": "5", "retry-after": "1", "x-ratelimit-remaining-requests": "0"}
    elif word == "refuse":
        headers = {"x-request-id": "req_refused", "request-id": "req_refused"}
    else:
        return None
    return web.json_response(error(int(status)), status=int(status), headers=headers)


def _openai_error(status: int) -> dict[str, Any]:
    return {
        "error": {
            "message": f"refused with {status}",
            "type": "invalid_request_error",
            "param": "model",
            "code": f"code_{status}",
        }
    }


def _anthropic_error(status: int) -> dict[str, Any]:
    kind = "overloaded_error" if status == 529 else "invalid_request_error"
    return {"type": "error", "error": {"type": kind, "message": f"refused with {status}"}}


def _completion(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "".join(WORDS)},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": len(WORDS), "total_tokens": 8},
    }


def _openai_events() -> list[Event]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return "", {
            "id": "chatcmpl-2",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "plain",
            "choices": [choice],
        }

    words = [chunk({"content": word}) for word in WORDS]
    return [chunk({"role": "assistant"}), *words, chunk({}, "stop"), ("", {"raw": "[DONE]"})]


def _message(model: str, text: str | None = None) -> dict[str, Any]:
    content = [{"type": "text", "text": "".join(WORDS)}] if text is None else []
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "end_turn" if text is None else None,
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": len(WORDS)},
    }


def _anthropic_events(model: str) -> list[Event]:
    def typed(kind: str, **data: Any) -> Event:
        return kind, {"type": kind, **data}

    deltas = [
        typed("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        for word in WORDS
    ]
    block = {"type": "text", "text": ""}
    return [
        typed("message_start", message=_message(model, "")),
        typed("content_block_start", index=0, content_block=block),
        typed("ping"),
        *deltas,
        typed("ping"),
        typed("content_block_stop", index=0),
        typed(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": len(WORDS)},
        ),
        typed("message_stop"),
    ]
