"""A prompt as tokens: the GGUF's own chat template, with contents that can never act as control tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lorebook_api.errors import EngineFailed
from lorebook_daemon.engine.protocol import Prompt

_PLAIN = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n\n{% endfor %}assistant:"
"""For models whose file carries no chat template."""


@dataclass(frozen=True)
class PromptTokens:
    """A prompt's tokens: what stands before the passages, each passage, and what follows."""

    head: tuple[int, ...]
    passages: tuple[tuple[int, ...], ...]
    tail: tuple[int, ...]
    texts: tuple[str, ...] = ()
    """The passages' texts."""

    @property
    def flat(self) -> tuple[int, ...]:
        """All tokens in order."""
        return (*self.head, *(token for passage in self.passages for token in passage), *self.tail)

    @property
    def labelled(self) -> list[tuple[tuple[int, ...], str]]:
        """Each passage's tokens with its text."""
        return list(zip(self.passages, self.texts, strict=True))


class ChatTemplate:
    """Renders prompts with place holders for every content, so that template and contents are tokenized apart."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        """Compile the Jinja source in a sandbox; an empty one stands for plain `role: content` turns."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        self._special = {"bos_token": bos, "eos_token": eos}
        try:
            self._template = environment.from_string(source or _PLAIN)
        except TemplateError as error:
            raise EngineFailed(f"the model's chat template cannot be read: {error}.") from error

    def tokens(self, prompt: Prompt, tokenize: Callable[[str, bool], list[int]]) -> PromptTokens:
        """Return the prompt's tokens; `tokenize(text, special)` reads control tokens only where `special` is set."""
        parts = self._render(prompt)
        last = len(prompt.messages) - 1
        head: list[int] = []
        tail: list[int] = []
        side = head
        for part in parts:
            if isinstance(part, int):
                side = tail if part == last else side
                side += tokenize(prompt.messages[part].content, False)
            else:
                side += tokenize(part, True)
        passages = tuple(tuple(tokenize(passage, False)) for passage in prompt.passages)
        return PromptTokens(tuple(head), passages, tuple(tail), prompt.passages)

    def _render(self, prompt: Prompt) -> list[str | int]:
        """Return the rendered template, with the index of a message where its content stands."""
        marks = [f"lorebookcontent{i}x" for i in range(len(prompt.messages))]
        messages = [{"role": m.role, "content": mark} for m, mark in zip(prompt.messages, marks, strict=True)]
        try:
            text = self._template.render(messages=messages, add_generation_prompt=True, **self._special)
        except TemplateError as error:
            raise EngineFailed(f"the model's chat template refuses this conversation: {error}.") from error
        pieces = re.split(r"lorebookcontent(\d+)x", text)
        parts: list[str | int] = [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]
        if [part for part in parts if isinstance(part, int)][-1:] != [len(marks) - 1]:
            raise EngineFailed("the model's chat template drops the question.")
        return [part for part in parts if part != ""]


def _raise(message: str) -> None:
    raise TemplateError(message)
