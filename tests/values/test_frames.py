"""The frame format survives any way in which a transport splits it, and refuses what is not a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.frames import EVENT, MAX_PAYLOAD_BYTES, PCM, Frame, FrameError, FrameReader, encode_event, encode_pcm

events = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key != "event"), st.none() | st.integers() | st.text(), max_size=4
)


@given(
    parts=st.lists(st.one_of(events, st.binary(max_size=300)), max_size=8),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=60),
)
def test_any_split_of_the_stream_gives_the_same_frames(parts: list[dict[str, object] | bytes], cuts: list[int]) -> None:
    stream = b"".join(
        encode_pcm(part) if isinstance(part, bytes) else encode_event("x", **{"fields": part}) for part in parts
    )
    reader, frames, position = FrameReader(), [], 0
    while position < len(stream):
        step = cuts[position % len(cuts)]
        frames += reader.feed(stream[position : position + step])
        position += step
    assert reader.pending_bytes == 0
    assert [frame.payload if frame.kind == PCM else frame.event["fields"] for frame in frames] == parts


def test_a_cut_stream_is_seen_as_cut() -> None:
    reader = FrameReader()
    assert reader.feed(encode_pcm(b"abcd")[:-1]) == []
    assert reader.pending_bytes == 8


@pytest.mark.parametrize(
    "head", [b"X\0\0\0\1a", b"GET / HTTP/1.1\r\n", PCM + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "big")]
)
def test_what_is_no_frame_is_refused_before_it_is_buffered(head: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(head)


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b"\xff\xfe", b'"event"'])
def test_an_event_frame_without_an_object_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        _ = Frame(EVENT, payload).event


def test_a_pcm_frame_holds_no_event_and_has_a_bound() -> None:
    with pytest.raises(FrameError):
        _ = Frame(PCM, b"{}").event
    with pytest.raises(FrameError):
        encode_pcm(bytes(MAX_PAYLOAD_BYTES + 1))
