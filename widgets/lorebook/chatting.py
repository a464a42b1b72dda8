"""`lorebook.chat()`: a conversation with your files, in the output of a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from lorebook.answer import Answer
from lorebook.asking import Roots, adapter_uses, several
from lorebook.cells import CellRecord, record_of, running_cell
from lorebook.channel import Message
from lorebook.context import CONTEXTS, VARIABLE, Surroundings
from lorebook.errands import run_errand
from lorebook.links import notebook_folder
from lorebook.reaching import current_shell, reach, shown_by
from lorebook.session import ChatOptions, ChatSession, shown_attachment, shown_options
from lorebook.shelf import Shelf
from lorebook.state import WidgetState
from lorebook.variables import visible_names
from lorebook.widget import LorebookWidget, deed_of
from lorebook_api.asking import Answer as Body
from lorebook_api.asking import AskRequest, Attachment
from lorebook_api.client import decode
from lorebook_api.errors import BadRequest, Cancelled, NotFound, from_body
from lorebook_api.markdown import plain, prose
from lorebook_api.typed import find_model, find_roots


def chat(
    root: Roots = None,
    *,
    model: str = "auto",
    adapter: str | Sequence[str] = (),
    k: int = 6,
    max_tokens: int = 320,
    grounding: bool = True,
    context: Sequence[str] = (),
    variables: Sequence[str] = (),
    conversation: str = "",
) -> Chat:
    """Return a chat about the files below `root` (a folder or several; the current one where None).

    `context` is what goes along with each question, of "cell" (that ran last), "above" (the cells above), "error" (the
    last one) and "output"; `variables` are names of which type, shape and first rows go along. It is all shown before
    it is sent. `conversation` is the id of one to go on with. Raises LorebookError for what cannot be meant.
    """
    options = ChatOptions(
        roots=find_roots(several(root)),
        model=find_model(model),
        adapters=adapter_uses(adapter),
        k=k,
        max_tokens=max_tokens,
        grounding=grounding,
    )
    unknown = [word for word in context if word not in CONTEXTS]
    if unknown:
        raise BadRequest(f"{unknown[0]!r} is nothing that can be sent along.", f"There are: {', '.join(CONTEXTS)}")
    made = Chat(options, (*context, *(VARIABLE + name for name in variables)), current_shell())
    if conversation:
        made.resume(conversation)
    return made


class Chat(LorebookWidget):
    """The chat widget. `standing` is what goes along with each question, `shell` the session it stands in."""

    def __init__(self, options: ChatOptions, standing: tuple[str, ...], shell: Any = None) -> None:
        self._shell = shell
        self._state = WidgetState(
            **{"options": shown_options(options), "conversations": [], "models": [], "adapters": [], "context": []},
            **{"offers": _offers({}), "feedback": False},
        )
        super().__init__("chat", self._state)
        self._session = ChatSession(options, self._state, self.channel.post, reach, lambda: self._shelf.refresh())
        self._shelf = Shelf(self._session, self.channel.post, reach)
        self._standing = standing
        self._attached: tuple[Attachment, ...] = ()
        self._surroundings = _surroundings(shell, options)
        if shell is not None:
            shell.events.register("post_run_cell", self._cell_ran)
        self._renew_context()

    def ask(self, question: str) -> Answer:
        """Ask in this conversation, wait, and return the answer; needs no front end. Raises LorebookError."""
        turn_id = self._session.ask(question, attachments=self._take_context())
        self._session.wait()
        turn = self._state.turn(turn_id) or {}
        if turn.get("failure"):
            raise from_body({"error": turn["failure"]}, 500)
        if not turn.get("answer"):
            raise Cancelled("The question was taken back.")
        return self._answer(turn)

    def resume(self, conversation: str) -> None:
        """Show a conversation that the daemon keeps, by its id, and go on with it."""
        self._shelf.open(conversation)

    def stop(self) -> None:
        """Take the question in hand back."""
        self._session.stop()

    def close(self) -> None:
        """Take the widget off every page; the conversation stays kept."""
        if self._shell is not None:
            with suppress(ValueError):  # it was closed before
                self._shell.events.unregister("post_run_cell", self._cell_ran)
        super().close()

    def act(self, message: Message) -> None:
        """Do what a page asks for."""
        deed_of(_DEEDS, message, _RELOAD)(self, message)

    def static_text(self) -> str:
        """Return the conversation so far, and how to ask where no widget is shown."""
        roots = ", ".join(self._session.options.roots)
        turns = [f"> {turn['question']}\n{turn.get('text', '').strip()}".strip() for turn in self._state.turns]
        return "\n\n".join([f"A chat about {roots}.", *turns, _NO_FRONT_END])

    def static_markdown(self) -> str:
        """Return the same as Markdown, with the lines that each answer rests on."""
        roots = ", ".join(self._session.options.roots)
        turns = [f"**{plain(turn['question'])}**\n\n{self._came(turn)}".strip() for turn in self._state.turns]
        return "\n\n".join([plain(f"A chat about {roots}."), *turns, plain(_NO_FRONT_END)])

    def answer_page(self, message: Message) -> None:
        """Ask what a page asks, with what its context bar held."""
        attached = self._take_context(message.get("with"))
        after = str(message.get("after", ""))
        if after:
            self._session.edit(after, str(message["question"]), str(message["id"]), attached)
        else:
            self._session.ask(str(message["question"]), str(message["id"]), attached)

    def retry(self, message: Message) -> None:
        """Ask the question of a turn again."""
        self._session.retry(str(message["id"]))

    def vote(self, message: Message) -> None:
        """Keep what a person thinks of an answer."""
        self._session.vote(str(message["id"]), str(message["rating"]), str(message.get("edited", "")))

    def note_opened(self, message: Message) -> None:
        """Keep that a citation was opened."""
        self._session.note_opened(str(message["id"]), int(message["n"]))

    def attach(self, message: Message) -> None:
        """Put something of the notebook into the context bar."""
        gathered = self._surroundings.gather([str(message["word"])])
        self._put(gathered.attachments)
        for notice in gathered.notices:
            self.channel.post({"type": "notice", "remark": notice})

    def reattach(self, message: Message) -> None:
        """Put what went along with a question into the context bar again: the question is being edited."""
        self._put(self._session.attachments(str(message["id"])))

    def detach(self, message: Message) -> None:
        """Take something out of the context bar."""
        self._attached = tuple(one for one in self._attached if one.title != message["title"])
        self._show_context()

    def choose(self, message: Message) -> None:
        """Take another model, another adapter, or the model alone."""
        changes = {name: _CHOICES[name](value) for name, value in message["values"].items() if name in _CHOICES}
        self._session.choose(**changes)

    def list_choices(self, message: Message) -> None:
        """Post the models and adapters that can be chosen."""

        def work() -> None:
            client = reach()
            models = [model.name for model in client.models() if model.installed]
            adapters = [adapter.name for adapter in client.adapters() if not adapter.damaged]
            self._show(models=models, adapters=adapters)

        run_errand(work, self.channel.post, "choices")

    def _came(self, turn: Message) -> str:
        if not turn.get("answer"):
            return prose(turn.get("text", ""))
        answer = self._answer(turn)
        return answer._repr_mimebundle_()["text/markdown"]

    def _answer(self, turn: Message) -> Answer:
        options = self._session.options
        asked = AskRequest(turn["question"], options.roots, grounding=options.grounding)
        return Answer(decode(Body, turn["answer"]), asked, notebook_folder(self._shell))

    def _take_context(self, titles: Sequence[str] | None = None) -> tuple[Attachment, ...]:
        """Return what goes along, of these titles alone where any are given, and begin anew."""
        taken = tuple(one for one in self._attached if titles is None or one.title in titles)
        self._attached = ()
        self._renew_context()
        return taken

    def _cell_ran(self, result: Any) -> None:
        self._renew_context()

    def _renew_context(self) -> None:
        """Gather anew what goes along with each question; what is not there now (no error yet) is left out."""
        fresh: list[Attachment] = []
        for word in self._standing:
            with suppress(NotFound):
                fresh += self._surroundings.gather([word]).attachments
        self._put(fresh)

    def _put(self, attachments: Sequence[Attachment]) -> None:
        titles = {one.title for one in attachments}
        self._attached = (*(one for one in self._attached if one.title not in titles), *attachments)
        self._show_context()

    def _show_context(self) -> None:
        names = self._shell.user_ns if self._shell is not None else {}
        values = {"context": [shown_attachment(one) for one in self._attached], "offers": _offers(names)}
        if any(self._state.values[name] != value for name, value in values.items()):
            self._show(**values)


def _surroundings(shell: Any, options: ChatOptions) -> Surroundings:
    root = options.roots[0] if options.roots else ""
    if shell is None:
        return Surroundings({}, CellRecord(), root, str)
    return Surroundings(shell.user_ns, record_of(shell), root, shown_by(shell), running_cell(shell))


def _offers(names: Mapping[str, Any]) -> Message:
    """Return what can be put into the context bar."""
    return {"words": list(CONTEXTS), "variables": visible_names(names)}


_CHOICES: dict[str, Callable[[Any], Any]] = {
    "model": lambda value: find_model(str(value)),
    "adapters": lambda value: adapter_uses([str(one) for one in value]),
    "grounding": bool,
}
"""The options that a page may change, each made of what it sends."""

_RELOAD = "Run the cell again, so that page and kernel are of one version."
_NO_FRONT_END = (
    "The widget shows in JupyterLab, Notebook 7, VS Code and Colab. Elsewhere ask by `.ask('your question')` of this "
    "chat, or by lorebook.ask('your question')."
)

_DEEDS: dict[str, Callable[[Chat, Message], None]] = {
    "ask": Chat.answer_page,
    "stop": lambda chat, message: chat.stop(),
    "retry": Chat.retry,
    "vote": Chat.vote,
    "opened": Chat.note_opened,
    "attach": Chat.attach,
    "detach": Chat.detach,
    "reattach": Chat.reattach,
    "choose": Chat.choose,
    "choices": Chat.list_choices,
    "conversations": lambda chat, message: chat._shelf.refresh(),
    "begin": lambda chat, message: chat._shelf.begin(),
    "open": lambda chat, message: chat.resume(str(message["id"])),
    "rename": lambda chat, message: chat._shelf.rename(str(message["id"]), str(message["title"])),
    "delete": lambda chat, message: chat._shelf.delete(str(message["id"])),
    "export": lambda chat, message: chat._shelf.export(),
}
"""What a page may ask for."""
