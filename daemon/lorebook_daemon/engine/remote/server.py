"""What the OpenAI-compatible servers do each in their own way: tokens, sampling beyond OpenAI's, adapters.

To add a server: a class with what it does otherwise, and one line in `SERVERS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import BadRequest, EngineFailed, NotFound, Unusable
from lorebook_daemon.engine.protocol import AnyPrompt, Plain
from lorebook_daemon.engine.remote.body import chat_of, rows_of
from lorebook_daemon.engine.remote.wire import Wire


@dataclass(frozen=True)
class Served:
    """A row of `/v1/models`; vLLM lists adapters too, with the model that they belong to as `parent`."""

    id: str
    owned_by: str | None = None
    parent: str | None = None
    max_model_len: int | None = None


async def served_at(wire: Wire) -> tuple[Served, ...]:
    """Return the models that a server has, adapters among them."""
    body = await wire.get("/v1/models")
    try:
        return rows_of(Served, body["data"])
    except (KeyError, TypeError, ValueError) as error:
        raise wire.garbled() from error


def named(adapter: str) -> str:
    """Return the name of an adapter that is given by name or by path, whichever system's path it is."""
    return re.split(r"[/\\]", adapter.rstrip("/\\"))[-1].removesuffix(".gguf")


class Server:
    """Any OpenAI-compatible server: what Ollama and the hosted ones have in common, and nothing more."""

    counts = False
    """Whether it tells the tokens of a text."""

    def __init__(self, wire: Wire, model: Served) -> None:
        self._wire, self._model = wire, model

    async def n_ctx(self) -> int | None:
        """Return how many tokens the context holds, None where the server does not tell."""
        return self._model.max_model_len

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Return the fields of a request for what OpenAI's API has no name for; raises BadRequest for a grammar."""
        if sampling.grammar:
            hint = "Leave the grammar out, or set LOREBOOK_ENGINE_URL to a llama-server or vLLM."
            raise BadRequest(f"The engine at {self._wire.address.host} follows no grammar.", hint)
        return {}

    async def tokens(self, prompt: AnyPrompt) -> tuple[int, ...]:
        """Return the tokens of a prompt with its passages; only where it `counts`."""
        raise NotImplementedError

    async def length(self, text: str) -> int:
        """Return how many tokens a text in the middle of a prompt takes; only where it `counts`."""
        raise NotImplementedError

    async def using(self, adapters: tuple[AdapterUse, ...]) -> dict[str, Any]:
        """Return the fields of a request that name the model and apply the adapters.

        Raises NotFound for an adapter that is not there, Unusable where the server takes none.
        """
        if adapters:
            raise self._no_adapters()
        return {"model": self._model.id}

    async def load(self, adapter: str) -> None:
        """Have an adapter in the server's memory."""
        raise self._no_adapters()

    async def unload(self, adapter: str) -> None:
        """Drop an adapter from the server's memory."""
        raise self._no_adapters()

    async def loaded(self) -> tuple[str, ...]:
        """Return the names of the adapters in the server's memory."""
        return ()

    def _no_adapters(self) -> Unusable:
        hint = "Leave the adapter out, or set LOREBOOK_ENGINE_URL to a llama-server or vLLM."
        return Unusable(f"The engine at {self._wire.address.host} takes no adapters.", hint)


@dataclass(frozen=True)
class _Listed:
    """A row of llama-server's `/lora-adapters`."""

    id: int
    path: str


