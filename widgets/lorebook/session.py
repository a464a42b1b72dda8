"""The questions of a chat widget: asked in a thread, streamed to its pages, taken back, asked anew, rated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from lorebook.channel import Message
from lorebook.errands import Post, failure, run_errand
from lorebook.opinions import opened_of, opinion_of
from lorebook.state import WidgetState
from lorebook_api.asking import AdapterUse, Answer, AskRequest, Attachment
from lorebook_api.client import AskEvent, Client, SourcesFound, TokenText, new_request_id
from lorebook_api.errors import BadRequest, Cancelled, Conflict, DaemonUnavailable, LorebookError, NotFound
from lorebook_api.feedback import Feedback
from lorebook_api.indexing import Progress

SEND_EVERY_S = 0.04
"""Text that comes quicker is sent together; the first piece after a rest at once."""

Reach = Callable[[Callable[[str], None]], Client]
"""Returns a client of the daemon, which is started if need be; the argument is told what is being done."""


@dataclass(frozen=True)
class ChatOptions:
    """How the questions of a chat are asked; `roots` are absolute."""

    roots: tuple[str, ...]
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()
    k: int = 6
    max_tokens: int = 320
    grounding: bool = True


class ChatSession:
    """One question at a time; every method returns at once, and posts what comes of it."""

    def __init__(
        self, options: ChatOptions, state: WidgetState, post: Post, reach: Reach, answered: Callable[[], None]
    ) -> None:
        """Call `answered` whenever the daemon has kept another answer."""
        self.options = options
        self.conversation = new_request_id()
        self._state = state
        self._post = post
        self._reach = reach
        self._answered = answered
        self._lock = threading.Lock()
        self._running: AskRequest | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether an answer is being made."""
        return self._running is not None

    def ask(self, question: str, turn_id: str = "", attachments: Sequence[Attachment] = (), after: str = "") -> str:
        """Ask, and return the turn's id; `after` is the first turn to be dropped before.

        Raises BadRequest for a blank question, Conflict while another answer is being made.
        """
        request = self._request(question, turn_id or new_request_id(), attachments)
        with self._lock:
            if self._running is not None:
                raise Conflict("An answer is being written.", "Stop it first, or wait for its end.")
            self._running, self._stopped = request, False
        if after:
            self._post({"type": "cut", "id": after})
        self._post(_asked(request))
        self._thread = threading.Thread(target=self._run, args=(request, after), name="lorebook-chat", daemon=True)
        self._thread.start()
        return request.request_id

    def wait(self) -> None:
        """Return when the answer in hand has ended; an interrupt takes the question back."""
        try:
            while self._thread is not None and self._thread.is_alive():
                self._thread.join(0.1)
        except KeyboardInterrupt:
            self.stop()
            raise

    def stop(self) -> None:
        """Take the question in hand back; nothing where there is none."""
        request = self._running
        if request is not None:
            self._stopped = True
            run_errand(lambda: self._cancel(request.request_id), self._post, "stop")

    def retry(self, turn_id: str) -> str:
        """Ask the question of a turn again, in its place; what followed it goes. Raises NotFound, Conflict."""
        return self.ask(self._turn(turn_id)["question"], "", self.attachments(turn_id), turn_id)

    def edit(self, turn_id: str, question: str, new_id: str = "", attachments: Sequence[Attachment] = ()) -> str:
        """Ask another question in the place of a turn; what followed it goes. Raises NotFound, Conflict."""
        self._turn(turn_id)
        return self.ask(question, new_id, attachments, turn_id)

    def vote(self, turn_id: str, rating: str, edited: str = "") -> None:
        """Keep what a person thinks of a turn's answer; the turn shows it then. Raises NotFound, BadRequest."""
        opinion = opinion_of(self._turn(turn_id), rating, edited)

        def work() -> None:
            self._keep(opinion)
            self._post({"type": "turn", "id": turn_id, "vote": rating})

        run_errand(work, self._post, "vote")

    def note_opened(self, turn_id: str, n: int) -> None:
        """Keep that the citation with this number was opened: it was worth a look. Raises NotFound."""
        opened = opened_of(self._turn(turn_id), n)
        run_errand(lambda: self._keep(opened), self._post, "opened")

    def _keep(self, feedback: Feedback) -> None:
        self._reach(lambda line: None).give_feedback(feedback)

    def choose(self, **changes: Any) -> None:
        """Ask otherwise from the next question on."""
        self.options = replace(self.options, **changes)
        self._post({"type": "set", "values": {"options": shown_options(self.options)}})

    def attachments(self, turn_id: str) -> list[Attachment]:
        """Return what went along with a turn's question. Raises NotFound."""
        return _attachments(self._turn(turn_id))

    def _turn(self, turn_id: str) -> Message:
        turn = self._state.turn(turn_id)
        if turn is None:
            raise NotFound("This question is not in the conversation any more.", "Ask it anew.")
        return turn

    def _request(self, question: str, request_id: str, attachments: Sequence[Attachment]) -> AskRequest:
        if not question.strip():
            raise BadRequest("There is no question.", "Type one.")
        options = self.options
        return AskRequest(
            question=question.strip(),
            roots=options.roots if options.grounding else (),
            model=options.model,
            adapters=options.adapters,
            k=options.k,
            max_tokens=options.max_tokens,
            grounding=options.grounding,
            request_id=request_id,
            conversation=self.conversation,
            attachments=tuple(attachments),
        )

    def _run(self, request: AskRequest, after: str) -> None:
        turn_id = request.request_id
        outcome: Message = {"state": "failed", "failure": failure(LorebookError("It ended without an answer."))}
        try:
            outcome = self._follow(request, after)
        except Cancelled:
            outcome = {"state": "stopped"}
        except LorebookError as error:
            outcome = {"state": "failed", "failure": failure(error)}
        finally:
            with self._lock:
                self._running = None
            self._post({"type": "turn", "id": turn_id, "progress": None, **outcome})
            if outcome["state"] == "done":
                self._answered()

    def _follow(self, request: AskRequest, after: str) -> Message:
        """Post what happens to the question; return how its turn ends."""
        turn_id = request.request_id
        text = _Batch(lambda piece: self._post({"type": "token", "id": turn_id, "text": piece}))
        client = self._reach(lambda line: self._tell(turn_id, Progress(line)))
        self._post({"type": "set", "values": {"feedback": client.status().feedback != "off"}})
        if after:
            with suppress(NotFound):  # a question that was never kept has nothing to be cut
                client.cut_conversation(request.conversation, after)
        self._refuse_stopped()
        with closing(client.ask(request)) as events:
            for event in events:
                self._refuse_stopped()
                if isinstance(event, TokenText):
                    text.add(event.text)
                    continue
                text.flush()
                if isinstance(event, Answer):
                    return {"state": "done", "answer": asdict(event), "text": event.answer}
                self._tell(turn_id, event)
        raise DaemonUnavailable("the daemon sent no answer.", "See `lorebook logs`.")

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise Cancelled("The question was taken back.")

    def _tell(self, turn_id: str, event: AskEvent) -> None:
        match event:
            case SourcesFound():
                found = len(event.sources)
                progress = Progress(f"reading {found} {'passage' if found == 1 else 'passages'}")
            case Progress():
                progress = event
            case _:
                return
        self._post({"type": "turn", "id": turn_id, "progress": asdict(progress)})

    def _cancel(self, request_id: str) -> None:
        self._reach(lambda line: None).cancel(request_id)


class _Batch:
    """Text on its way: sent at once after a rest, together with what comes soon after it."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._pieces: list[str] = []
        self._sent = float("-inf")

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        if time.monotonic() - self._sent >= SEND_EVERY_S:
            self.flush()

    def flush(self) -> None:
        if self._pieces:
            self._send("".join(self._pieces))
            self._pieces.clear()
            self._sent = time.monotonic()


def shown_options(options: ChatOptions) -> Message:
    """Return the options as the front end shows them."""
    return asdict(options)


def shown_attachment(attachment: Attachment) -> Message:
    """Return an attachment with the fields that the front end shows, and those that it was made of."""
    return {**asdict(attachment), "language": "python" if attachment.cell_id else ""}


def _attachments(turn: Message) -> list[Attachment]:
    return [
        Attachment(**{name: value for name, value in one.items() if name != "language"}) for one in turn["attachments"]
    ]


def _asked(request: AskRequest) -> Message:
    return {
        "type": "turn",
        "id": request.request_id,
        "question": request.question,
        "attachments": [shown_attachment(one) for one in request.attachments],
        "state": "running",
        "text": "",
        "progress": asdict(Progress("asking")),
        "answer": None,
        "failure": None,
    }
