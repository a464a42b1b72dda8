"""The engine on another machine: any OpenAI-compatible server, behind the Engine protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import EngineFailed, LorebookError, NotFound, TooLong
from lorebook_daemon.engine.protocol import (
    ASKING,
    NO,
    WARMING,
    YES,
    Alternative,
    AnyPrompt,
    Continued,
    Finished,
    Plain,
    Prompt,
    PromptSize,
    Scored,
    Token,
    Turn,
)
from lorebook_daemon.engine.remote.address import address_of
from lorebook_daemon.engine.remote.body import (
    WireAnswer,
    answer_of,
    chat_of,
    event_of,
    sampling_of,
    scored_of,
    usage_of,
)
from lorebook_daemon.engine.remote.estimate import estimate
from lorebook_daemon.engine.remote.server import SERVERS, Served, Server, named, served_at
from lorebook_daemon.engine.remote.stream import Reading
from lorebook_daemon.engine.remote.wire import PATIENCE_S, Wire, message_of
from lorebook_daemon.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

AUTO = "auto"
"""The name that means the first model that the server has."""

_GLANCE_S = 30.0
"""Seconds to wait for a list of models."""
_AT_ONCE = 8
"""Requests in hand at the most for one call of `judge` or `count`."""
_LISTED = 20
"""Likely tokens that a judgement looks among: OpenAI's and vLLM's own limit."""
_NAMED = 5
"""Models that a message names at the most."""


class RemoteEngine:
    """A model on an OpenAI-compatible server; the Engine protocol over HTTP. Use `start`, and `close` at the end.

    What differs from the engine on this machine: nothing is kept of the passages here, so that `warm` and `forget`
    do nothing; a turn's priority is not told, since servers take no order from strangers; what a file holds that
    looks like a control token is told with an invisible mark in it (`body.chat_of`); what a model thinks
    before it answers is not shown where the server keeps it apart; a call of a tool comes as the text that a model
    writes for it.
    """

    def __init__(self, wire: Wire, server: Server, model: str, n_ctx: int) -> None:
        """Take the parts that `start` makes."""
        self._wire, self._server, self._name, self._n_ctx = wire, server, model, n_ctx

    @classmethod
    async def start(cls, name: str, settings: Settings, patience_s: float = PATIENCE_S) -> RemoteEngine:
        """Return the engine for a model of the server at `settings.engine_url`; `auto` takes its first.

        `settings.n_ctx` counts only where the server does not tell how much its context holds. Raises BadRequest for
        an address that may not be used, NotFound for a model that is not there, EngineDied and EngineFailed.
        """
        wire = Wire(address_of(settings), patience_s)
        try:
            model = _pick(name, await served_at(wire), wire.address.host)
            server = SERVERS.get(model.owned_by or "", Server)(wire, model)
            return cls(wire, server, model.id, await server.n_ctx() or settings.n_ctx)
        except BaseException:
            await wire.close()
            raise

    @property
    def model(self) -> str:
        """The model's name, as the server has it."""
        return self._name

    @property
    def n_ctx(self) -> int:
        """Tokens that the context holds: as the server says, else as the settings do."""
        return self._n_ctx

    async def close(self) -> None:
        """Hang up."""
        await self._wire.close()

    async def count(self, prompts: Sequence[AnyPrompt]) -> list[PromptSize]:
        """Return how many tokens each prompt takes.

        llama-server and vLLM count them. For every other server it is an `estimate`, which errs to more.
        """
        return await _each(self._size, prompts)

    async def generate(
        self,
        prompt: AnyPrompt,
        sampling: Sampling,
        max_tokens: int,
        adapters: tuple[AdapterUse, ...] = (),
        turn: Turn = ASKING,
    ) -> AsyncGenerator[Token | Finished, None]:
        """Yield the answer piece by piece, then Finished; closing the iterator hangs up.

        Raises BadRequest for a grammar where the server follows none.
        """
        if sampling.grammar and isinstance(prompt, Prompt) and prompt.tools and self._server.counts:
            prompt = await self._plain(prompt)  # beside a conversation with tools no server takes a grammar
        path, body = await self._request(prompt, sampling, max_tokens, await self._server.using(adapters))
        body.update(stream=True, stream_options={"include_usage": True})
        reading = Reading(sampling.top_logprobs or 0)
        async with contextlib.aclosing(self._wire.stream(path, body)) as events:
            async for data in events:
                for token in self._take(reading, data):
                    yield token
        if not reading.reason:
            raise self._wire.broken_off()
        if calls := reading.calls.text():
            yield Token(calls)
        yield reading.finished()

    async def judge(
        self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return logit(Yes) - logit(No) of the first token of the answer to each prompt.

        A server lists the twenty likeliest tokens. Of each word the listed spellings count together; a word none of
        whose spellings is listed counts as much as the least likely token that is: the true difference is then
        larger. Raises EngineFailed where the server tells no log-probabilities.
        """
        using = await self._server.using(adapters) if prompts else {}

        async def leaning(prompt: Prompt) -> float:
            path, body = await self._request(prompt, Sampling(top_logprobs=_LISTED), 1, using)
            scored = self._scored(await self._answer(path, body), _LISTED)
            if not scored or not scored[0].top:
                raise self._cannot("tells no log-probabilities, by which answers are checked")
            return _leaning(scored[0].top)

        return await _each(leaning, prompts)

    async def likelihood(
        self, prompts: Sequence[Prompt], text: str, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return the mean log-probability of the tokens of `text` as the beginning of the answer to each prompt.

        Raises EngineFailed where `score` does.
        """
        if not text:
            return [0.0] * len(prompts)

        async def mean(prompt: Prompt) -> float:
            before = (await self._plain(prompt)).tokens
            said = await self._server.tokens(Plain(text))
            scored = await self.score(Plain(tokens=(*before, *said)), 0, adapters, turn)
            return sum(one.logprob for one in scored[-len(said) :]) / len(said)

        return await _each(mean, prompts)

    async def continuations(
        self, prompt: AnyPrompt, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[Continued]:
        """Return how likely each text is right after the prompt. Raises EngineFailed where `score` does."""
        plain = await self._plain(prompt)
        before = plain.tokens or await self._server.tokens(plain)

        async def continued(text: str) -> Continued:
            together = Plain(plain.text + text)
            if plain.tokens:
                together = Plain(tokens=(*plain.tokens, *await self._server.tokens(Plain(text))))
            said = (await self.score(together, 1, adapters, turn))[len(before) :]
            greedy = all(one.top and one.top[0].raw == one.raw for one in said)
            return Continued(sum(one.logprob for one in said), len(said), greedy)

        return await _each(continued, texts)

    async def score(
        self, prompt: AnyPrompt, top: int = 0, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> tuple[Scored, ...]:
        """Return each token of the prompt with its log-probability after those before it, and the `top` likeliest.

        Raises EngineFailed where the server does not repeat a prompt with its log-probabilities (`echo`), as
        llama-server and Ollama do not.
        """
        plain = await self._plain(prompt)
        path, body = await self._request(plain, Sampling(top_logprobs=top), 1, await self._server.using(adapters))
        answer = await self._answer(path, {**body, "echo": True})
        scored = self._scored(answer, top)
        prompt_tokens = usage_of(answer.usage).prompt_tokens
        if not prompt_tokens or len(scored) <= prompt_tokens:
            raise self._cannot("does not tell the log-probabilities of a prompt")
        return (Scored(scored[0].token, scored[0].raw, 0.0), *scored[1:prompt_tokens])

    async def hidden(
        self, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[list[float]]:
        """Raise EngineFailed: no such server tells them."""
        raise self._cannot("tells no hidden states, so it cannot classify")

    async def warm(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = WARMING) -> int:
        """Return 0: what a server keeps of a prompt is its own affair, and reading ahead would take others' time."""
        return 0

    async def forget(self, passages: Sequence[str]) -> int:
        """Return 0: nothing is kept here, and no server takes such a wish."""
        return 0

    async def load(self, adapter: str) -> None:
        """Have an adapter in the server's memory; raises Unusable where the server does not take it."""
        await self._server.load(adapter)

    async def unload(self, adapter: str) -> None:
        """Drop an adapter from the server's memory; raises NotFound, and Unusable where the server keeps it."""
        await self._server.unload(adapter)

    async def loaded(self) -> tuple[str, ...]:
        """Return the names of the adapters in the server's memory."""
        return await self._server.loaded()

    # -- requests

    async def _request(
        self, prompt: AnyPrompt, sampling: Sampling, max_tokens: int, using: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Return the route for a prompt, and the body to send there; `using` names model and adapters."""
        self._check_length(prompt)
        body = {**using, **sampling_of(sampling), **self._server.sampling(sampling), "max_tokens": max_tokens}
        listed = sampling.top_logprobs
        if isinstance(prompt, Prompt):
            # At least one is asked for: some take 0 for none at all.
            logprobs = {} if listed is None else {"logprobs": True, "top_logprobs": max(1, listed)}
            return "/v1/chat/completions", {**body, **chat_of(prompt), **logprobs}
        logprobs = {} if listed is None else {"logprobs": max(1, listed)}
        return "/v1/completions", {**body, "prompt": list(prompt.tokens) or prompt.text, **logprobs}

    def _check_length(self, prompt: AnyPrompt) -> None:
        """Refuse what may not fit where the server cannot count: Ollama cuts such a prompt and says nothing."""
        about = 0 if self._server.counts else estimate(prompt).total
        if about > self._n_ctx:
            raise TooLong(
                f"The prompt takes about {about} tokens; the engine at {self._wire.address.host} is taken to hold "
                f"{self._n_ctx}.",
                "Ask with fewer sources, or set LOREBOOK_N_CTX to what the server holds.",
            )

    async def _answer(self, path: str, body: dict[str, Any]) -> WireAnswer:
        try:
            return answer_of(await self._wire.post(path, body))
        except ValueError as error:
            raise self._wire.garbled() from error

    def _scored(self, answer: WireAnswer, top: int) -> tuple[Scored, ...]:
        if not answer.choices:
            raise self._wire.garbled()
        try:
            return scored_of(answer.choices[0].logprobs, top)
        except ValueError as error:
            raise self._wire.garbled() from error

    def _take(self, reading: Reading, data: str) -> list[Token]:
        """Return the tokens in an event; raises what the server says where it is an error."""
        try:
            event = event_of(data)
            if not event.error:
                return reading.take(event)
        except ValueError as error:
            raise self._wire.garbled() from error
        status = event.error.get("code") if isinstance(event.error, dict) else None
        raise self._wire.refusal(status if isinstance(status, int) else 500, message_of(event.error))

    async def _size(self, prompt: AnyPrompt) -> PromptSize:
        if not self._server.counts:
            return estimate(prompt)
        try:
            if isinstance(prompt, Plain):
                return PromptSize(len(await self._server.tokens(prompt)), ())
            rest = await self._server.tokens(replace(prompt, passages=()))
            return PromptSize(len(rest), tuple(await _each(self._server.length, prompt.passages)))
        except NotFound as error:
            log.warning("tokens are estimated: %s", error)
            return estimate(prompt)

    async def _plain(self, prompt: AnyPrompt) -> Plain:
        """Return the tokens of a conversation, as text completions take it."""
        if isinstance(prompt, Plain):
            return prompt
        if not self._server.counts:
            raise self._cannot("does not tell the tokens of a conversation")
        return Plain(tokens=await self._server.tokens(prompt))

    def _cannot(self, what: str) -> EngineFailed:
        hint = "Set LOREBOOK_ENGINE_URL to a server that does, such as vLLM, or LOREBOOK_ENGINE=llama."
        return EngineFailed(f"The engine at {self._wire.address.host} {what}.", hint)


async def served_models(settings: Settings) -> tuple[str, ...]:
    """Return the names of the models that the server at `settings.engine_url` has; raises what `start` raises."""
    return tuple(row.id for row in await _served(settings) if not row.parent)


async def model_named(name: str, settings: Settings) -> str:
    """Return what the server calls the model that `start` would take by this name; raises what `start` raises."""
    return _pick(name, await _served(settings), address_of(settings).host).id


async def _served(settings: Settings) -> tuple[Served, ...]:
    wire = Wire(address_of(settings), _GLANCE_S)
    try:
        return await served_at(wire)
    finally:
        await wire.close()


def _pick(name: str, served: Sequence[Served], host: str) -> Served:
    """Return the model that a name means: as the server has it, without Ollama's `:latest`, without a folder."""
    models = [row for row in served if not row.parent]
    fitting = [row for row in models if name in (AUTO, row.id, row.id.removesuffix(":latest"), named(row.id))]
    if fitting:
        return min(fitting, key=lambda row: row.id != name)
    names = ", ".join(row.id for row in models[:_NAMED]) or "none at all"
    raise NotFound(f"{host} has no model {name}.", f"Set LOREBOOK_MODEL to one that it has: {names}.")


async def _each(work: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Return what `work` returns for each item, a few at a time; where one fails, the others are given up."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def placed(item: T) -> R:
        async with places:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(placed(item)) for item in items]
    except BaseExceptionGroup as failures:
        ours, others = failures.split(LorebookError)
        if ours is None or others is not None:
            raise
        raise _first(ours) from None
    return [task.result() for task in tasks]


def _first(failures: BaseExceptionGroup[LorebookError]) -> LorebookError:
    """Return one of several failures: a line that breaks fails all that went over it, each for the same reason."""
    failure = failures.exceptions[0]
    return failure if isinstance(failure, LorebookError) else _first(failure)


def _leaning(listed: Sequence[Alternative]) -> float:
    """Return logit(Yes) - logit(No) by the log-probabilities of the tokens that are listed."""
    return _weight(listed, YES) - _weight(listed, NO)


def _weight(listed: Sequence[Alternative], spellings: Sequence[str]) -> float:
    """Return the log-probability of all listed spellings of a word together, else the least that is listed."""
    wanted = {spelling.encode() for spelling in spellings}
    found = [one.logprob for one in listed if one.raw in wanted]
    if not found:
        return min(one.logprob for one in listed)
    most = max(found)
    return most + math.log(sum(math.exp(logprob - most) for logprob in found))
