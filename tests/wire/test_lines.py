"""Lines of NDJSON and of server-sent events; no server."""

import pytest

from tandembench.wire.lines import event_data, json_object


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b"data: {}", "{}"),
        (b"data:{}\r", "{}"),
        (b"data: [DONE]", "[DONE]"),
        (b"data: a: b", "a: b"),
        (b"data:", ""),
        ("data: f\u00fcr".encode(), "f\u00fcr"),
        (b'error: {"code":500}', '{"error": {"code":500}}'),
    ],
)
def test_an_event_carries_data(line: bytes, data: str) -> None:
    assert event_data(line) == data


@pytest.mark.parametrize(
    "silent", [b"", b"\r", b"  ", b": ping", b":", b"event: chunk", b"id: 7", b"retry: 10"]
)
def test_other_lines_carry_nothing(silent: bytes) -> None:
    assert event_data(silent) is None


@pytest.mark.parametrize("line", [b"{}", b"<html>", b"SSH-2.0-x", b"dat: {}", b"data: \xff"])
def test_what_is_no_line_of_events_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kinds are the client's matter
        event_data(line)


def test_json_is_an_object_or_a_value_error() -> None:
    assert json_object('{"a": [1]}') == {"a": [1]}
    for text in ("", "[1]", '"a"', "1", "null", "{", "{} {}"):
        with pytest.raises(ValueError):  # noqa: PT011
            json_object(text)
