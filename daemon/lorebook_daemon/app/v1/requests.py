"""The bodies of the /v1 routes: what is honoured, and what is let through because it changes no answer.

Whatever stands in neither is refused by its name: an answer to half of a request would be none.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from lorebook_daemon.app.v1.body import COUNT_MOST, Body, Copied, Object, Text, Token, Tokens

_STOPS_MOST = 64
_BIASES_MOST = 1024
_CHOICES_MOST = 32
_FUNCTION_NAME = r"^[a-zA-Z0-9_.-]{1,64}$"


def _name(text: str) -> str:
    """Return the name or path of a model, if a file can have it."""
    if not text.strip() or not text.isprintable() or any(len(part.encode()) > 255 for part in re.split(r"[/\\]", text)):
        raise ValueError("that is the name of no model and of no file")
    return text


def _only(off: float) -> AfterValidator:
    """Return the check of a way of sampling that is not here: only the value that switches it off will do."""

    def check(given: float) -> float:
        if given != off:
            raise ValueError(f"lorebook cannot sample so; only {off:g}, which is off, will do")
        return given

    return AfterValidator(check)


ModelName = Annotated[str, Field(max_length=4096), AfterValidator(_name)]
Stop = Annotated[Text, Field(min_length=1, max_length=500)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class Ignored(Body):
    """Accepted and without effect: about accounts, storage and caches that are not here, or about speed alone."""

    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prediction: Any = None
    cache_prompt: Any = None
    id_slot: Any = None
    n_cache_reuse: Any = None
    timings_per_token: Any = None
    return_progress: Any = None
    api_key_name: Any = None
    """Jupyter AI's magics send an option of their own along."""


class StreamOptions(Body):
    """`stream_options`."""

    include_usage: bool | None = None
    include_obfuscation: Any = None


class Lora(Body):
    """An adapter by its number in `/lora-adapters`, as llama.cpp has it."""

    id: Annotated[int, Field(ge=0)]
    scale: Annotated[float, Field(ge=-100, le=100)] = 1.0


class NamedSchema(Body):
    """`response_format.json_schema`; `strict` refuses a schema that the grammar cannot keep to the letter."""

    name: str = ""
    description: str | None = None
    of: Object = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """`response_format`; `schema` beside `json_object` is llama.cpp's."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None
    of: Object | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _whole(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with type: json_schema")
        if self.of is not None and self.type != "json_object":
            raise ValueError("schema goes with type: json_object")
        return self


class Generating(Ignored):
    """What chat and text completions share."""

    model: ModelName = "auto"
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Text | None = None
    n: Annotated[int, Field(ge=1, le=_CHOICES_MOST)] | None = None
    seed: Annotated[int, Field(ge=-1, lt=2**63)] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=COUNT_MOST)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.01, le=100)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: Annotated[dict[Token, Bias], Field(max_length=_BIASES_MOST)] | None = None
    stop: Stop | Annotated[tuple[Stop, ...], Field(max_length=_STOPS_MOST)] | None = None
    response_format: ResponseFormat | None = None
    grammar: Text | None = None
    lora: Annotated[tuple[Lora, ...], Field(max_length=64)] | None = None
    typical_p: Annotated[float, _only(1)] | None = None
    top_n_sigma: Annotated[float, _only(-1)] | None = None
    mirostat: Annotated[float, _only(0)] | None = None
    dynatemp_range: Annotated[float, _only(0)] | None = None
    xtc_probability: Annotated[float, _only(0)] | None = None
    dry_multiplier: Annotated[float, _only(0)] | None = None

    @model_validator(mode="after")
    def _streams(self) -> Generating:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options goes with stream: true")
        return self

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else self.stop or ()

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with a chunk that tells the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class Part(Copied):
    """A part of a message's content."""

    type: str
    text: Text | None = None
    refusal: Text | None = None


class CalledFunction(Copied):
    """What an earlier answer called, with JSON as the model wrote it."""

    name: Text
    arguments: Text


class Called(Copied):
    """A tool call of an earlier answer."""

    id: Text
    function: CalledFunction


class ChatMessage(Copied):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | tuple[Part, ...] | None = None
    tool_calls: tuple[Called, ...] | None = None
    tool_call_id: Text | None = None


class Function(Body):
    """A function that the model may call; its schema is kept to the letter where a call is forced."""

    name: Annotated[str, Field(pattern=_FUNCTION_NAME)]
    description: Text | None = None
    parameters: Object | None = None
    strict: bool | None = None


class Tool(Body):
    """A tool: functions are the one kind that runs at the client."""

    type: Literal["function"]
    function: Function


class FunctionName(Body):
    """The function that must be called."""

    name: str


class NamedTool(Body):
    """`tool_choice` by name."""

    type: Literal["function"]
    function: FunctionName


class ChatBody(Generating):
    """Body of `POST /v1/chat/completions`."""

    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, le=COUNT_MOST)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=COUNT_MOST)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[tuple[Tool, ...], Field(max_length=128)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    modalities: tuple[Literal["text"], ...] | None = None

    @model_validator(mode="after")
    def _fits(self) -> ChatBody:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs goes with logprobs: true")
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise ValueError("tool_choice goes with tools")
        return self

    @property
    def most(self) -> int | None:
        """Tokens of an answer at the most; None means the rest of the context."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def top(self) -> int | None:
        """How many likely tokens to tell at each place; None tells no log-probabilities."""
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionBody(Generating):
    """Body of `POST /v1/completions`: a prompt is text or tokens, and there may be several."""

    prompt: Text | Tokens | tuple[Text, ...] | tuple[Tokens, ...]
    max_tokens: Annotated[int, Field(ge=0, le=COUNT_MOST)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    best_of: int | None = None

    @model_validator(mode="after")
    def _fits(self) -> CompletionBody:
        if self.best_of is not None and self.best_of != self.choices:
            raise ValueError("best_of must equal n: every answer that is made is sent")
        return self


class EmbeddingBody(Ignored):
    """Body of `POST /v1/embeddings`."""

    input: Text | tuple[Text, ...] | Tokens | tuple[Tokens, ...]
    model: ModelName = "auto"
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=COUNT_MOST)] | None = None
    user: Text | None = None
