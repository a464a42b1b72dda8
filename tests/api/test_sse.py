from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.sse import EventParser, ServerEvent

PIECES = st.lists(
    st.sampled_from(
        [
            b"event: token",
            b"data: {}",
            b"data:  two",
            b"data",
            b": ping",
            b"id: 3",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            "é·".encode(),
            b"x",
        ]
    ),
    max_size=30,
)


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(PIECES, st.lists(st.integers(0, 200)))
def test_any_cut_of_the_stream_gives_the_same_events(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    chunks = [stream[a:b] for a, b in pairwise(places)]
    assert parse(*chunks) == parse(stream)


@given(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
def test_data_comes_through_as_it_was_sent(data: str) -> None:
    sent = f"event: token\ndata: {data}\n\n".encode()
    assert parse(*(bytes([byte]) for byte in sent)) == [ServerEvent("token", data)]


def test_lines_of_data_are_joined_and_comments_are_left_out() -> None:
    assert parse(b"\xef\xbb\xbf: hi\ndata: a\ndata:b\r\n\r\n") == [ServerEvent("message", "a\nb")]


def test_an_event_without_data_and_an_unfinished_one_are_dropped() -> None:
    assert parse(b"event: a\n\ndata: x\n") == []


def test_a_unicode_line_end_is_no_line_end() -> None:
    assert parse("data: a\u2028b\x0bc\n\n".encode()) == [ServerEvent("message", "a\u2028b\x0bc")]
