"""`%%teach`: the cell's text is a question, a blank line and the answer to learn."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from lorebook.teach import begin, pairs_of, train_settings
from lorebook_api.errors import BadRequest, LorebookError
from lorebook_api.teaching import TeachRequest
from lorebook_api.typed import find_model

LAST = "_teach"
HINT = "Type: %lore help"

_TEXTS = ("name", "method", "base")
_NUMBERS: dict[str, Callable[[str], float]] = {
    "rank": int,
    "alpha": float,
    "layers": int,
    "epochs": int,
    "learning_rate": float,
    "batch": int,
    "seed": int,
}


@magics_class
class TeachMagics(Magics):
    """The magic that teaches."""

    @no_var_expand
    @cell_magic
    def teach(self, line: str, cell: str) -> None:
        """Teach what the cell says; the job is kept in `_teach`, and shows itself until it has ended."""
        try:
            job = begin(request(line, cell))
            self.shell.user_ns[LAST] = job
            self.shell.display_pub.publish(data=job._repr_mimebundle_())
        except LorebookError as error:
            sys.stderr.write(f"lorebook: {' '.join(str(error).split())}\n")


def request(line: str, cell: str) -> TeachRequest:
    """Return the request that a `%%teach` cell means; raises BadRequest."""
    texts: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    words = iter(shlex.split(line))
    for word in words:
        name = word.removeprefix("--").replace("-", "_")
        value = next(words, None)
        if not word.startswith("--") or value is None or name not in (*_TEXTS, *_NUMBERS):
            known = ", ".join(f"--{known.replace('_', '-')}" for known in (*_TEXTS, *_NUMBERS))
            raise BadRequest(f"{word} is not an option of %%teach that has a value.", f"It takes {known}.")
        if name in _TEXTS:
            texts[name] = value
        else:
            settings[name] = _number(word, value, _NUMBERS[name])
    plain = TeachRequest(pairs=pairs_of(cell), settings=train_settings(settings))
    return replace(plain, **{**texts, "base": find_model(texts.get("base", "auto"))})


def _number(word: str, value: str, kind: Callable[[str], float]) -> float:
    try:
        return kind(value)
    except ValueError as error:
        raise BadRequest(f"{word} is {value}; it takes a number.", HINT) from error
