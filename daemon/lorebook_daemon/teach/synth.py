"""The recipe `synth`: questions that the model itself asks about a cell, kept where it can answer them from the cell.

Self-instruction (arXiv:2212.10560) held to the source: a pair is kept only where the model, asked whether the cell
supports the answer to the question, says yes rather than no.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lorebook_api.asking import Sampling
from lorebook_api.indexing import Progress
from lorebook_daemon.engine.protocol import Engine, Finished, Message, Priority, Prompt, Turn
from lorebook_daemon.teach.examples import Example, Origin, digest
from lorebook_daemon.teach.examples import Turn as Said
from lorebook_daemon.teach.select import SelectedCell

_TURN = Turn(Priority.eval)
_SYSTEM = "You help to write questions and answers about notebooks. Use only what stands in the cell."
_ASK = (
    "Write {count} different short questions that this cell of {name} answers. Name in each question what it is about, "
    "such as the variable or the file. One question a line, nothing else."
)
_ANSWER = "Answer in one short sentence, only from the cell: {question}"
_CHECK = (
    "Question: {question}\nProposed answer: {answer}\n"
    "Does the cell state that this is the answer to the question? Answer Yes or No."
)
_QUESTIONS, _QUESTION_TOKENS, _ANSWER_TOKENS = 3, 160, 80
_SURE = 0.0
"""logit(Yes) - logit(No) above which an answer counts as grounded."""
_LEAST_CHARACTERS, _MOST_CHARACTERS = 40, 4000
_NUMBERED = re.compile(r"^\s*(?:[-*•]|\(?\d+[.):])\s*")

Report = Callable[[Progress], None]


async def synthesize(
    cells: Sequence[SelectedCell], engine: Engine, report: Report = lambda progress: None
) -> list[Example]:
    """Return an example for each question that the model asked about a chosen cell and answered from it.

    A cell of fewer than 40 characters gives none; of a longer one the first 4000 are read. Raises what the engine
    raises.
    """
    chosen = [cell for cell in cells if cell.chosen and len(_text(cell)) >= _LEAST_CHARACTERS]
    examples: list[Example] = []
    for done, cell in enumerate(chosen):
        report(Progress("asking the model about the cells", done, len(chosen)))
        examples += await _of_cell(cell, engine)
    return examples


async def _of_cell(cell: SelectedCell, engine: Engine) -> list[Example]:
    asked = _ASK.format(count=_QUESTIONS, name=_name(cell))
    questions = _questions(await _said(engine, _prompt(cell, asked), _QUESTION_TOKENS))
    pairs = [
        (question, await _said(engine, _prompt(cell, _ANSWER.format(question=question)), _ANSWER_TOKENS))
        for question in questions
    ]
    checks = [_prompt(cell, _CHECK.format(question=question, answer=answer)) for question, answer in pairs]
    grounded = await engine.judge(checks, turn=_TURN)
    return [
        Example((Said("user", question),), answer, Origin(cell.path, cell.id, digest(cell.source)))
        for (question, answer), sure in zip(pairs, grounded, strict=True)
        if answer and sure > _SURE
    ]


def _questions(text: str) -> list[str]:
    """Return the questions among the lines that the model wrote, without their numbers, each once."""
    lines = [_NUMBERED.sub("", line).strip() for line in text.splitlines()]
    asked = [line for line in lines if line.endswith("?") and len(line.split()) > 2]
    return list(dict.fromkeys(asked))[:_QUESTIONS]


async def _said(engine: Engine, prompt: Prompt, most: int) -> str:
    parts = [part async for part in engine.generate(prompt, Sampling(), most, turn=_TURN)]
    ended = parts[-1]
    whole = isinstance(ended, Finished) and ended.reason == "stop"
    text = "".join(part.text for part in parts if not isinstance(part, Finished)).strip()
    # The last line of what was cut off is not whole.
    return text if whole else text.rpartition("\n")[0].strip()


def _prompt(cell: SelectedCell, question: str) -> Prompt:
    passage = f"<cell {_name(cell)}>\n{_text(cell)}\n</cell>\n"
    return Prompt((Message("system", _SYSTEM), Message("user", question)), (passage,))


def _text(cell: SelectedCell) -> str:
    shown = f"\nOutput:\n{cell.output}" if cell.output else ""
    return f"{cell.source}{shown}"[:_MOST_CHARACTERS].strip()


def _name(cell: SelectedCell) -> str:
    return cell.path.replace("\\", "/").rpartition("/")[2]
