"""Every knob of the daemon, in one frozen dataclass: defaults < config.toml < environment < flags."""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lorebook_api.errors import BadRequest
from lorebook_api.feedback import FeedbackMode
from lorebook_api.home import Home
from lorebook_api.retrieval import Similarity
from lorebook_api.splitting import parse_splitting

CONTEXT_STEPS = ("copies", "diversity", "merging", "window", "neighbours", "constants", "condensing")
"""What `context_steps` may name."""


@dataclass(frozen=True)
class Settings:
    """How this daemon runs; sizes carry their unit in the name."""

    model: str = "auto"
    """A name from the catalogue, a path to a GGUF file, or `auto`: by memory and measured speed."""
    n_ctx: int = 8192
    """Tokens that the engine's context holds."""
    context_budget: int = 4096
    """Tokens of one prompt at the most; what does not fit is cut and listed."""
    context_steps: str = "copies,constants,condensing"
    """How what was found becomes the context: copies, diversity, merging, window, neighbours, constants, condensing."""
    threads: int = 0
    """Threads of the engine; 0 takes the free physical cores."""
    kv_reuse: Literal["blocks", "prefix", "off"] = "blocks"
    """What is kept of the model's reading: `blocks`, each passage by itself; `prefix`, the longest equal one; `off`."""
    kv_memory_mb: int = 0
    """Memory for kept passages; 0 takes an eighth of the machine's, at most 2048."""
    kv_disk_mb: int = 0
    """Disk for kept passages of all models; 0 takes a twentieth of what is free, at most 8192."""
    speculation: bool = True
    """Guess from the prompt how an answer goes on, and let the model check several tokens at once."""
    engine: Literal["llama", "openai"] = "llama"
    """What answers: llama.cpp on this machine, or `openai`, the OpenAI-compatible server at `engine_url`."""
    engine_url: str = ""
    """Where that server is, with or without `/v1`: `http://localhost:8000`."""
    engine_key: str = field(default="", repr=False)
    """The key that it wants, if it wants one. Never shown, never logged."""
    cross_encoder: str = ""
    """A folder with `model.onnx` and `tokenizer.json` of a cross-encoder, for `--rerank cross-encoder`."""
    questions_ahead: bool = False
    """Have the model write the questions that passages answer while nobody asks, and search among them."""
    splitter: str = "structure"
    """How files are cut into passages: by their structure, or `lines`, at any; `structure:500` with other characters
    than the thousand that a passage holds."""
    max_file_mb: int = 20
    """Files above this are skipped, and listed as skipped."""
    store: Literal["sqlite", "postgres"] = "sqlite"
    """Where indexes are kept: in files of this machine, or `postgres`, in the PostgreSQL database at `store_url`."""
    store_url: str = field(default="", repr=False)
    """Where that database is: `postgresql://ann@localhost:5432/lorebook`. It may hold a password: never shown."""
    similarity: Similarity = "cosine"
    """How near a passage's vector is to a question's: `cosine`, `ip` (inner product) or `l2` (Euclidean distance). They
    differ where vectors do not have length 1, as minilm's do. The graph is made anew, nothing is embedded again."""
    index_cpu_percent: int = 100
    """How much of one processor indexing takes at the most."""
    embed_on_battery: bool = False
    """Make vectors while the machine runs on its battery, too; words are indexed in any case."""
    feedback: FeedbackMode = "off"
    """`keep`: keep on this machine what was opened, rated and put right; `learn`: the search learns from it, too."""
    idle_stop_minutes: float = 60.0
    """The daemon ends after this long without a request; 0 keeps it up."""
    port: int = 0
    """Port on the loopback interface; 0 takes a free one."""
    offline: bool = False
    """Never reach for the network, not even to bring a model."""
    debug: bool = False
    """Show tracebacks."""

    @property
    def steps(self) -> frozenset[str]:
        """The names in `context_steps`."""
        return frozenset(filter(None, self.context_steps.split(",")))


_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_CHOICES = {
    "kv_reuse": ("blocks", "prefix", "off"),
    "engine": ("llama", "openai"),
    "store": ("sqlite", "postgres"),
    "similarity": ("cosine", "ip", "l2"),
    "feedback": ("off", "keep", "learn"),
}


@dataclass(frozen=True)
class Given:
    """What a setting was given, and where: `config.toml`, a variable's name, `flag`."""

    value: Any
    source: str


