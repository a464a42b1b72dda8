"""`lorebook.examples`: what would be taught, to choose from; then, as for `lorebook.teach`, how teaching it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from lorebook.channel import Message
from lorebook.errands import run_errand, run_work, told
from lorebook.job import Job
from lorebook.state import WidgetState
from lorebook.teaching import begin, show_examples, teach_request
from lorebook.widget import deed_of
from lorebook.working import WorkingWidget
from lorebook_api.errors import BadRequest, LorebookError
from lorebook_api.fence import code_block
from lorebook_api.markdown import plain
from lorebook_api.teaching import ENDED, Preview, PreviewExample, Said, TeachRequest

ROWS_MOST = 200
"""Examples that a page shows; the others are counted."""
POINTS_MOST = 200
"""Points of a curve that a page draws: means of what lies between."""
PAUSE_S = 0.5
"""Between two pictures of a job that runs."""
SAID_SHOWN = 8
_TEXT_LONGEST = 2000


def examples(notebook: Any = (), **choices: Any) -> TeachWidget:
    """Show the examples that `lorebook.teach` with the same arguments would learn, to choose from and to teach.

    Returns at once. Raises LorebookError for what cannot be meant; what cannot be taught is told in the widget.
    """
    return TeachWidget(teach_request(notebook, **choices)).look()


class TeachWidget(WorkingWidget):
    """The examples of a request with boxes to leave some out, then the job that teaches them; `job` is None till then.

    Without a request it shows a job that was begun elsewhere.
    """

    def __init__(self, request: TeachRequest | None = None) -> None:
        self.job: Job | None = None
        self._request = request
        self._preview: Preview | None = None
        self._shown = float("-inf")
        self._words: tuple[str, int] | None = None
        self._state = WidgetState(
            **{"phase": "looking" if request else "running", "failure": None, "examples": [], "more": 0, "plan": ""},
            **{"job": None, "told": "", "last": None, "loss": [], "held_out": [], "said": []},
        )
        super().__init__("teach", self._state)

    @property
    def preview(self) -> Preview | None:
        """The examples, and what training them would take; None until they were looked at."""
        return self._preview

    def look(self) -> TeachWidget:
        """Have the examples composed, in a thread; return itself."""
        request = self._request
        if request is None:
            raise BadRequest("There is nothing to be looked at here.", "Show examples: lorebook.examples('a.ipynb')")
        self._work(lambda: self._look(request))
        return self

    def teach(self, without: Collection[str] = ()) -> TeachWidget:
        """Teach the examples but those of these ids, in a thread; return itself. Raises Conflict while it teaches."""
        if self._request is None or self._preview is None:
            raise BadRequest("There is nothing to be taught here.", "Show examples: lorebook.examples('a.ipynb')")
        request = replace(self._request, without=tuple(without))
        self._work(lambda: self._teach(request))
        return self

    def stop(self) -> None:
        """End the job; what it had reached is kept."""
        self.show(self._job().cancel())

    def resume(self) -> TeachWidget:
        """Go on with a job that did not get to its end, in a thread; return itself."""
        job = self._job()
        self._work(lambda: self._follow(job.resume(wait=False)))
        return self

    def show(self, job: Job) -> None:
        """Show how a job stands: figures at the pace, anything else at once."""
        self.job = job
        ended = job.state in ENDED
        moment, words = time.monotonic(), (job.headline, len(job.seen.said))
        if words != self._words or moment - self._shown >= PAUSE_S:
            self._shown, self._words = moment, words
            self._show(phase="ended" if ended else "running", **_shown_job(job))

    def act(self, message: Message) -> None:
        """Do what a page asks for."""
        deed_of(_DEEDS, message)(self, message)

    def static_text(self) -> str:
        """Return the job as text where there is one, the examples otherwise."""
        if self.job is not None:
            return self.job.texts()["text/plain"]
        failed = told(self._state.values["failure"])
        if self._preview is None:
            return failed or "The examples are being looked at; .wait() waits for them."
        lines = [_line(n, example) for n, example in enumerate(self._preview.examples, start=1)]
        more = _total(self._preview) - len(lines)
        lines += [f"… and {more:,} more, which are not shown"] if more > 0 else []
        return "\n".join([_plan(self._preview), *lines, failed or "Teach them by .teach().wait()"])

    def static_markdown(self) -> str:
        """Return the same as Markdown."""
        if self.job is not None:
            return self.job.texts()["text/markdown"]
        head, _, rest = self.static_text().partition("\n")
        return "\n\n".join(filter(None, (plain(head), code_block(rest) if rest else "")))

    def _work(self, work: Callable[[], None]) -> None:
        self._begin(lambda: run_work(work, self.channel.post, "teach"))

    def _look(self, request: TeachRequest) -> None:
        self._show(phase="looking")
        try:
            self._preview = show_examples(request)
        except LorebookError:
            self._show(phase="refused")
            raise
        shown = [_shown_example(example) for example in self._preview.examples[:ROWS_MOST]]
        listed = sum(not one["left_out"] and not one["held_out"] for one in shown)
        more = self._preview.taught - listed
        self._show(phase="choosing", examples=shown, more=more, plan=_plan(self._preview))

    def _teach(self, request: TeachRequest) -> None:
        self._show(phase="beginning")
        try:
            job = begin(request, wait=False)
        except LorebookError:
            self._show(phase="choosing")
            raise
        self._follow(job)

    def _follow(self, job: Job) -> None:
        self._words = None
        self.show(job)
        job.follow(lambda: self.show(job))
        self.show(job)

    def _job(self) -> Job:
        if self.job is None:
            raise BadRequest("Nothing is being taught.", "Begin with .teach()")
        return self.job


_DEEDS: dict[str, Callable[[TeachWidget, Message], Any]] = {
    "teach": lambda widget, message: widget.teach([str(one) for one in message.get("without", ())]),
    "stop": lambda widget, message: run_errand(widget.stop, widget.channel.post, "stop"),
    "resume": lambda widget, message: widget.resume(),
}
"""What a page may ask for."""


def _shown_job(job: Job) -> dict[str, Any]:
    metrics = job.seen.metrics
    held_out = [(one.step, one.held_out_loss) for one in metrics if one.held_out_loss is not None]
    return {
        "job": {"id": job.id, "name": job.adapter, "state": job.state},
        "told": f"{job.headline}{_use(job)}",
        "last": asdict(metrics[-1]) if metrics else None,
        "loss": thinned([(one.step, one.loss) for one in metrics]),
        "held_out": thinned(held_out),
        "said": [asdict(said) for said in _latest(job.seen.said)],
    }


def _use(job: Job) -> str:
    """Return how to ask what was taught, once it can be asked."""
    return f' Ask it: lorebook.ask("…", adapter="{job.adapter}")' if job.state == "done" else ""


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a curve of at most 200 points: means of as many neighbours as that takes; the last one is the last."""
    size = -(-len(points) // POINTS_MOST) or 1
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _latest(said: Sequence[Said]) -> list[Said]:
    """Return the last that was said to each question, of the questions that were asked last."""
    by_question = {one.question: one for one in said}
    return sorted(by_question.values(), key=lambda one: -one.step)[:SAID_SHOWN]


def _shown_example(example: PreviewExample) -> Message:
    return {
        "id": example.id,
        "origin": example.origin,
        "prompt": _text_of(example, learnt=False),
        "answer": _text_of(example, learnt=True),
        "tokens": example.tokens,
        "held_out": example.held_out,
        "left_out": example.left_out,
    }


def _text_of(example: PreviewExample, learnt: bool) -> str:
    text = "".join(one.text for one in example.segments if one.learnt is learnt).strip()
    left = len(text) - _TEXT_LONGEST
    return text if left <= 0 else f"{text[:_TEXT_LONGEST]} … and {left:,} more characters"


def _line(n: int, example: PreviewExample) -> str:
    note = f"left out: {example.left_out}" if example.left_out else "kept back" if example.held_out else "taught"
    prompt, answer = (" ".join(_text_of(example, learnt).split()) for learnt in (False, True))
    return f"{n:>4}. {example.origin}, {example.tokens} tokens, {note}: {prompt[-60:]} → {answer[:60]}"


def _plan(preview: Preview) -> str:
    taught, held_out, left_out = preview.taught, preview.held_out, preview.left_out
    parts = [f"{taught} {'example' if taught == 1 else 'examples'} for {preview.base}"]
    parts += [f"{held_out} kept back to measure with"] if held_out else []
    parts += [f"{left_out} left out"] if left_out else []
    parts.append(f"{preview.epochs} epochs, {preview.steps} steps")
    return " · ".join([*parts, f"about {_duration(preview.seconds)} and {preview.memory_mb / 1000:.1f} GB"])


def _total(preview: Preview) -> int:
    return preview.taught + preview.held_out + preview.left_out


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
