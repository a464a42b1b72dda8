"""Examples as tokens: which of them are learnt, and from which on the adapter acts. Runs in the training child."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import llama_cpp

from lorebook_api.errors import BadRequest, Unusable
from lorebook_daemon.engine.child.chat import ChatTemplate
from lorebook_daemon.engine.child.vocabulary import Vocabulary
from lorebook_daemon.engine.protocol import Message, Prompt
from lorebook_daemon.teach.examples import Example, Turn

_ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{question}\n\n### Response:\n"
)
_ALPACA_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{question}\n\n### Input:\n{input}\n\n### Response:\n"
)
_PHI3 = "<|user|>\n{question}<|end|>\n<|assistant|>\n"


@dataclass(frozen=True)
class Sample:
    """An example as it is trained on, in one of its wordings."""

    tokens: tuple[int, ...]
    learnt: int
    """The first token that is to be predicted; all after it are too."""
    acts: int = 0
    """The token from which on the adapter acts; what is before it is the base model's alone."""
    rejected: tuple[int, ...] = ()
    """The same prompt with the answer that is worse, where pairs are learnt from."""

    @property
    def length(self) -> int:
        """Tokens of the prompt with the longer of its answers."""
        return max(len(self.tokens), len(self.rejected))

    @property
    def acting(self) -> int:
        """Tokens on which the adapter acts."""
        return sum(len(tokens) - self.acts for tokens in (self.tokens, self.rejected) if tokens)


class Tokens:
    """The tokens of a GGUF file, read without its weights: the same that the engine sees when it answers."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises Unusable."""
        llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise Unusable(f"llama.cpp cannot read {path.name}.", "Bring it again: lorebook models pull NAME")
        self.vocabulary = Vocabulary(self._model)
        self._chat = ChatTemplate(self.vocabulary.chat_template, self.vocabulary.bos, self.vocabulary.eos)
        self.end = int(llama_cpp.llama_vocab_eos(self.vocabulary.handle))
        """The token that ends an answer."""

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, control tokens as they are written; a soft prompt's vectors have none."""
        words = [token for token in tokens if token < self.vocabulary.size]
        return b"".join(self.vocabulary.piece(token, special=True) for token in words).decode("utf-8", "replace")

    def answer(self, text: str) -> tuple[int, ...]:
        """Return an answer, and the token that ends it."""
        return (*self.vocabulary.tokenize(text.strip(), False), self.end)

    def prompt(self, turns: Sequence[Turn], system: str, template: str) -> tuple[int, ...]:
        """Return a conversation up to where its answer begins; `system` is for those that bring none."""
        return TEMPLATES[template](self, turns, system)

    @property
    def invocation(self) -> tuple[int, ...]:
        """The tokens with which the chat template begins every answer; raises BadRequest where there are none.

        What stands between the end of the question's turn and the answer: in ChatML `<|im_start|>assistant` and the
        end of that line.
        """
        closing = self._closing()
        ended = next((n for n, token in enumerate(closing) if self.vocabulary.ends(token)), -1)
        first = next((n for n in range(ended + 1, len(closing)) if self._controls(closing[n])), None)
        if first is None:
            raise BadRequest("This model's chat template marks no beginning of an answer.", "Take --method lora.")
        return closing[first:]

    def _closing(self) -> tuple[int, ...]:
        tokens = self.chat((Turn("user", "?"),), "")
        question = self.vocabulary.tokenize("?", False)[-1]
        return tokens[len(tokens) - tokens[::-1].index(question) :]

    def _controls(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_control(self.vocabulary.handle, token))

    def chat(self, turns: Sequence[Turn], system: str) -> tuple[int, ...]:
        """Return a conversation by the model's own template."""
        brought = any(turn.role == "system" for turn in turns)
        first = (Message("system", system),) if system and not brought else ()
        prompt = Prompt((*first, *(Message(turn.role, turn.content) for turn in turns)))
        return (*self.vocabulary.starts, *self._chat.tokens(prompt, self.vocabulary.tokenize).flat)