def load_settings(home: Home, **flags: Any) -> Settings:
    """Return the settings for `home`; a flag that is None was not given.

    Environment variables are `LOREBOOK_` and the setting's name in capitals. Raises BadRequest for a name that
    is no setting and for a value of another type.
    """
    return Settings(**{name: given.value for name, given in given_settings(home, **flags).items()})


def given_settings(home: Home, **flags: Any) -> dict[str, Given]:
    """Return what was given, by the setting's name, the rest being defaults; raises what `load_settings` does."""
    types = {field.name: field for field in dataclasses.fields(Settings)}
    file = home.config / "config.toml"
    given = {name: Given(value, file.name) for name, value in _written(file).items()}
    for name in given:
        if name not in types:
            raise BadRequest(f"{file} sets {name!r}, which is no setting.", f"Settings are: {', '.join(types)}.")
    for name in types:
        variable = f"LOREBOOK_{name.upper()}"
        if variable in os.environ:
            given[name] = Given(os.environ[variable], variable)
    given |= {name: Given(value, "flag") for name, value in flags.items() if value is not None}
    return {name: Given(_typed(name, types[name].default, one.value), one.source) for name, one in given.items()}


def _written(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # TOMLDecodeError, or bytes that are no UTF-8
        raise BadRequest(f"{file} is not TOML: {error}.", "Mend it or delete it.") from error


def _typed(name: str, default: Any, value: Any) -> Any:
    """Return `value` with the type of the setting's default; raises BadRequest where it has another."""
    if isinstance(default, bool):
        truths = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        if str(value).lower() in truths:
            return truths[str(value).lower()]
        raise BadRequest(f"{name} is {value!r}; it takes true or false.")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise BadRequest(f"{name} is {value!r}; it takes {', '.join(_CHOICES[name][:-1])} or {_CHOICES[name][-1]}.")
    if name in _TEXTS:
        return _TEXTS[name](value)
    return str(value) if isinstance(default, str) else _number(name, default, value)


def _number(name: str, default: int | float, value: Any) -> int | float:
    """Return `value` as a number of the default's kind; raises BadRequest for what is none, or below 0."""
    kind = _KINDS[type(default)]
    try:
        number = type(default)(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequest(f"{name} is {value!r}; it takes {kind}.") from error
    if isinstance(value, bool) or (isinstance(value, float) and number != value and not math.isnan(value)):
        raise BadRequest(f"{name} is {value!r}; it takes {kind}.")
    if not (math.isfinite(number) and number >= 0):
        raise BadRequest(f"{name} is {value!r}; it takes a number from 0 on.")
    return number


def _url(value: Any) -> str:
    """Return the address without its end; one that names a password would be shown in messages."""
    text = str(value).strip()
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    else:
        if parts.username is not None or parts.password is not None:
            raise BadRequest("engine_url holds a name or a password.", "Put the key into LOREBOOK_ENGINE_KEY.")
    if text and (not whole or parts.query or parts.fragment):
        raise BadRequest(f"engine_url is {text!r}; it takes an address.", "For example http://localhost:8000")
    return text.rstrip("/").removesuffix("/v1")


def _key(value: Any) -> str:
    """Return the key; the message must not show it."""
    text = str(value).strip()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadRequest(
            "engine_key holds a character that no HTTP header takes.", "Copy it again: LOREBOOK_ENGINE_KEY"
        )
    return text


def _database(value: Any) -> str:
    """Return the address of a database; the message must not show it, since it may hold a password."""
    text = str(value).strip()
    if text and (urlsplit(text).scheme not in ("postgres", "postgresql") or not urlsplit(text).path.strip("/")):
        raise BadRequest(
            "store_url is no address of a PostgreSQL database.", "For example postgresql://ann@localhost:5432/lorebook"
        )
    return text


def _steps(value: Any) -> str:
    """Return the names, each once; raises BadRequest for one that is no step."""
    names = [name.strip() for name in str(value).split(",") if name.strip()]
    for name in names:
        if name not in CONTEXT_STEPS:
            there_are = ", ".join(CONTEXT_STEPS)
            raise BadRequest(f"context_steps names {name!r}, which is no step.", f"Steps are: {there_are}.")
    return ",".join(dict.fromkeys(names))


def _splitter(value: Any) -> str:
    """Return what says how files are cut; raises BadRequest where it says nothing."""
    parse_splitting(str(value))
    return str(value)


_KINDS = {int: "a whole number", float: "a number"}
_TEXTS = {
    "engine_url": _url,
    "engine_key": _key,
    "context_steps": _steps,
    "store_url": _database,
    "splitter": _splitter,
}
