"""A daemon that says what it is told to: real HTTP on the loopback interface, the contract's routes, no engine.

`python fake_daemon.py HOME` serves until it is stopped, for the tests that need a second process.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from lorebook_api.asking import Answer, Citation, Claim, Source, Timings, Usage
from lorebook_api.classification import Classified, ClassifyReport
from lorebook_api.conversation import Conversation, ConversationInfo, Exchange
from lorebook_api.errors import Cancelled, LorebookError, NotFound
from lorebook_api.feedback import FeedbackMode, FeedbackState
from lorebook_api.indexing import IndexReport, Progress, RootInfo, Skipped
from lorebook_api.retrieval import RankStep, SearchResponse, SearchResult
from lorebook_api.state import AdapterInfo, ModelInfo, Status
from lorebook_api.teaching import JobInfo, Metrics, Preview, PreviewExample, Said, Saw, Segment, TeachResult
from lorebook_api.version import VERSION

TOKEN = "a-token"
HANG_UP = object()
"""In a script: the connection breaks here, as when the daemon dies."""

QUOTE = "df = df.dropna()\nlen(df)"
SOURCE = Source("clean.ipynb", 1, 4, "notebook", 0.81, f"import x\n{QUOTE}\n2", "c5", 5, 7, "/data")
CITATION = Citation(
    1, "clean.ipynb", 2, 3, QUOTE, hashlib.sha256(QUOTE.encode()).hexdigest(), 0.97, "c5", 5, 7, "/data"
)
CODE_QUOTE = "def fare(km):"
CODE_CITATION = Citation(
    2, "src/fare.py", 10, 10, CODE_QUOTE, hashlib.sha256(CODE_QUOTE.encode()).hexdigest(), 0.8, root="/data"
)
ANSWER = Answer(
    answer="Cell 5 drops them. [1] The fare is a function. [2] It rained.",
    abstained=False,
    grounded=0.67,
    citations=(CITATION, CODE_CITATION),
    claims=(
        Claim("Cell 5 drops them.", (1,), 0.97),
        Claim("The fare is a function.", (2,), 0.8),
        Claim("It rained.", (), 0.1),
    ),
    sources=(SOURCE,),
    model="echo-1b",
    usage=Usage(812, 790, 41),
    timings=Timings(6.1, 410.0, 2300.0),
    retrieval="hybrid",
    notices=("index updated: 3 files changed",),
)
ABSTAINED = Answer("I did not find the answer to this in your files.", True, 0.0, (), (), (SOURCE,), "echo-1b")
TOKENS = ("Cell 5 ", "drops them. ", "The fare is a function. ", "It rained.")
RESULT = SearchResult(1, "src/fare.py", 10, 12, "code", 0.5, "def fare(km):\n    return km\n", root="/data")
STEPS = (
    RankStep("words", 0.8, 2),
    RankStep("meaning", 0.3, 4),
    RankStep("cell definition", 0.0, 0),
    RankStep("fused", 0.4, 1),
    RankStep("definition", 1.0, 1, 2.5),
    RankStep("together", 1.002, 1, 1.002),
    RankStep("final", 0.5, 1),
)
REPORT = IndexReport("/data", 3, 17, 2, 1, 0, (Skipped("big.csv", "120 MB, above max_file_mb = 20"),), 0.4)
MODEL = ModelInfo("echo-1b", "/models/echo-1b.gguf", 1_000_000, "lorebook", True, default=True)
ADAPTER = AdapterInfo(
    name="lab-notes",
    path="/models/adapters/lab-notes.gguf",
    size=2_500_000,
    architecture="llama",
    ranks=(8,),
    alpha=16.0,
    targets=("attn_q", "attn_v"),
    layers=tuple(range(30)),
    invocation=(1, 520, 198),
    base="Echo 1B",
    scale=0.5,
)
CONVERSATION = Conversation(
    "c1",
    "Where do the null rows go?",
    "2030-01-01T00:00:00+00:00",
    "2030-01-01T00:01:00+00:00",
    (
        Exchange("q1", "Where do the null rows go?", "2030-01-01T00:00:00+00:00", ANSWER),
        Exchange("q2", "And then?", "2030-01-01T00:01:00+00:00", text="half", error="Stopped.", stopped=True),
    ),
)
DAMAGED = AdapterInfo("old", "/models/adapters/old.gguf", 15, damaged="old.gguf is cut short: 0 of 2 MB.")

EXAMPLE = PreviewExample(
    "clean.ipynb, cell c5", (Segment("Explain this.", 4, False), Segment("It drops rows.", 5, True)), 9
)
PREVIEW = Preview((EXAMPLE, replace(EXAMPLE, left_out="duplicate")), "echo-1b", "it", 2, 4, 9000, 40, 1536, 1, 0, 1)
JOB = JobInfo("j1", "teach", "clean", "running", "2030-01-01T00:00:00+00:00")
TAUGHT = replace(JOB, state="done", result=asdict(TeachResult("j1", "clean", "active", 1, 35.0, 0.4, 0.6)))

SAW = (
    Saw("lab", ("lab.ipynb c3",), 4, "j1"),
    Saw("old", ("lab.ipynb c3",), 4, earlier=True),
    Saw("top", (), 2, upon="own", reason="the model that it was taught upon, own, is not made again"),
    Saw("/work/m.gguf", ("lab.ipynb c3",), 0, file="/work/m.gguf"),
)


def teaching() -> list[Any]:
    """Return the events of a job that goes well."""
    return [
        ("progress", asdict(Progress("reading examples"))),
        ("metrics", asdict(Metrics(1, 4, 3.2, None, 120.0, 30.0))),
        ("metrics", asdict(Metrics(2, 4, 1.6, 1.9, 120.0, 20.0))),
        ("said", asdict(Said("Explain this.", "It drops rows.", "It drops rows.", 2))),
        ("metrics", asdict(Metrics(4, 4, 0.4, 0.6, 120.0, 0.0))),
        ("done", asdict(TAUGHT)),
    ]


def answering(answer: Answer = ANSWER, tokens: tuple[str, ...] = TOKENS) -> list[Any]:
    """Return the script of an ask that goes well."""
    return [
        ("progress", asdict(Progress("loading echo-1b", 50, 100))),
        ("sources", {"sources": [asdict(source) for source in answer.sources]}),
        *(("token", {"text": token}) for token in tokens),
        ("answer", asdict(answer)),
    ]


@dataclass
class Call:
    """A request that came in."""

    method: str
    path: str
    body: Any
    authorization: str


@dataclass
class Scripts:
    """What the fake says; a number in a script is a pause in seconds, an event to wait for blocks."""

    ask: Iterable[Any] = field(default_factory=answering)
    index: list[Any] = field(
        default_factory=lambda: [
            ("progress", asdict(Progress("reading files", 1, 3))),
            ("report", asdict(REPORT)),
            ("done", {"roots": [asdict(REPORT)]}),
        ]
    )
    pull: list[Any] = field(
        default_factory=lambda: [
            ("progress", asdict(Progress("echo-1b.gguf", 500_000, 1_000_000))),
            ("done", asdict(MODEL)),
        ]
    )
    load: list[Any] = field(
        default_factory=lambda: [
            ("progress", asdict(Progress("loading echo-1b", 50, 100))),
            ("done", asdict(replace(ADAPTER, loaded=True))),
        ]
    )
    adapters: tuple[AdapterInfo, ...] = (ADAPTER, DAMAGED)
    shown: AdapterInfo = ADAPTER
    """What `lab-notes` is."""
    job: list[Any] = field(default_factory=teaching)
    jobs: tuple[JobInfo, ...] = ()
    conversations: list[Conversation] = field(default_factory=list)
    feedback: FeedbackMode = "off"
    replies: dict[str, Any] = field(default_factory=dict)
    """What further routes answer, by their paths without a query: JSON, or a list of events."""
    error: LorebookError | None = None
    """Answered to everything but /health."""


class FakeDaemon:
    """Serves in a thread; as a context manager it writes the runtime file of `runtime` and takes it away."""

    def __init__(self, runtime: Path, version: str = VERSION, queue: int = 0) -> None:
        self.scripts = Scripts()
        self.calls: list[Call] = []
        self.cancelled = threading.Event()
        self.stopped = threading.Event()
        self.version = version
        self.queue = queue
        self.roots = (RootInfo("/data", 3, 17, 17, "2026-01-01T00:00:00+00:00"),)
        self._file = runtime / "daemon.json"
        # Held for life, as the daemon does; let go of by the thread that ends it.
        self._lock = FileLock(runtime / "daemon.lock", thread_local=False)
        fake = self

        class Handler(_Handler):
            daemon = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        told = {"url": self.url, "token": TOKEN, "pid": os.getpid(), "version": self.version, "started": "2026-01-01"}
        self._file.write_text(json.dumps(told))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancelled.set()
        self.end()

    def end(self) -> None:
        """Stop answering, as at the end of a daemon."""
        if not self.stopped.is_set():
            self.stopped.set()
            self._file.unlink(missing_ok=True)
            self._server.shutdown()
            self._server.server_close()
            self._lock.release()

    def of(self, path: str) -> list[Call]:
        """Return the calls of one route."""
        return [call for call in self.calls if call.path == path]

    def status(self) -> Status:
        return Status(
            self.version,
            os.getpid(),
            "2026-01-01",
            self.url,
            60.0,
            3600.0,
            "echo-1b",
            "ready",
            self.queue,
            self.roots,
            99.5,
            ("/photos",),
            12.5,
            4096,
            1024,
            feedback=self.scripts.feedback,
        )


class _Handler(BaseHTTPRequestHandler):
    daemon: FakeDaemon

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        daemon = self.daemon
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        call = Call(
            self.command, self.path, json.loads(body) if body else None, self.headers.get("authorization") or ""
        )
        daemon.calls.append(call)
        if self.path == "/health":
            return self._json({"status": "ok", "version": daemon.version})
        if call.authorization != f"Bearer {TOKEN}":
            return self._json({"error": {"code": 401, "message": "no token", "type": "authentication_error"}}, 401)
        if daemon.scripts.error:
            return self._json(daemon.scripts.error.body(), daemon.scripts.error.status)
        routes = {
            "/api/status": lambda: self._json(asdict(daemon.status())),
            "/api/ask": lambda: self._stream(daemon.scripts.ask),
            "/api/index": lambda: self._stream(daemon.scripts.index),
            "/api/open": lambda: self._json({"root": call.body["root"], "path": call.body["path"]}),
            "/api/index/pause": lambda: self._json({"paused": True}),
            "/api/index/resume": lambda: self._json({"paused": False}),
            "/api/index/forget": lambda: self._json({"forgotten": call.body["root"]}),
            "/api/feedback": self._feedback,
            "/api/models/pull": lambda: self._stream(daemon.scripts.pull),
            "/api/cancel": self._cancel,
            "/api/search": lambda: self._json(asdict(SearchResponse((_result(call.body),), 3.2))),
            "/api/related": lambda: self._json(asdict(SearchResponse((RESULT,), 3.2))),
            "/api/models": lambda: self._json({"models": [asdict(MODEL)]}),
            "/api/models/add": lambda: self._json(asdict(MODEL)),
            "/api/models/echo-1b": lambda: self._json({"removed": "echo-1b"}),
            "/api/adapters": lambda: self._json({"adapters": [asdict(one) for one in daemon.scripts.adapters]}),
            "/api/adapters/load": lambda: self._stream(daemon.scripts.load),
            "/api/adapters/unload": lambda: self._json({"unloaded": "lab-notes"}),
            "/api/adapters/import": lambda: self._json(asdict(ADAPTER)),
            "/api/adapters/rollback": lambda: self._json(asdict(replace(ADAPTER, status="active"))),
            "/api/adapters/forget": lambda: self._json({"adapters": [asdict(saw) for saw in SAW]}),
            "/api/adapters/lab-notes": lambda: self._json(asdict(daemon.scripts.shown)),
            "/api/adapters/old": lambda: self._json(asdict(DAMAGED)),
            "/api/jobs/j1": lambda: self._json(asdict(TAUGHT)),
            "/api/jobs/j1/resume": lambda: self._json(asdict(JOB)),
            "/api/teach/preview": lambda: self._json(asdict(PREVIEW)),
            "/api/classify": lambda: self._json(asdict(_classes(call.body))),
            "/api/teach": lambda: self._json(asdict(JOB)),
            "/api/jobs": lambda: self._json({"jobs": [asdict(job) for job in daemon.scripts.jobs]}),
            "/api/jobs/j1/events": lambda: self._stream(daemon.scripts.job),
            "/api/jobs/j1/cancel": self._cancel_job,
            "/api/stop": self._stop,
        }
        if self.path.startswith("/api/conversations"):
            return self._conversations()
        plain = self.path.partition("?")[0]
        if plain in daemon.scripts.replies:
            reply = daemon.scripts.replies[plain]
            return self._stream(reply) if isinstance(reply, list) else self._json(reply)
        missing = NotFound(f"{self.path} is not something this daemon does.")
        return routes.get(self.path, lambda: self._json(missing.body(), 404))()

    def _conversations(self) -> None:
        kept = self.daemon.scripts.conversations
        _, _, conversation = self.path.removeprefix("/api/conversations").partition("/")
        conversation, _, deed = conversation.partition("/")
        found = next((one for one in kept if one.id == conversation), None)
        if not conversation:
            infos = [ConversationInfo(one.id, one.title, one.created, one.updated, len(one.exchanges)) for one in kept]
            return self._json({"conversations": [asdict(info) for info in infos]})
        if found is None:
            return self._json(NotFound(f"There is no conversation {conversation!r}.").body(), 404)
        if self.command == "DELETE":
            kept.remove(found)
        return self._json({deed: conversation} if self.command != "GET" else asdict(found))

    def _feedback(self) -> None:
        """Keep nothing, and say that it was the second."""
        if self.command == "DELETE":
            return self._json({"forgotten": 2})
        if self.command == "GET":
            return self._json(asdict(FeedbackState("keep")))
        return self._json({"id": 2, "at": "2030-01-01T00:00:00+00:00", "feedback": self.daemon.calls[-1].body})

    def _json(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, script: Iterable[Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for step in script:
            if step is HANG_UP:
                return
            if isinstance(step, int | float):
                if self.daemon.cancelled.wait(step):
                    self._event("error", Cancelled("The request was cancelled.").body())
                    return
                continue
            self._event(*step)

    def _event(self, name: str, data: Any) -> None:
        try:
            self.wfile.write(f": ping\n\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode())
        except OSError:
            self.close_connection = True

    def _cancel_job(self) -> None:
        self.daemon.cancelled.set()
        self._json(asdict(replace(JOB, state="cancelled")))

    def _cancel(self) -> None:
        self.daemon.cancelled.set()
        self._json({"cancelled": True})

    def _stop(self) -> None:
        self._json({"stopping": True})
        threading.Thread(target=self.daemon.end).start()


def main() -> None:
    """Serve for the home in the first argument until stopped."""
    with FakeDaemon(Path(sys.argv[1]) / "runtime") as daemon:
        daemon.stopped.wait()


if __name__ == "__main__":
    main()


def _classes(body: dict[str, Any]) -> ClassifyReport:
    """Return "long" for texts of more than ten characters."""
    lengths = [len(text) > 10 for text in body["texts"]]
    results = tuple(Classified("long", (0.9, 0.1)) if long else Classified("short", (0.2, 0.8)) for long in lengths)
    return ClassifyReport(body["classifier"], "echo-1b", ("long", "short"), results)


def _result(asked: Any) -> SearchResult:
    return replace(RESULT, steps=STEPS) if asked.get("explain") else RESULT