def _filled(tokens: Tokens, form: str, **parts: str) -> tuple[int, ...]:
    """Return a form with its parts; no text in them is read as a control token."""
    tokenize = tokens.vocabulary.tokenize
    pieces = re.split(r"\{(\w+)\}", form)  # what the form says, and in between the names of its parts
    written = (tokenize(parts[one], False) if n % 2 else tokenize(one, True) for n, one in enumerate(pieces))
    return (*tokens.vocabulary.starts, *chain.from_iterable(written))


def _joined(turns: Sequence[Turn], system: str) -> str:
    return "\n\n".join(filter(None, (system, *(turn.content for turn in turns))))


def _alpaca(tokens: Tokens, turns: Sequence[Turn], system: str) -> tuple[int, ...]:
    """Return Alpaca's form; that with an input where the last turn, in this wording, ends with one."""
    said, given = _joined(turns, system).rstrip(), turns[-1].input
    instruction = said.removesuffix(given).rstrip()
    if given and instruction and said.endswith(given):
        return _filled(tokens, _ALPACA_INPUT, question=instruction, input=given)
    return _filled(tokens, _ALPACA, question=_joined(turns, system))


TEMPLATES: dict[str, Callable[[Tokens, Sequence[Turn], str], tuple[int, ...]]] = {
    "chat": lambda tokens, turns, system: tokens.chat(turns, system),
    "alpaca": _alpaca,
    "phi3": lambda tokens, turns, system: _filled(tokens, _PHI3, question=_joined(turns, system)),
}


@dataclass(frozen=True)
class Teaching:
    """How examples become samples."""

    tokens: Tokens
    template: str
    systems: tuple[str, ...]
    activated: bool
    """Whether the adapter acts from the answer's beginning on only."""
    classes: tuple[str, ...] = ()
    """What texts are told apart into, where that is what is learnt."""
    soft: tuple[int, ...] = ()
    """Numbers beyond the vocabulary that stand for the vectors of a soft prompt, where that is what is learnt."""

    def variants(self, example: Example) -> list[Sample]:
        """Return the example in all its wordings: itself under each system prompt, then the others in turns."""
        if self.classes:
            return [self._labelled(example)]
        samples = self._worded(example) if example.turns else [self._text(example)]
        return [replace(one, tokens=(*self.soft, *one.tokens), learnt=one.learnt + len(self.soft)) for one in samples]

    def _worded(self, example: Example) -> list[Sample]:
        *before, last = example.turns
        said = [(last.content, system) for system in self.systems]
        others = [wording for wording in example.wordings if wording != last.content]
        said += [(wording, self.systems[n % len(self.systems)]) for n, wording in enumerate(others)]
        samples = [self._sample((*before, replace(last, content=wording)), system, example) for wording, system in said]
        return list(dict.fromkeys(samples))

    def prompt(self, turns: Sequence[Turn]) -> tuple[tuple[int, ...], int]:
        """Return a prompt's tokens under the first system prompt, and from which on the adapter acts."""
        prompt = self.tokens.prompt(turns, self.systems[0], self.template)
        return prompt, len(prompt) - len(self.tokens.invocation) if self.activated else 0

    def _sample(self, turns: Sequence[Turn], system: str, example: Example) -> Sample:
        prompt = self.tokens.prompt(turns, system, self.template)
        acts = len(prompt) - len(self.tokens.invocation) if self.activated else 0
        rejected = (*prompt, *self.tokens.answer(example.rejected)) if example.rejected else ()
        return Sample((*prompt, *self.tokens.answer(example.answer)), len(prompt), acts, rejected)

    def _labelled(self, example: Example) -> Sample:
        """Return the text up to its end, and as what is to be predicted there the number of its class."""
        read = (*self.tokens.vocabulary.starts, *self.tokens.answer(example.answer))
        number = self.classes.index(example.label) if example.label in self.classes else 0
        return Sample((*read, number), len(read))

    def _text(self, example: Example) -> Sample:
        starts = self.tokens.vocabulary.starts
        tokens = (*starts, *self.tokens.vocabulary.tokenize(example.answer, False), self.tokens.end)
        return Sample(tokens, max(1, len(starts)))


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _quiet(level: int, text: bytes, _data: object) -> None:
    """Keep llama.cpp from writing to stderr what is of no interest here."""
