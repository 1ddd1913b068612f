"""The shapes of the sample's answers."""

from __future__ import annotations

import json

from governor.sample import dialects


def data_of(events: list[bytes]) -> list[dict[str, object]]:
    """Return the JSON of each event, without the end mark."""
    lines = b"".join(events).decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_the_openai_stream_is_the_whole_answer_in_pieces() -> None:
    """The deltas joined are the text of the plain answer, and [DONE] ends them."""
    events = list(dialects.chat_chunks(1))
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in data_of(events)]  # type: ignore[index]
    whole = dialects.chat_completion(1)
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert events[-1] == b"data: [DONE]\n\n"


def test_the_anthropic_stream_is_the_whole_answer_in_pieces() -> None:
    """The text deltas joined are the text of the plain answer; every event says its name."""
    events = list(dialects.message_events(1))
    pieces = [
        value["delta"]["text"]  # type: ignore[index]
        for value in data_of(events)
        if value["type"] == "content_block_delta"
    ]
    assert "".join(pieces) == dialects.message(1)["content"][0]["text"]
    assert all(event.startswith(b"event: ") for event in events)


def test_tools_answer_about_their_subject() -> None:
    """Known tools answer, unknown ones do not."""
    for tool in ("search", "fetch", "weather"):
        assert "x" in json.dumps(dialects.tool_result(tool, "x"))
    assert dialects.tool_result("nothing", "x") is None
