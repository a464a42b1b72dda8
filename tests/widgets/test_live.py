from lorebook.live import Live


class Display:
    """Remembers what was shown, and when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shown: list[tuple[float, dict[str, str]]] = []

    def open(self, bundle: dict[str, str]) -> "Display":
        assert not self.shown, "one handle is enough"
        self.update(bundle, raw=True)
        return self

    def update(self, obj: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append((self.now, obj))


def test_at_most_twelve_updates_a_second_and_the_last_always() -> None:
    display = Display()
    live = Live(display.open, lambda: display.now)
    for number in range(1000):
        live.add(f"{number} ")
        display.now += 0.002
    live.finish({"text/plain": "the end"})
    assert 20 <= len(display.shown) <= 2 * 12 + 2
    assert display.shown[-1][1] == {"text/plain": "the end"}
    assert display.shown[0][1]["text/plain"] == "0 "


def test_what_was_streamed_stays_when_it_is_stopped() -> None:
    display = Display()
    live = Live(display.open, lambda: display.now)
    live.note("loading <b>")
    live.add("half of")
    live.stop("stopped")
    live.note("not shown over text")
    assert [bundle["text/plain"] for _, bundle in display.shown] == ["loading <b>", "half of\n\n(stopped)"]
    assert "&#60;b&#62;" in display.shown[0][1]["text/markdown"]
    assert "*(stopped)*" in display.shown[1][1]["text/markdown"]
