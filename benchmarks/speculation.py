"""Tokens a second with and without speculation: on answers that quote or edit sources, and on prose."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engine import Written, find_model, parser, plain_prompt, running, sample_passages, write
from benchmarks.verdict import say
from lorebook_daemon.answer.prompts import SYSTEM
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Message, Prompt
from lorebook_daemon.engine.threads import physical_cores

TOKENS = 160

WISHES = (
    "Quote the lines that hold a number, word for word.",
    "Which lines can raise an error? Quote them.",
    "Rename the first function to `renamed` and write the whole code again.",
)
FILES = ("barometer", "drift", "alarms", "checks", "levels", "store", "pipeline", "simulate")
"""Files of the sample package, of whose second passage each wish is asked."""

LEAST_QUOTED = 0.5
"""Share of an answer's lines that must stand in its source, else it is none that quotes."""

PROSE = (
    "Write a long story about a well, without an end.",
    "Explain to a child why the sea is salty, in many words.",
    "Describe a walk through a town that you have never seen.",
    "What speaks for and what against working at night? Discuss it at length.",
)


@dataclass(frozen=True)
class Pair:
    """The same answer with speculation and without."""

    on: Written
    off: Written

    prompt: Prompt

    @property
    def ratio(self) -> float:
        """Tokens a second with speculation ÷ without."""
        return _speed([self.on]) / _speed([self.off])

    @property
    def quoted(self) -> float:
        """Share of the lines written without speculation that stand in what was sent, of those that say something."""
        source = "\n".join((*self.prompt.passages, *(message.content for message in self.prompt.messages)))
        lines = [line.strip() for line in self.off.text.splitlines() if len(line.strip()) >= 10]
        return sum(line in source for line in lines) / len(lines) if lines else 0.0


def about(file: str, wish: str) -> Prompt:
    """Return a wish about the second passage of a file of the sample package."""
    messages = (Message("system", SYSTEM), Message("user", f"\n{wish}"))
    return Prompt(messages, tuple(sample_passages(f"wellwatch/{file}.py")))


def edited(prompt: Prompt, answer: str) -> Prompt:
    """Return the conversation with an answer, and the wish for the same with one change."""
    again = "Give the same again, but begin with a line that says `# second version`."
    return Prompt((*prompt.messages, Message("assistant", answer), Message("user", again)), ())


async def compare(on: EngineProcess, off: EngineProcess, prompts: Sequence[Prompt], kind: str) -> list[Pair]:
    """Have each prompt answered by both, by turns the one and the other first; print a line each."""
    pairs = []
    for i, prompt in enumerate(prompts):
        first, second = (on, off) if i % 2 else (off, on)
        one, other = await write(first, prompt, TOKENS), await write(second, prompt, TOKENS)
        pair = Pair(one, other, prompt) if i % 2 else Pair(other, one, prompt)
        pairs.append(pair)
        end = pair.on.end
        same = "same text" if pair.on.text == pair.off.text else "OTHER TEXT"
        print(
            f"{kind} {i + 1}: {_speed([pair.on]):6.1f} ÷ {_speed([pair.off]):6.1f} tokens a second = {pair.ratio:.2f}"
            f"   drafted {end.drafted}, accepted {end.accepted}, wrote {pair.on.tokens}   {same}"
            + (f"   {pair.quoted:.0%} quoted" if prompt.passages else ""),
            flush=True,
        )
    return pairs


def _speed(answers: Sequence[Written]) -> float:
    return 1000 * sum(one.tokens for one in answers) / sum(one.end.generate_ms for one in answers)


def _whole(pairs: Sequence[Pair]) -> float:
    return _speed([pair.on for pair in pairs]) / _speed([pair.off for pair in pairs])


async def main() -> None:
    """Print a line each prompt, then the ratios."""
    options = parser(__doc__).parse_args()
    model, threads = find_model(options.model), physical_cores()
    print(model.name)
    files = FILES[:1] if options.quick else FILES
    asked = [about(file, wish) for file in files for wish in WISHES]
    async with (
        running(model, speculation=True, threads=threads) as on,
        running(model, speculation=False, threads=threads) as off,
    ):
        answers = await compare(on, off, asked, "about a source")
        long = [pair for pair in answers if pair.off.tokens > TOKENS // 2][:2]
        changed = await compare(on, off, [edited(pair.prompt, pair.off.text) for pair in long], "again")
        prose = await compare(on, off, [plain_prompt(text) for text in PROSE[: len(files)]], "prose")
    quoting = [*(pair for pair in answers if pair.quoted >= LEAST_QUOTED), *changed]
    drafted, accepted = (sum(getattr(pair.on.end, what) for pair in quoting) for what in ("drafted", "accepted"))
    middle = statistics.median(pair.ratio for pair in quoting)
    print(
        f"\n{len(quoting)} answers quote: {accepted} of {drafted} guesses came true, the median ratio is {middle:.2f}"
    )
    print(f"on all answers about a source the ratio is {_whole([*answers, *changed]):.2f}")
    pairs = [*answers, *changed, *prose]
    say("tokens a second on answers that quote, speculation on ÷ off", _whole(quoting), at_least=1.3)
    say("the same on prose", _whole(prose), at_least=0.97)
    say("texts that are the same", sum(pair.on.text == pair.off.text for pair in pairs) / len(pairs), at_least=1.0)


if __name__ == "__main__":
    asyncio.run(main())
