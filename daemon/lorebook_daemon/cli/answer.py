"""An answer on the terminal: its text as it comes, then the lines that support it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.text import Text

from lorebook_api.asking import Answer, AskRequest, Citation, Cut
from lorebook_api.place import name_place
from lorebook_daemon.cli.passages import place_of, show_lines
from lorebook_daemon.cli.screen import Screen, printable


class StreamedText:
    """Shows the answer's text while it is made, and clears it again: the checked text with its marks comes after.

    Where stdout is no terminal nothing is shown, since nothing could be taken back.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._text = ""
        self._live = Live(console=screen.out, transient=True, refresh_per_second=12, auto_refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()
        if kind is not None and self._text and self._screen.out.is_terminal:
            self._screen.write_prose(printable(self._text))

    def add(self, piece: str) -> None:
        """Append a piece of text; what is taller than the terminal shows its end."""
        self._text += piece
        if not self._screen.out.is_terminal:
            return
        self._live.start()
        console = self._screen.out
        lines = Text(printable(self._text)).wrap(console, console.width)
        self._live.update(Text("\n").join(lines[-max(1, console.height - 2) :]), refresh=True)


def show_answer(screen: Screen, answer: Answer, request: AskRequest) -> None:
    """Write the answer, its citations, what is not supported, and one line on how it was made."""
    for notice in answer.notices:
        screen.say(notice)
    if not answer.abstained:
        for why, places in _left_out(answer.context.cut).items():
            screen.say(f"left out, {why}: {', '.join(places)}")
    screen.write_prose(printable(answer.answer.strip()))
    if answer.abstained:
        _show_nearest(screen, answer, request.roots)
    else:
        _show_citations(screen, answer.citations, request.roots)
        if request.grounding:
            _show_unsupported(screen, answer)
    screen.write()
    screen.write(_summary(answer, request), style="dim")


def _left_out(cuts: Sequence[Cut]) -> dict[str, list[str]]:
    """Return where what was left out stands, by the reason."""
    places: dict[str, list[str]] = {}
    for cut in cuts:
        places.setdefault(cut.why, []).append(name_place(cut))
    return places


def _show_nearest(screen: Screen, answer: Answer, roots: Sequence[str]) -> None:
    """Write where the sources stand, and of those that were left out, why."""
    if not answer.sources:
        return
    whys = {name_place(cut, cut.root): f"  {cut.why}" for cut in answer.context.cut}
    screen.write("\nThe nearest passages:")
    for source in answer.sources:
        why = whys.get(name_place(source, source.root), "")
        screen.write(Text("  ").append_text(place_of(source, roots)).append(printable(why), style="dim"))


def _show_citations(screen: Screen, citations: Sequence[Citation], roots: Sequence[str]) -> None:
    for citation in citations:
        screen.write()
        head = Text(f"[{citation.n}] ", style="bold").append_text(place_of(citation, roots))
        screen.write(head.append(f"  support {citation.support:.2f}", style="dim"))
        show_lines(screen, citation.quote)


def _show_unsupported(screen: Screen, answer: Answer) -> None:
    unsupported = [claim for claim in answer.claims if not claim.citations]
    if unsupported:
        screen.write("\nNo passage supports:", style="yellow")
    for claim in unsupported:
        screen.write(f"  ? {printable(' '.join(claim.text.split()))}", style="yellow")


def _summary(answer: Answer, request: AskRequest) -> str:
    adapters = "".join(f" + {use.name}:{use.scale:g}" for use in answer.adapters)
    usage = answer.usage
    parts = [
        f"{answer.model}{adapters}",
        f"{answer.timings.total_ms / 1000:.1f} s",
        f"{usage.completion_tokens} tokens from {usage.prompt_tokens} ({usage.cached_tokens} known before)",
        f"grounded {answer.grounded:.2f}" if request.grounding else "not grounded",
    ]
    return printable(" · ".join(parts))
