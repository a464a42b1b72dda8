from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.engine.child.textstream import TextStream


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({min(c, len(data)) for c in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(at)]


@given(
    st.text(alphabet="abé漢🙂\n"),
    st.lists(st.text(alphabet="abé", max_size=4), max_size=3),
    st.lists(st.integers(0, 60)),
)
def test_any_cut_gives_the_text_up_to_the_first_stop_word(text: str, stop: list[str], cuts: list[int]) -> None:
    stream = TextStream(stop)
    shown = [stream.feed(piece) for piece in cut(text.encode(), cuts)]
    shown.append(stream.finish())
    found = [text.find(word) for word in stop if word and word in text]
    assert "".join(shown) == text[: min(found, default=len(text))]
    assert stream.stopped == bool(found)


def test_text_comes_as_soon_as_it_cannot_be_a_stop_word() -> None:
    stream = TextStream(["END"])
    assert stream.feed(b"one E") == "one "
    assert stream.feed(b"N") == ""
    assert stream.feed(b"T") == "ENT"
    assert stream.feed(b"END more") == ""
    assert stream.feed(b"more") == ""


def test_half_a_character_waits_and_a_broken_one_is_marked() -> None:
    stream = TextStream()
    assert stream.feed("é".encode()[:1]) == ""
    assert stream.feed("é".encode()[1:]) == "é"
    assert stream.feed(b"\xff") == "\N{REPLACEMENT CHARACTER}"
    assert stream.feed("é".encode()[:1]) == ""
    assert stream.finish() == "\N{REPLACEMENT CHARACTER}"
