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

QUOTING = (
    ("barometer", "Write out the code of this source, unchanged."),
    ("drift", "Quote every line of the source that holds a number, word for word, one after another."),
    ("alarms", "Write the code of the source again with every variable name in capital letters."),
    ("checks", "Add type hints to this code where they are missing, and give the whole code."),
    ("levels", "Repeat the source, then say in one sentence what it does."),
    ("store", "Rename the first function to `renamed` and write the whole code again."),
    ("pipeline", "Add a comment above each line of the code, and give the whole code with its comments."),
    ("simulate", "Copy the docstrings of this source, each with the line of code that stands above it."),
)
"""A file of the sample package, and what is asked of its second passage."""

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

    @property
    def ratio(self) -> float:
        """Tokens a second with speculation ÷ without."""
        return _speed([self.on]) / _speed([self.off])


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
        pair = Pair(one, other) if i % 2 else Pair(other, one)
        pairs.append(pair)
        end = pair.on.end
        same = "same text" if pair.on.text == pair.off.text else "OTHER TEXT"
        print(
            f"{kind} {i + 1}: {_speed([pair.on]):6.1f} ÷ {_speed([pair.off]):6.1f} tokens a second = {pair.ratio:.2f}"
            f"   drafted {end.drafted}, accepted {end.accepted}, wrote {pair.on.tokens}   {same}",
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
    count = 2 if options.quick else None
    quoting = [about(file, wish) for file, wish in QUOTING[:count]]
    async with (
        running(model, speculation=True, threads=threads) as on,
        running(model, speculation=False, threads=threads) as off,
    ):
        quoted = await compare(on, off, quoting, "quoting")
        changed = [edited(prompt, pair.off.text) for prompt, pair in zip(quoting[:2], quoted, strict=False)]
        quoted += await compare(on, off, changed, "editing")
        prose = await compare(on, off, [plain_prompt(text) for text in PROSE[:count]], "prose")
    pairs = [*quoted, *prose]
    drafted, accepted = (sum(getattr(pair.on.end, what) for pair in quoted) for what in ("drafted", "accepted"))
    middle = statistics.median(pair.ratio for pair in quoted)
    print(f"\nquoting: {accepted} of {drafted} drafted tokens accepted; the median ratio is {middle:.2f}")
    say("tokens a second on answers that quote, speculation on ÷ off", _whole(quoted), at_least=1.3)
    say("the same on prose", _whole(prose), at_least=0.97)
    say("texts that are the same", sum(pair.on.text == pair.off.text for pair in pairs) / len(pairs), at_least=1.0)


if __name__ == "__main__":
    asyncio.run(main())