class LlamaServer(Server):
    """llama.cpp's server: adapters are those that it was started with, each request says how strongly they act."""

    counts = True

    async def n_ctx(self) -> int | None:
        """Return the tokens of one slot."""
        body = await self._wire.get("/props")
        try:
            return int(body["default_generation_settings"]["n_ctx"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._wire.garbled() from error

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Return llama.cpp's own names."""
        body: dict[str, Any] = {"repeat_penalty": sampling.repeat_penalty}
        if sampling.temperature > 0:
            body.update(top_k=sampling.top_k, min_p=sampling.min_p)
        return {**body, "grammar": sampling.grammar} if sampling.grammar else body

    async def tokens(self, prompt: AnyPrompt) -> tuple[int, ...]:
        """Render the conversation with the model's own template, then make it tokens."""
        if isinstance(prompt, Plain):
            return prompt.tokens or await self._tokenize(prompt.text, special=True)
        rendered = await self._wire.post("/apply-template", chat_of(prompt))
        try:
            return await self._tokenize(str(rendered["prompt"]), special=True)
        except (KeyError, TypeError) as error:
            raise self._wire.garbled() from error

    async def length(self, text: str) -> int:
        """Return the tokens of the text alone."""
        return len(await self._tokenize(text, special=False))

    async def using(self, adapters: tuple[AdapterUse, ...]) -> dict[str, Any]:
        """Name every adapter with its scale: one left out acts as strongly as the server was started with.

        Where there are any, nothing of an earlier prompt is used again: llama-server takes what was read under
        one adapter for another's (llama.cpp issue 26207).
        """
        listed = await self._listed()
        scales = dict.fromkeys((row.id for row in listed), 0.0)
        for use in adapters:
            scales[self._find(use.name, listed).id] = use.scale
        if not scales:
            return {"model": self._model.id}
        lora = [{"id": number, "scale": scale} for number, scale in scales.items()]
        return {"model": self._model.id, "lora": lora, "cache_prompt": False}

    async def load(self, adapter: str) -> None:
        """Check that the server was started with the adapter; raises Unusable where it was not."""
        try:
            self._find(adapter, await self._listed())
        except NotFound as error:
            raise Unusable(error.message, error.hint) from error

    async def unload(self, adapter: str) -> None:
        """Raise Unusable: the server keeps what it was started with, and without a request it has no effect."""
        self._find(adapter, await self._listed())
        raise Unusable(
            f"llama-server at {self._wire.address.host} keeps the adapters that it was started with.",
            f"Start it without --lora {named(adapter)}.gguf",
        )

    async def loaded(self) -> tuple[str, ...]:
        """Return the adapters that the server was started with."""
        return tuple(named(row.path) for row in await self._listed())

    async def _listed(self) -> tuple[_Listed, ...]:
        body = await self._wire.get("/lora-adapters")
        try:
            return rows_of(_Listed, body)
        except ValueError as error:
            raise self._wire.garbled() from error

    def _find(self, adapter: str, listed: tuple[_Listed, ...]) -> _Listed:
        """Return the row with this path, else with this name."""
        for row in listed:
            if row.path == adapter:
                return row
        for row in listed:
            if named(row.path) == named(adapter):
                return row
        raise NotFound(
            f"llama-server at {self._wire.address.host} was not started with the adapter {named(adapter)!r}.",
            f"Start it with: --lora {named(adapter)}.gguf --lora-init-without-apply",
        )

    async def _tokenize(self, text: str, *, special: bool) -> tuple[int, ...]:
        body = {"content": text, "add_special": special, "parse_special": special}
        return _numbers(await self._wire.post("/tokenize", body), self._wire)


class Vllm(Server):
    """vLLM: an adapter is a model of its own, one a request, as strong as it was trained."""

    counts = True

    def sampling(self, sampling: Sampling) -> dict[str, Any]:
        """Return vLLM's own names, all of them: what is left out comes from the model's generation_config.json."""
        body: dict[str, Any] = {"repetition_penalty": sampling.repeat_penalty}
        if sampling.temperature > 0:
            body.update(top_k=sampling.top_k, min_p=sampling.min_p)
        if sampling.grammar:  # before version 0.12, and since
            body.update(guided_grammar=sampling.grammar, structured_outputs={"grammar": sampling.grammar})
        return body

    async def tokens(self, prompt: AnyPrompt) -> tuple[int, ...]:
        """Have the server render and tokenize the conversation."""
        if isinstance(prompt, Plain):
            return prompt.tokens or await self._tokenize({"prompt": prompt.text})
        return await self._tokenize(chat_of(prompt))

    async def length(self, text: str) -> int:
        """Return the tokens of the text alone."""
        return len(await self._tokenize({"prompt": text, "add_special_tokens": False}))

    async def using(self, adapters: tuple[AdapterUse, ...]) -> dict[str, Any]:
        """Name the adapter as the model, loaded first where need be."""
        if not adapters:
            return {"model": self._model.id}
        (use, *others) = adapters
        if others or use.scale != 1.0:
            raise Unusable(
                f"vLLM at {self._wire.address.host} applies one adapter at a time, as strongly as it was trained.",
                "Name one adapter, with no scale.",
            )
        if named(use.name) not in await self.loaded():
            await self.load(use.name)
        return {"model": named(use.name)}

    async def load(self, adapter: str) -> None:
        """Load the adapter's folder, by its path on the server's machine or its name in the Hugging Face hub."""
        if named(adapter) in await self.loaded():
            return
        try:
            await self._wire.tell("/v1/load_lora_adapter", {"lora_name": named(adapter), "lora_path": adapter})
        except NotFound as error:
            raise self._no_updates(error) from error
        except (BadRequest, EngineFailed) as error:
            hint = "Give the path of its folder (adapter_config.json, adapter_model.safetensors) as vLLM sees it."
            raise Unusable(f"The adapter {named(adapter)!r} is not loaded. {error.message}", hint) from error

    async def unload(self, adapter: str) -> None:
        """Drop the adapter; raises NotFound where it is not loaded."""
        if named(adapter) not in await self.loaded():
            message = f"vLLM at {self._wire.address.host} has no adapter {named(adapter)!r} in memory."
            raise NotFound(message, "See `lorebook adapters list`.")
        try:
            await self._wire.tell("/v1/unload_lora_adapter", {"lora_name": named(adapter)})
        except NotFound as error:
            raise self._no_updates(error) from error

    async def loaded(self) -> tuple[str, ...]:
        """Return the adapters that the server lists beside its model."""
        return tuple(row.id for row in await served_at(self._wire) if row.parent)

    def _no_updates(self, error: NotFound) -> Unusable:
        """Return the error for a route that is not there, or a path that is not."""
        hint = "Start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and give a path that it sees."
        return Unusable(error.message, hint)

    async def _tokenize(self, body: dict[str, Any]) -> tuple[int, ...]:
        return _numbers(await self._wire.post("/tokenize", {"model": self._model.id, **body}), self._wire)


def _numbers(body: Any, wire: Wire) -> tuple[int, ...]:
    try:
        return rows_of(int, body["tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise wire.garbled() from error


SERVERS: dict[str, type[Server]] = {"llamacpp": LlamaServer, "vllm": Vllm}
"""By what `/v1/models` says of who owns a model; every other one is a plain `Server`."""
