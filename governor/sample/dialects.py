"""The shapes of the sample's answers: tools, OpenAI chat completions, Anthropic messages.

*Rule of this file*: pure functions from words to JSON values; enough of each
wire format for the official SDKs, plain and streaming, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

MODEL = "sample-1"
TEXT = "Governor holds the line, so that every caller is served in its turn."
WORDS = TEXT.split()

Json = dict[str, Any]


def tool_result(tool: str, subject: str) -> Json | None:
    """Return what a tool answers about ``subject``; None for a tool that does not exist."""
    if tool == "search":
        hits = [
            {"title": f"{subject}: result {n}", "url": f"/tools/fetch?q={n}"} for n in (1, 2, 3)
        ]
        return {"tool": tool, "query": subject, "results": hits}
    if tool == "fetch":
        return {"tool": tool, "document": subject, "text": TEXT}
    if tool == "weather":
        return {"tool": tool, "place": subject, "celsius": 10 + len(subject) % 20}
    return None


def chat_completion(number: int) -> Json:
    """Return a whole answer as OpenAI's ``chat.completion``."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": TEXT, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 8, "completion_tokens": len(WORDS), "total_tokens": 8 + len(WORDS)}
    return _chat(number, "chat.completion") | {"choices": [choice], "usage": usage}


def chat_chunks(number: int) -> Iterator[bytes]:
    """Yield the same answer as OpenAI's event stream, a word at a time."""
    deltas: list[tuple[Json, str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in _pieces()]
    deltas.append(({}, "stop"))
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield event(_chat(number, "chat.completion.chunk") | {"choices": [choice]})
    yield b"data: [DONE]\n\n"


def message(number: int) -> Json:
    """Return a whole answer as Anthropic's ``message``."""
    return _message(number) | {
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 8, "output_tokens": len(WORDS)},
    }


def message_events(number: int) -> Iterator[bytes]:
    """Yield the same answer as Anthropic's event stream, a word at a time."""
    block = {"type": "text", "text": ""}
    events: Iterable[Json] = (
        {"type": "message_start", "message": _message(number)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": piece},
            }
            for piece in _pieces()
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": len(WORDS)},
        },
        {"type": "message_stop"},
    )
    for value in events:
        yield event(value, value["type"])


def event(value: Json, name: str = "") -> bytes:
    """Return one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def _pieces() -> Iterator[str]:
    """Yield the text a word at a time; joined they are the text."""
    yield WORDS[0]
    for word in WORDS[1:]:
        yield f" {word}"


def _chat(number: int, kind: str) -> Json:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 0, "model": MODEL}


def _message(number: int) -> Json:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 8, "output_tokens": 1},
    }
