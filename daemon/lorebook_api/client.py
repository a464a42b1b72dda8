"""Talk to the daemon: one method a route, errors as `lorebook_api.errors`, streams as iterators.

Events of the streams, as the daemon sends them (`event:` name, `data:` JSON):

- `progress`: a Progress; `sources`: `{"sources": [Source…]}`; `token`: `{"text": "…"}`; `answer`: an Answer;
- `report`: an IndexReport; `notice`: a RootNotice; `done`: an index run's reports once more, the ModelInfo that a
  pull brought, or the AdapterInfo that was loaded;
- `error`: the body of an error.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from lorebook_api.asking import Answer, AskRequest, CancelRequest, Source
from lorebook_api.classification import ClassifyReport, ClassifyRequest
from lorebook_api.conversation import Conversation, ConversationInfo
from lorebook_api.decoding import decode as decode
from lorebook_api.discovery import Daemon, open_http
from lorebook_api.errors import DaemonUnavailable, LorebookError, from_body
from lorebook_api.evaluations import Evaluations
from lorebook_api.feedback import Feedback, FeedbackState, KeptFeedback
from lorebook_api.indexing import IndexReport, IndexRequest, OpenRequest, Progress, RootNotice
from lorebook_api.retrieval import RelatedRequest, SearchRequest, SearchResponse
from lorebook_api.sse import EventParser, ServerEvent
from lorebook_api.state import AdapterInfo, ModelInfo, Status
from lorebook_api.teaching import ForgetRequest, JobInfo, Metrics, Prepared, Preview, Said, Saw, TeachRequest

STREAM_SECONDS = 60.0
"""A stream that is silent for longer has lost its daemon, which pings every 10 s."""

T = TypeVar("T")


@dataclass(frozen=True)
class SourcesFound:
    """The passages that the model is given to read, best first."""

    sources: tuple[Source, ...]


@dataclass(frozen=True)
class TokenText:
    """The next piece of the answer's text."""

    text: str


AskEvent = Progress | SourcesFound | TokenText | Answer
IndexEvent = Progress | IndexReport | RootNotice
PullEvent = Progress | ModelInfo
LoadEvent = Progress | AdapterInfo
JobEvent = Progress | Metrics | Said | JobInfo


def new_request_id() -> str:
    """Return an id under which a request can be cancelled."""
    return uuid.uuid4().hex


