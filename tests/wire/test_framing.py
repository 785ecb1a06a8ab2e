"""Messages of server-sent events and of lines, cut anywhere; the standard's own examples."""

import pytest

from tandembench.wire.framing import Lines, ServerSentEvents

# WHATWG, HTML, 9.2.6: what each example dispatches. What a body ends with counts here even
# without a blank line; all else is the standard's.
STANDARD = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(b"YHOO\n+2\n10", b"")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
        b"data:  third event\n",
        [(b"first event", b""), (b"second event", b""), (b" third event", b"")],
    ),
    (b"data\n\ndata\ndata\n\n", [(b"", b""), (b"\n", b"")]),
    (b"data:test\n\ndata: test\n\n", [(b"test", b"")] * 2),
    (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        [(b"73857293", b"add"), (b"2153", b"remove")],
    ),
]
MORE = [
    # an event without data is not dispatched, and its name is not the next one's
    (b"event: error\n\ndata: a\n\n", [(b"a", b"")]),
    (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"a", b"")]),  # one mark, at the begin
    (b"retry: 10\nfoo: x\nfoo\n:\ndata: a\n\n", [(b"a", b"")]),
    (b"data: a: b\n\n", [(b"a: b", b"")]),
    (b'error: {"code":1}\n\n', [(b'{"code":1}', b"error")]),  # older llama-servers
    (b"data: [DONE]\n", [(b"[DONE]", b"")]),
    (b"data: [DONE]\n\ndata: [DONE]\n\n", [(b"[DONE]", b"")] * 2),
]


@pytest.mark.parametrize(("text", "messages"), STANDARD + MORE)
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_events_are_those_of_the_standard(
    text: bytes, messages: list[tuple[bytes, bytes]], end: bytes, step: int
) -> None:
    text, framing = text.replace(b"\n", end), ServerSentEvents()
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    made = [one for read, piece in enumerate(pieces) for one in framing.feed(piece, read)]
    made += framing.close(len(pieces))
    assert [(one.data, one.name) for one in made] == messages
    assert framing.waiting == 0


def test_an_event_came_when_its_data_was_whole_and_the_end_needs_no_blank_line() -> None:
    framing = ServerSentEvents()
    pieces = [b"data: a", b"b\n", b"\n", b"data: c\n\ndata", b": [DONE]\n"]
    made = [one for read, piece in enumerate(pieces) for one in framing.feed(piece, read)]
    assert [(one.data, one.read) for one in made] == [(b"ab", 1), (b"c", 3), (b"[DONE]", 4)]


@pytest.mark.parametrize("step", [1, 4, 1000])
def test_lines_end_as_they_like(step: int) -> None:
    text, framing = b"\xef\xbb\xbf{}\r\n\r\n\n[1]\n \n2", Lines()
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    made = [one for piece in pieces for one in framing.feed(piece, 0)] + [*framing.close(0)]
    assert [one.data for one in made] == [b"{}", b"[1]", b"2"]


def test_lines_of_an_event_that_never_ends_count_as_waiting() -> None:
    """They are held in memory, however short each of them is."""
    framing = ServerSentEvents()
    for read in range(100):
        assert not list(framing.feed(b"data: 0123456789\n", read))
    assert framing.waiting == 1000
    assert len(list(framing.feed(b"\n", 100))) == 1
    assert framing.waiting == 0
