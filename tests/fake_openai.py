"""A small OpenAI-compatible server, with the ways of llama-server, vLLM or Ollama: its tokens are words."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import queue
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

OWNERS = {"llamacpp": "llamacpp", "vllm": "vllm", "ollama": "library"}


def pieces(text: str) -> list[str]:
    """Return the server's tokens."""
    return re.findall(r"\s*\S+|\s+$", text)


@dataclass
class FakeOpenAI:
    """What the server has and does, and what it was `asked`."""

    kind: str = "llamacpp"
    answer: str = "The B valve opens at 4 bar."
    likely: dict[str, float] = field(default_factory=lambda: {"Yes": -0.5, " Yes": -3.0, "No": -2.0, "The": -4.0})
    """The first token of every judged answer."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Pieces of tool calls, sent before the end."""
    adapters: list[str] = field(default_factory=list)
    """Paths."""
    n_ctx: int = 2048
    key: str = ""
    pause_s: float = 0.0
    usage: bool = True
    logprobs: bool = True
    routes: bool = True
    """Whether there is anything beyond OpenAI's routes."""
    fails: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What a route answers instead: a status and a body."""
    event: str = ""
    """Sent in the middle of a stream, after two tokens."""
    cut: bool = False
    """The line breaks after two tokens."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    hung_up: int = 0
    """Streams that nobody read to their end."""
    in_hand: int = 0
    most_in_hand: int = 0
    """Answers that were made at once, streams aside."""

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies that were sent to a route."""
        return [body for where, body in self.asked if where == path]

    def models(self) -> dict[str, Any]:
        row: dict[str, Any] = {"id": "tiny", "object": "model", "owned_by": OWNERS[self.kind]}
        rows = [row]
        if self.kind == "vllm":
            row.update(max_model_len=self.n_ctx, root="org/tiny", parent=None)
            rows += [{"id": path.split("/")[-1], "root": path, "parent": "tiny"} for path in self.adapters]
        if self.kind == "ollama":
            row["id"] = "tiny:latest"
        return {"object": "list", "data": rows}

    # -- answers

    def _prompt(self, body: dict[str, Any]) -> list[str]:
        if "messages" in body:
            return [word for message in body["messages"] for word in pieces(message["content"])]
        prompt = body["prompt"]
        return pieces(prompt) if isinstance(prompt, str) else [f" {token}" for token in prompt]

    def _reply(self, body: dict[str, Any]) -> tuple[list[str], str]:
        text = self.answer
        found = [text.index(word) for word in body.get("stop", ()) if word in text]
        tokens = pieces(text[: min(found)] if found else text)
        most = body["max_tokens"]
        return tokens[:most], "stop" if len(tokens) <= most else "length"

    def _chat_logprobs(self, token: str, top: int) -> dict[str, Any]:
        def one(text: str, logprob: float) -> dict[str, Any]:
            number = {"id": len(text)} if self.kind == "llamacpp" else {}
            return {"token": text, "bytes": list(text.encode()), "logprob": logprob, **number}

        likely = self.likely if top == 20 else {token: -0.25, "other": -2.0}
        listed = [one(text, logprob) for text, logprob in itertools.islice(likely.items(), top)]
        return {"content": [{**one(token, -0.25), "top_logprobs": listed}]}

    def _logprobs(self, tokens: list[str], top: int) -> dict[str, Any]:
        likeliest = [None, *({token: -0.25, "other": -2.0} for token in tokens[1:])]
        return {
            "tokens": tokens,
            "token_logprobs": [None, *(-0.25 for _ in tokens[1:])],
            "top_logprobs": likeliest if top else None,
            "text_offset": [0] * len(tokens),
        }

    def _usage(self, body: dict[str, Any], count: int) -> dict[str, Any]:
        told: dict[str, Any] = {"prompt_tokens": len(self._prompt(body)), "completion_tokens": count}
        if self.kind == "llamacpp":
            told["prompt_tokens_details"] = {"cached_tokens": 3}
        if self.kind == "vllm":
            told["prompt_tokens_details"] = None
        return told

    def _timings(self) -> dict[str, Any]:
        times = {"prompt_ms": 12.5, "predicted_ms": 50.0, "draft_n": 4, "draft_n_accepted": 3}
        return {"timings": times} if self.kind == "llamacpp" else {}

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        tokens, reason = self._reply(body)
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": "".join(tokens)}
            if body.get("logprobs") and self.logprobs:
                choice["logprobs"] = self._chat_logprobs(tokens[0], body["top_logprobs"])
        else:
            echo = self._prompt(body) if body.get("echo") and self.kind == "vllm" else []
            choice["text"] = "".join(echo + tokens)
            if "logprobs" in body and self.logprobs:
                choice["logprobs"] = self._logprobs(echo + tokens, body["logprobs"])
        return {"choices": [choice], "usage": self._usage(body, len(tokens)), **self._timings()}

    def _event(self, body: dict[str, Any], token: str) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        if "messages" in body:
            choice["delta"] = {"content": token}
            if body.get("logprobs"):
                choice["logprobs"] = self._chat_logprobs(token, body["top_logprobs"])
        else:
            choice["text"] = token
        return {"choices": [choice]}

    async def events(self, body: dict[str, Any]) -> AsyncIterator[str]:
        tokens, reason = self._reply(body)
        over = False
        try:
            if "messages" in body:
                yield _data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]})
            for n, token in enumerate(tokens):
                if n == 2 and self.event:
                    yield f"data: {self.event}\n\n"
                if n == 2 and self.cut:
                    over = True
                    return
                await asyncio.sleep(self.pause_s)
                yield _data(self._event(body, token))
            for call in self.calls:
                yield _data({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
            yield _data({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
            over = True
            if self.usage and body["stream_options"]["include_usage"]:
                yield _data({"choices": [], "usage": self._usage(body, len(tokens)), **self._timings()})
            yield "data: [DONE]\n\n"
        finally:
            self.hung_up += not over

    # -- the routes beyond OpenAI's

    def tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body["content"] if self.kind == "llamacpp" else body.get("prompt")
        tokens = pieces(text) if text is not None else self._prompt(body)
        return {"tokens": [len(token) for token in tokens]}

    def load(self, body: dict[str, str]) -> Response:
        if not body["lora_path"].startswith("/adapters/"):
            error = {"message": "No adapter_config.json", "type": "BadRequestError", "code": 400}
            return JSONResponse({"error": error}, 400)
        self.adapters.append(body["lora_path"])
        return Response("Success: LoRA adapter added successfully.")

    def unload(self, body: dict[str, str]) -> Response:
        self.adapters = [path for path in self.adapters if path.split("/")[-1] != body["lora_name"]]
        return Response("Success: LoRA adapter removed successfully.")


def _data(event: Any) -> str:
    return f"data: {json.dumps(event)}\n\n"


def _app(fake: FakeOpenAI) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def first(request: Request, call_next: Any) -> Response:
        path, sent = request.url.path, await request.body()
        fake.asked.append((path, json.loads(sent) if sent else None))
        answered: Response = _refused(fake, path, request.headers) or await call_next(request)
        return answered

    _openai_routes(app, fake)
    if fake.kind == "llamacpp":
        _llama_routes(app, fake)
    if fake.kind == "vllm":
        _vllm_routes(app, fake)
    return app


def _refused(fake: FakeOpenAI, path: str, headers: Mapping[str, str]) -> Response | None:
    if fake.key and headers.get("authorization") != f"Bearer {fake.key}":
        return JSONResponse({"error": {"message": "Invalid API Key", "code": 401}}, 401)
    if path in fake.fails:
        status, text = fake.fails[path]
        return Response(text, status, {"location": "/elsewhere"} if 300 <= status < 400 else None)
    if not fake.routes and path not in ("/v1/models", "/v1/chat/completions", "/v1/completions"):
        return JSONResponse({"detail": "Not Found"}, 404)
    return None


def _openai_routes(app: FastAPI, fake: FakeOpenAI) -> None:
    @app.get("/v1/models")
    def models() -> Any:
        return fake.models()

    @app.post("/v1/chat/completions")
    @app.post("/v1/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        if body.get("stream"):
            return StreamingResponse(fake.events(body), media_type="text/event-stream")
        fake.in_hand += 1
        fake.most_in_hand = max(fake.most_in_hand, fake.in_hand)
        await asyncio.sleep(fake.pause_s)
        fake.in_hand -= 1
        return JSONResponse(fake.whole(body))


def _tokenize_route(app: FastAPI, fake: FakeOpenAI) -> None:
    @app.post("/tokenize")
    async def tokenize(request: Request) -> Any:
        return fake.tokenize(await request.json())


def _llama_routes(app: FastAPI, fake: FakeOpenAI) -> None:
    _tokenize_route(app, fake)

    @app.get("/props")
    def props() -> Any:
        return {"default_generation_settings": {"n_ctx": fake.n_ctx}}

    @app.post("/apply-template")
    async def apply(request: Request) -> Any:
        turns = (await request.json())["messages"]
        return {"prompt": "".join(f"<|{turn['role']}|> {turn['content']}\n" for turn in turns) + "<|assistant|>"}

    @app.get("/lora-adapters")
    def adapters() -> Any:
        return [{"id": n, "path": path, "scale": 1.0} for n, path in enumerate(fake.adapters)]


def _vllm_routes(app: FastAPI, fake: FakeOpenAI) -> None:
    _tokenize_route(app, fake)

    @app.post("/v1/load_lora_adapter")
    async def load(request: Request) -> Response:
        return fake.load(await request.json())

    @app.post("/v1/unload_lora_adapter")
    async def unload(request: Request) -> Response:
        return fake.unload(await request.json())


@contextlib.asynccontextmanager
async def served(fake: FakeOpenAI) -> AsyncIterator[str]:
    """Serve `fake` at a free port of the loopback interface; yields the url."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(_app(fake), log_level="critical", lifespan="off", ws="none")
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([sock])  # `serve` would look at its signals ten times a second
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.force_exit = True
            await server.shutdown([sock])


@contextlib.contextmanager
def serving(fake: FakeOpenAI) -> Iterator[str]:
    """Serve `fake` from a thread, for what has no event loop or one of its own; yields the url."""
    urls: queue.Queue[str] = queue.Queue()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with served(fake) as url:
            urls.put(url)
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        yield urls.get(timeout=10)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
