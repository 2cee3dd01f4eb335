"""The event stream format, line by line."""

from __future__ import annotations

import pytest

from ruapi.dialects.sse import DONE, SSEDecoder, SSEFrame, SSEFrameTooLong, encode_comment, encode_frame


def decode(data: bytes) -> list[SSEFrame]:
    decoder = SSEDecoder()
    return decoder.feed(data) + decoder.finish()


def feed_in_pieces(decoder: SSEDecoder, data: bytes, size: int) -> list[SSEFrame]:
    return [frame for at in range(0, len(data), size) for frame in decoder.feed(data[at : at + size])]


@pytest.mark.parametrize(
    ("wire", "frames"),
    [
        (b"data: a\n\n", [SSEFrame(b"a")]),
        (b"data:a\n\n", [SSEFrame(b"a")]),
        (b"data:  a\n\n", [SSEFrame(b" a")]),
        (b"event: ping\ndata: {}\n\n", [SSEFrame(b"{}", "ping")]),
        (b"event:ping\ndata:{}\n\n", [SSEFrame(b"{}", "ping")]),
        (b"data: {}\nevent: ping\n\n", [SSEFrame(b"{}", "ping")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [SSEFrame(b"a"), SSEFrame(b"b")]),
        (b"data: a\r\rdata: b\r\r", [SSEFrame(b"a"), SSEFrame(b"b")]),
        (b"data: a\r\n\ndata: b\n\r\n", [SSEFrame(b"a"), SSEFrame(b"b")]),
        (b"data: a\ndata: b\n\n", [SSEFrame(b"a\nb")]),
        (b"data\n\n", [SSEFrame(b"")]),
        (b"data:\ndata\n\n", [SSEFrame(b"\n")]),
        (b": hello\n\n: there\ndata: a\n\n", [SSEFrame(b"a")]),
        (b"event: alone\n\ndata: a\n\n", [SSEFrame(b"a")]),
        (b"\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [SSEFrame(b"a"), SSEFrame(b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [SSEFrame(b"a")]),
        (b"data: \xef\xbb\xbf\n\n", [SSEFrame(b"\xef\xbb\xbf")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [SSEFrame(b"a", id="7"), SSEFrame(b"b", id="7")]),
        (b"id: 7\n\ndata: b\n\nid\ndata: c\n\n", [SSEFrame(b"b", id="7"), SSEFrame(b"c")]),
        (b"id: 1\x002\ndata: a\n\n", [SSEFrame(b"a")]),
        (b"retry: 5\nother: x\ndata: a\n\n", [SSEFrame(b"a")]),
        (b"databass: x\n\n", []),
        (b" data: x\n\n", []),
        (b"event: \xff\ndata: a\n\n", [SSEFrame(b"a", "\ufffd")]),
        (b"data: a: b\n\n", [SSEFrame(b"a: b")]),
        (b"", []),
    ],
)
def test_a_stream_decodes_to_its_frames(wire: bytes, frames: list[SSEFrame]):
    assert decode(wire) == frames


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_the_end_of_the_stream_ends_the_last_frame(end: bytes):
    assert decode(b"data: a\n\ndata: [DONE]" + end) == [SSEFrame(b"a"), SSEFrame(b"[DONE]")]


def test_a_carriage_return_and_a_line_feed_in_two_reads_are_one_line_end():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\ndata: b\r\n\r") == [SSEFrame(b"a\nb")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: c\n\n") == [SSEFrame(b"c")]


def test_a_frame_may_be_as_long_as_the_limit_and_no_longer():
    line = b"data: " + b"x" * 94
    for split in (1, 7, 100, 101, 1000):
        decoder = SSEDecoder(frame_bytes_max=100)
        assert feed_in_pieces(decoder, line + b"\n\n", split) == [SSEFrame(b"x" * 94)]
        with pytest.raises(SSEFrameTooLong, match="100 bytes"):
            feed_in_pieces(decoder, line + b"x" + line, split)


def test_many_short_frames_in_one_read_are_not_one_long_frame():
    assert len(SSEDecoder(frame_bytes_max=20).feed(b"data: a\n\n" * 1000)) == 1000


def test_comments_without_blank_lines_do_not_add_up():
    decoder = SSEDecoder(frame_bytes_max=100)
    for _ in range(1000):
        assert decoder.feed(b": still here\n") == []
    assert decoder.feed(b"data: a\n\n") == [SSEFrame(b"a")]


def test_comments_beside_much_data_do_not_make_the_decoder_search_again_and_again():
    decoder = SSEDecoder(frame_bytes_max=100)
    decoder.feed(b"data: " + b"x" * 80 + b"\n")
    with pytest.raises(SSEFrameTooLong):
        feed_in_pieces(decoder, b": still here\n" * 10, 13)


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ({"data": b"{}"}, b"data: {}\n\n"),
        ({"data": b"{}", "event": "ping"}, b"event: ping\ndata: {}\n\n"),
        ({"data": b"", "id": "7"}, b"id: 7\ndata: \n\n"),
        ({"data": b"a\nb\r\nc\rd"}, b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
    ],
)
def test_a_frame_is_encoded(arguments, wire: bytes):
    assert encode_frame(**arguments) == wire


def test_a_comment_is_encoded():
    assert encode_comment() == b": \n\n"
    assert decode(encode_comment("waiting") + DONE) == [SSEFrame(b"[DONE]")]


@pytest.mark.parametrize("text", ["a\nb", "a\rdata: x", "a\0"])
def test_nothing_can_be_smuggled_into_a_type_an_id_or_a_comment(text: str):
    for attempt in (
        lambda: encode_frame(b"", event=text),
        lambda: encode_frame(b"", id=text),
        lambda: encode_comment(text),
    ):
        with pytest.raises(ValueError, match="one line"):
            attempt()