class Client(Evaluations):
    """A caller of one daemon. Each call opens its own connection, so a second thread may cancel the first's request.

    Every method raises the error that the daemon sent, and DaemonUnavailable where it is gone.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def ask(self, request: AskRequest) -> Generator[AskEvent, None, None]:
        """Yield what happens to the question, the Answer last; closing the iterator cancels the request."""
        request = replace(request, request_id=request.request_id or new_request_id())
        return self._stream("/api/ask", asdict(request), ASK_EVENTS, last="answer")

    def search(self, request: SearchRequest) -> SearchResponse:
        """Return the ranked passages; a root that is not indexed yet is indexed first, however long that takes."""
        return decode(SearchResponse, self._call("POST", "/api/search", asdict(request), seconds=None))

    def related(self, request: RelatedRequest) -> SearchResponse:
        """Return the passages nearest to the one at a place, which is not among them; the root is indexed if need be.

        Raises NotFound where no passage stands there.
        """
        return decode(SearchResponse, self._call("POST", "/api/related", asdict(request), seconds=None))

    def index(self, request: IndexRequest) -> Generator[IndexEvent, None, None]:
        """Yield progress and one IndexReport a root; closing the iterator stops the run.

        With `watch` it goes on with one report for each change, and a RootNotice where there is something to know.
        """
        return self._stream("/api/index", asdict(request), INDEX_EVENTS, last="done")

    def pause_index(self) -> None:
        """Hold all indexing until it is resumed, or until the daemon ends."""
        self._call("POST", "/api/index/pause")

    def resume_index(self) -> None:
        """Let indexing go on."""
        self._call("POST", "/api/index/resume")

    def forget_root(self, root: str) -> None:
        """Drop the index of a folder, by its absolute path, and what was made of it; its files are not touched."""
        self._call("POST", "/api/index/forget", {"root": root})

    def give_feedback(self, feedback: Feedback) -> KeptFeedback:
        """Keep what a person thought of an answer; raises Conflict where the settings say that none is kept."""
        return decode(KeptFeedback, self._call("POST", "/api/feedback", asdict(feedback)))

    def feedback(self) -> FeedbackState:
        """Return the feedback that is kept."""
        return decode(FeedbackState, self._call("GET", "/api/feedback"))

    def forget_feedback(self) -> int:
        """Forget all feedback; return how much there was."""
        return int(self._call("DELETE", "/api/feedback")["forgotten"])

    def open_file(self, request: OpenRequest) -> None:
        """Tell what the person has open, with what was typed and not saved."""
        self._call("POST", "/api/open", asdict(request), seconds=None)

    def status(self) -> Status:
        """Return what the daemon says of itself."""
        return decode(Status, self._call("GET", "/api/status"))

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models that are known, present or not."""
        return tuple(decode(ModelInfo, model) for model in self._call("GET", "/api/models")["models"])

    def pull_model(self, name: str) -> Generator[PullEvent, None, None]:
        """Yield the download's progress in bytes, the ModelInfo last; what was brought is kept when it breaks off."""
        return self._stream("/api/models/pull", {"name": name}, PULL_EVENTS, last="done")

    def add_model(self, path: str) -> ModelInfo:
        """Register a GGUF file where it lies."""
        return decode(ModelInfo, self._call("POST", "/api/models/add", {"path": path}))

    def remove_model(self, name: str) -> None:
        """Delete a model that lorebook brought."""
        self._call("DELETE", f"/api/models/{quote(name, safe='')}")

    def adapters(self) -> tuple[AdapterInfo, ...]:
        """Return the adapters in lorebook's folder, in the order of their names."""
        return tuple(decode(AdapterInfo, adapter) for adapter in self._call("GET", "/api/adapters")["adapters"])

    def adapter(self, name: str) -> AdapterInfo:
        """Return the adapter that a name or an absolute path means."""
        return decode(AdapterInfo, self._call("GET", f"/api/adapters/{quote(name, safe='')}"))

    def load_adapter(self, name: str) -> Generator[LoadEvent, None, None]:
        """Yield how the model and the adapter come into memory, the AdapterInfo last."""
        return self._stream("/api/adapters/load", {"name": name}, LOAD_EVENTS, last="done")

    def unload_adapter(self, name: str) -> None:
        """Drop an adapter from the engine's memory."""
        self._call("POST", "/api/adapters/unload", {"name": name})

    def import_adapter(self, path: str, name: str = "") -> AdapterInfo:
        """Copy the adapter at an absolute path into lorebook's folder, under its file's name where none is given."""
        return decode(AdapterInfo, self._call("POST", "/api/adapters/import", {"path": path, "name": name}, None))

    def remove_adapter(self, name: str) -> None:
        """Delete an adapter in lorebook's folder."""
        self._call("DELETE", f"/api/adapters/{quote(name, safe='')}")

    def roll_back_adapter(self, name: str) -> AdapterInfo:
        """Take an adapter back to its earlier version, or make it a candidate where there is none; return it."""
        return decode(AdapterInfo, self._call("POST", "/api/adapters/rollback", {"name": name}))

    def forget_cell(self, request: ForgetRequest) -> tuple[Saw, ...]:
        """Delete the adapters that learnt from a cell and have them made again without it, or only list them."""
        told = self._call("POST", "/api/adapters/forget", asdict(request), seconds=None)
        return tuple(decode(Saw, one) for one in told["adapters"])

    def classify(self, request: ClassifyRequest) -> ClassifyReport:
        """Return the class of each text."""
        return decode(ClassifyReport, self._call("POST", "/api/classify", asdict(request), seconds=None))

    def preview_teaching(self, request: TeachRequest) -> Preview:
        """Return the examples that a request would teach, and what training them would take."""
        return decode(Preview, self._call("POST", "/api/teach/preview", asdict(request), seconds=None))

    def teach(self, request: TeachRequest) -> JobInfo:
        """Begin to teach; return the job, which goes on by itself."""
        return decode(JobInfo, self._call("POST", "/api/teach", asdict(request), seconds=None))

    def prepare_teaching(self, request: TeachRequest) -> Prepared:
        """Lay out a training that another launcher is to do; `resume_job` takes over what it came to."""
        return decode(Prepared, self._call("POST", "/api/teach/prepare", asdict(request), seconds=None))

    def jobs(self) -> tuple[JobInfo, ...]:
        """Return all jobs, the latest first."""
        return tuple(decode(JobInfo, job) for job in self._call("GET", "/api/jobs")["jobs"])

    def job(self, job_id: str) -> JobInfo:
        """Return a job as it is now."""
        return decode(JobInfo, self._call("GET", _job_path(job_id)))

    def job_events(self, job_id: str) -> Generator[JobEvent, None, None]:
        """Yield what happened in a job and what happens now, at last its JobInfo; closing it only stops watching."""
        return self._stream(f"{_job_path(job_id)}/events", None, JOB_EVENTS, last="done", method="GET")

    def cancel_job(self, job_id: str) -> JobInfo:
        """End a job; what it had reached is kept."""
        return decode(JobInfo, self._call("POST", f"{_job_path(job_id)}/cancel"))

    def resume_job(self, job_id: str) -> JobInfo:
        """Go on with a job that did not get to its end."""
        return decode(JobInfo, self._call("POST", f"{_job_path(job_id)}/resume"))

    def job_log(self, job_id: str) -> str:
        """Return the end of what a job wrote to its log."""
        return str(self._call("GET", f"{_job_path(job_id)}/logs")["log"])

    def cancel(self, request_id: str) -> None:
        """Take an ask back, wherever it is: queued, loading, reading or answering."""
        self._call("POST", "/api/cancel", asdict(CancelRequest(request_id)))

    def conversations(self) -> tuple[ConversationInfo, ...]:
        """Return the conversations that the daemon keeps, the one that was last used first."""
        return tuple(decode(ConversationInfo, one) for one in self._call("GET", "/api/conversations")["conversations"])

    def conversation(self, conversation: str) -> Conversation:
        """Return a conversation with all its exchanges."""
        return decode(Conversation, self._call("GET", _conversation_path(conversation)))

    def cut_conversation(self, conversation: str, exchange: str) -> None:
        """Drop an exchange and all that follow it."""
        self._call("POST", f"{_conversation_path(conversation)}/cut", {"exchange": exchange})

    def rename_conversation(self, conversation: str, title: str) -> None:
        """Give a conversation another title."""
        self._call("POST", f"{_conversation_path(conversation)}/title", {"title": title})

    def delete_conversation(self, conversation: str) -> None:
        """Forget a conversation."""
        self._call("DELETE", _conversation_path(conversation))

    def _call(self, method: str, path: str, body: Any = None, seconds: float | None = 30.0) -> Any:
        with self._reaching(), open_http(self.daemon, seconds) as http:
            response = http.request(method, path, json=body)
            if response.is_error:
                raise _error_of(response)
            return _parse(response.text) if response.content else {}

    def _stream(
        self, path: str, body: Any, events: dict[str, Callable[[Any], T]], last: str, method: str = "POST"
    ) -> Generator[T, None, None]:
        """Yield the decoded events up to the one named `last`; a stream that ends before it has lost its daemon."""
        with closing(self._events(method, path, body)) as stream:
            for event in stream:
                if event.name == "error":
                    raise from_body(_parse(event.data), 500)
                if event.name in events:
                    yield events[event.name](_parse(event.data))
                if event.name == last:
                    return
        raise self._gone()

    def _events(self, method: str, path: str, body: Any) -> Generator[ServerEvent, None, None]:
        parser = EventParser()
        with (
            self._reaching(),
            open_http(self.daemon, STREAM_SECONDS) as http,
            http.stream(method, path, json=body) as response,
        ):
            if response.is_error:
                response.read()
                raise _error_of(response)
            for chunk in response.iter_raw():
                yield from parser.feed(chunk)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise self._gone() from error

    def _gone(self) -> DaemonUnavailable:
        message = f"the daemon (pid {self.daemon.pid}) ended or stopped answering while it was at this."
        return DaemonUnavailable(message, "Try again: it starts by itself. What happened: lorebook logs")


