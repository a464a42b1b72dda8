"""`%%teach`, whose cell is what is taught, and `%teach`, which takes cells of this notebook."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from lorebook.arguments import HINT
from lorebook.cells import notebook_file, running_cell
from lorebook.teaching import begin, file_paths, pairs_of, train_settings
from lorebook_api.errors import BadRequest, LorebookError, NotFound
from lorebook_api.teaching import TeachRequest
from lorebook_api.typed import find_model

if TYPE_CHECKING:
    from lorebook.teachview import TeachWidget

LAST = "_teach"

HELP = """\
%%teach --name lab-notes                the cell is learnt: a question, a blank line, the answer; --- parts several
%teach --cells 2,5-7 --name lab-notes   cells of this notebook as it was saved; also --tag TAG, --id ID, --all, or with
                                        none of them those that begin with %%teach; another notebook: %teach a.ipynb
%teach --data answers.jsonl             rows of a data file
%teach --approved                       answers that you gave a thumb up, or put right
options of both:  --name NAME  --replace  --method alora|lora  --base NAME  --rank N  --alpha X  --layers N
                  --targets q,v  --epochs N  --learning-rate X  --batch N  --seed N
of %teach alone:  --recipe NAME  --template NAME
With --preview nothing is taught yet: the examples are shown, to choose from and to teach.
The job is kept in `_teach`: _teach.cancel(), _teach.resume()."""

_PREVIEW = re.compile(r"(?:^|\s)--preview(?=\s|$)")
_TEXTS = ("name", "method", "base")
_CHOOSING = ("cells", "recipe", "template")
_LISTS = {"tag": "tags", "id": "ids", "data": "data"}
_FLAGS = {"all": "whole", "approved": "approved", "replace": "replace"}
_SETTINGS: dict[str, Callable[[str], Any]] = {
    "rank": int,
    "alpha": float,
    "targets": lambda text: tuple(part.strip() for part in text.split(",")),
    "layers": int,
    "epochs": int,
    "learning_rate": float,
    "batch": int,
    "seed": int,
}


@magics_class
class TeachMagics(Magics):
    """The magics that teach."""

    @no_var_expand
    @line_cell_magic
    def teach(self, line: str, cell: str | None = None) -> None:
        """Teach what the cell says, or cells of this notebook; the job is kept in `_teach`, and shows itself."""
        notebook = notebook_file(self.shell.user_ns)
        line, looks = _PREVIEW.subn(" ", line)
        try:
            if cell is None:
                request = line_request(line, str(notebook or ""))
            else:
                request = cell_request(line, cell, running_cell(self.shell), str(notebook or ""))
            if looks:
                self.shell.display_pub.publish(data=_open_examples(request).bundle())
                return
            job = begin(request)
            self.shell.user_ns[LAST] = job
            self.shell.display_pub.publish(data=job._repr_mimebundle_())
        except LorebookError as error:
            sys.stderr.write(f"lorebook: {' '.join(str(error).split())}\n")


def _open_examples(request: TeachRequest) -> TeachWidget:
    from lorebook.teachview import TeachWidget  # anywidget: half a second that other magics do without

    return TeachWidget(request).look().wait()


def cell_request(line: str, text: str, cell: str = "", notebook: str = "") -> TeachRequest:
    """Return the request that a `%%teach` cell means; raises BadRequest."""
    typed = _typed(line, (*_TEXTS, *_SETTINGS, "replace"))
    if typed.rest:
        raise BadRequest(f"{typed.rest[0]} is not an option of %%teach.", HINT)
    return typed.request(TeachRequest(pairs=pairs_of(text, cell, notebook)))


def line_request(line: str, notebook: str = "") -> TeachRequest:
    """Return the request that `%teach` means; `notebook` is the one that it stands in, where that is known.

    Raises BadRequest, and NotFound for a file that is not there.
    """
    typed = _typed(line, (*_TEXTS, *_SETTINGS, *_CHOOSING, *_LISTS, *_FLAGS))
    data = file_paths(typed.lists.pop("data", ()))
    notebooks = file_paths(typed.rest)
    if not notebooks and not data and not typed.flags.get("approved"):
        if not notebook:
            raise NotFound(
                "this front end does not tell which notebook this is.", "Name it: %teach lab.ipynb --cells 2"
            )
        notebooks = (notebook,)
    chosen: dict[str, Any] = {_LISTS[name]: tuple(values) for name, values in typed.lists.items()}
    return typed.request(TeachRequest(notebooks=notebooks, data=data, **chosen))


@dataclass
class _Typed:
    """The words of a line, sorted."""

    rest: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)

    def request(self, plain: TeachRequest) -> TeachRequest:
        """Return the request with the options in it."""
        told: dict[str, Any] = {**self.texts, **self.flags, "base": find_model(self.texts.get("base", "auto"))}
        return replace(plain, settings=train_settings(self.settings), **told)


def _typed(line: str, known: tuple[str, ...]) -> _Typed:
    """Return the words of a line that are options of these names, with their values, and the others."""
    typed = _Typed()
    words = iter(_words(line))
    for word in words:
        name = word.removeprefix("--").replace("-", "_")
        if not word.startswith("-"):
            typed.rest.append(word)
        elif name not in known:
            there_are = ", ".join(f"--{one.replace('_', '-')}" for one in known)
            raise BadRequest(f"{word} is not an option here.", f"It takes {there_are}.")
        elif name in _FLAGS:
            typed.flags[_FLAGS[name]] = True
        else:
            _take(typed, name, word, next(words, None))
    return typed


def _take(typed: _Typed, name: str, word: str, value: str | None) -> None:
    if value is None:
        raise BadRequest(f"{word} wants a value.", HINT)
    if name in _LISTS:
        typed.lists.setdefault(name, []).append(value)
    elif name in _SETTINGS:
        typed.settings[name] = _setting(word, value, _SETTINGS[name])
    else:
        typed.texts[name] = value


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, posix=sys.platform != "win32")
    except ValueError as error:
        raise BadRequest(f"the line cannot be read: {error}.", HINT) from error


def _setting(word: str, value: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise BadRequest(f"{word} is {value}; it takes a number.", HINT) from error
