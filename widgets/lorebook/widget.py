"""A widget whose messages all arrive, and which says what to do where no front end shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import anywidget
import traitlets

from lorebook.channel import Channel, Message, State
from lorebook.errands import failure
from lorebook_api.errors import BadRequest, LorebookError
from lorebook_api.fence import code_block

D = TypeVar("D")

STATIC = Path(__file__).parent / "static"
"""Where `make frontend` puts the widgets' scripts and their style sheet."""

_NOT_BUILT = """\
export default { render({ el }) {
  el.textContent = 'The front end of lorebook is not built in this checkout. Type: make frontend';
} };
"""


class LorebookWidget(anywidget.AnyWidget):
    """Shows a state in any number of pages, and acts on what they send; `script` names its bundle in `STATIC`.

    A subclass has the actions of its pages in `act`, and `static_text` for where nothing is shown.
    """

    _esm = traitlets.Unicode(_NOT_BUILT).tag(sync=True)
    _css = traitlets.Unicode("").tag(sync=True)
    channel_id = traitlets.Unicode().tag(sync=True)
    """By which a page that is reloaded knows what it had sent to this widget, and not to another of its kernel."""

    def __init__(self, script: str, state: State, **traits: Any) -> None:
        super().__init__(
            _esm=_read(f"{script}.js") or _NOT_BUILT, _css=_read(f"{script}.css"), channel_id=uuid4().hex, **traits
        )  # fmt: skip
        self.channel = Channel(self.send, self._act, state)
        self.on_msg(self._hear)

    def act(self, message: Message) -> None:
        """Do what a page asks for; what it raises is shown there. Must return soon."""
        raise NotImplementedError

    def static_text(self) -> str:
        """Return what stands in the place of the widget where no front end runs."""
        raise NotImplementedError

    def static_markdown(self) -> str:
        """Return the same as Markdown, for where a notebook is shown without its front end."""
        return code_block(self.static_text())

    def bundle(self) -> dict[str, Any]:
        """Return what a notebook keeps of it, by MIME type: the widget, and the two texts in its place."""
        made = super()._repr_mimebundle_()
        texts = {"text/plain": self.static_text(), "text/markdown": self.static_markdown()}
        return {**(made[0] if made is not None else {}), **texts}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.bundle(), {}

    def __repr__(self) -> str:
        return self.static_text()

    def _show(self, **values: Any) -> None:
        self.channel.post({"type": "set", "values": values})

    def _hear(self, _: Any, content: Message, buffers: Any) -> None:
        self.channel.receive(content)

    def _act(self, message: Message) -> None:
        try:
            self.act(message)
        except LorebookError as error:
            self.channel.post({"type": "notice", "failure": failure(error)})


def deed_of(deeds: Mapping[str, D], message: Message, hint: str = "") -> D:
    """Return what a page asks for, by the message's type; raises BadRequest for what is not among the deeds."""
    deed = deeds.get(str(message.get("type")))
    if deed is None:
        raise BadRequest(f"The page asks for {message.get('type')!r}, which this kernel does not know.", hint)
    return deed


def _read(name: str) -> str:
    file = STATIC / name
    return file.read_text(encoding="utf-8") if file.is_file() else ""
