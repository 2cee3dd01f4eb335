"""However the network splits a stream, the same frames come out."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ruapi.dialects.sse import SSEDecoder, SSEFrame, encode_frame

# Mostly what the format gives meaning to, so that examples are streams rather than noise.
PIECES = st.sampled_from([
    b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"data", b"data:", b"data: ", b"event: ", b"id: ",
    b"retry: 1", b":", b" ", b"\xef\xbb\xbf", b"\0", b"x", b'{"a":1}', b"[DONE]", b"\xff", "\u00fc".encode(),
])  # fmt: skip
STREAMS = st.lists(st.one_of(PIECES, st.binary(max_size=3)), max_size=60).map(b"".join)


def decode(reads: list[bytes], **limits: int) -> list[SSEFrame]:
    decoder = SSEDecoder(**limits)
    return [frame for read in reads for frame in decoder.feed(read)] + decoder.finish()


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def plain_decode(stream: bytes) -> list[SSEFrame]:
    """The format's own algorithm, one line at a time, with the last frame's blank line supplied."""
    stream = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\n\n"
    frames, data = list[SSEFrame](), list[bytes]()
    event = last_id = ""
    for line in stream.split(b"\n"):
        if not line:
            if data:
                frames.append(SSEFrame(b"\n".join(data), event, last_id))
            data, event = [], ""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event = value.decode(errors="replace")
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode(errors="replace")
    return frames


@given(STREAMS, st.lists(st.integers(min_value=0), max_size=20))
def test_splits_change_nothing(stream: bytes, cuts: list[int]):
    assert decode(pieces_of(stream, cuts)) == plain_decode(stream)


@given(STREAMS)
def test_single_bytes_change_nothing(stream: bytes):
    assert decode([stream[at : at + 1] for at in range(len(stream))]) == plain_decode(stream)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])),
            st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])),
        )
    ),
    st.lists(st.integers(min_value=0), max_size=20),
)
def test_what_is_encoded_is_decoded(messages: list[tuple[str, str]], cuts: list[int]):
    stream = b"".join(encode_frame(data.encode(), event=event) for data, event in messages)
    expected = [SSEFrame(data.encode(), event) for data, event in messages]
    assert decode(pieces_of(stream, cuts)) == expected