def _conversation_path(conversation: str) -> str:
    return f"/api/conversations/{quote(conversation, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/api/jobs/{quote(job_id, safe='')}"


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise LorebookError("the daemon sent something that is not JSON.", "See `lorebook logs`.") from error


def _error_of(response: httpx.Response) -> LorebookError:
    try:
        body = response.json()
    except ValueError:
        body = None
    return from_body(body, response.status_code)


ASK_EVENTS: dict[str, Callable[[Any], AskEvent]] = {
    "progress": lambda payload: decode(Progress, payload),
    "sources": lambda payload: SourcesFound(tuple(decode(Source, source) for source in payload["sources"])),
    "token": lambda payload: TokenText(str(payload["text"])),
    "answer": lambda payload: decode(Answer, payload),
}
INDEX_EVENTS: dict[str, Callable[[Any], IndexEvent]] = {
    "progress": lambda payload: decode(Progress, payload),
    "report": lambda payload: decode(IndexReport, payload),
    "notice": lambda payload: decode(RootNotice, payload),
}
PULL_EVENTS: dict[str, Callable[[Any], PullEvent]] = {
    "progress": lambda payload: decode(Progress, payload),
    "done": lambda payload: decode(ModelInfo, payload),
}
JOB_EVENTS: dict[str, Callable[[Any], JobEvent]] = {
    "progress": lambda payload: decode(Progress, payload),
    "metrics": lambda payload: decode(Metrics, payload),
    "said": lambda payload: decode(Said, payload),
    "done": lambda payload: decode(JobInfo, payload),
}
LOAD_EVENTS: dict[str, Callable[[Any], LoadEvent]] = {
    "progress": lambda payload: decode(Progress, payload),
    "done": lambda payload: decode(AdapterInfo, payload),
}
