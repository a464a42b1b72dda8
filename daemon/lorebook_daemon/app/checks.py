"""What a body must be beyond its shape; everything here raises BadRequest in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorebook_api.asking import AdapterUse, AskRequest, Sampling
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.retrieval import Filters, SearchRequest
from lorebook_daemon.index.filters import check_filters

K_MOST = 100
"""Passages of one answer at the most."""
ADAPTERS_MOST = 8
"""Adapters that act together at the most."""
SCALE_MOST = 100.0
"""How strongly an adapter acts at the most."""

_ID_LONGEST = 200
_FILTERS_MOST = 100
_FILTER_LONGEST = 500
_STOPS_MOST = 64
_STOP_LONGEST = 256
_GRAMMAR_LONGEST = 64 * 1024
_TOKEN_MOST = 2**31 - 1
_BIASES_MOST = 1024
_BIAS_MOST = 100.0

_SAMPLING_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.01, 100.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "seed": (0, 2**32 - 1),
    "top_logprobs": (0, 20),
}
"""What each number takes, both ends included; None, where a field may be None, is not looked at."""


def check_ask(request: AskRequest) -> None:
    """Raise BadRequest where the question is blank or a number is out of its range."""
    check_text("question", request.question)
    _check_filters(request.filters)
    _check_k(request.k)
    if request.max_tokens < 1:
        raise BadRequest(f"max_tokens is {request.max_tokens}; it takes 1 or more.")
    check_id("request_id", request.request_id, "Leave it out to be given one.")
    check_id("user", request.user, "Leave it out, or send a short name.")
    check_id("conversation", request.conversation, "Leave it out, or send a short id.")
    check_text("model", request.model)
    check_sampling(request.sampling)
    check_adapters(request.adapters)


def check_search(request: SearchRequest) -> None:
    """Raise BadRequest where the query is blank or k is out of its range."""
    check_text("query", request.query)
    _check_filters(request.filters)
    if request.kind and request.filters.kinds not in ((), (request.kind,)):
        raise BadRequest("kind and filters.kinds contradict each other.", "Send one of them.")
    if request.explain and request.rewrite != "none":
        raise BadRequest("`explain` tells of the query as it stands, not of others.", "Leave `rewrite` out.")
    _check_k(request.k)


def _check_filters(filters: Filters) -> None:
    """Raise BadRequest for a filter that is none: blank, too long, one of too many, no pattern or no time."""
    for name in ("paths", "languages", "notebooks", "tags"):
        values = getattr(filters, name)
        if len(values) > _FILTERS_MOST:
            raise BadRequest(f"filters.{name} holds {len(values)} values; it takes {_FILTERS_MOST}.", "Send fewer.")
        for value in values:
            check_text(f"filters.{name}", value)
            if len(value) > _FILTER_LONGEST:
                raise BadRequest(f"filters.{name} holds more than {_FILTER_LONGEST} characters.", "Shorten it.")
    check_filters(filters)


def check_sampling(sampling: Sampling) -> None:
    """Raise BadRequest where a field is out of its range, or longer than an engine should carry."""
    for name, (least, most) in _SAMPLING_RANGES.items():
        value = getattr(sampling, name)
        if value is not None and not least <= value <= most:  # true for NaN too
            raise BadRequest(f"sampling.{name} is {value}; it takes {least} to {most}.")
    _check_stop(sampling.stop)
    _check_bias(sampling.logit_bias)
    if sampling.grammar:
        check_text("sampling.grammar", sampling.grammar)
    if len(sampling.grammar.encode()) > _GRAMMAR_LONGEST:
        raise BadRequest(f"sampling.grammar is longer than {_GRAMMAR_LONGEST // 1024} kB.", "Send a shorter one.")


def check_adapters(adapters: Sequence[AdapterUse]) -> None:
    """Raise BadRequest for too many adapters at once, a blank name, and a scale at which numbers would overflow."""
    if len(adapters) > ADAPTERS_MOST:
        raise BadRequest(f"{len(adapters)} adapters are too many at once; {ADAPTERS_MOST} can act.", "Name fewer.")
    for adapter in adapters:
        check_text("adapter", adapter.name)
        if not -SCALE_MOST <= adapter.scale <= SCALE_MOST:  # true for NaN too
            told = f"The scale of the adapter {adapter.name!r} is {adapter.scale}."
            raise BadRequest(told, f"Send -{SCALE_MOST:g} to {SCALE_MOST:g}; 1 is as trained.")


def check_text(name: str, text: str) -> None:
    """Raise BadRequest where `text` is blank or holds what no text holds: a NUL, half a surrogate pair."""
    if not text.strip():
        raise BadRequest(f"{name} is empty.", f"Send a {name}.")
    _check_unicode(name, text)


def _check_unicode(name: str, text: str) -> None:
    if "\0" in text:
        raise BadRequest(f"{name} holds a NUL character.", "Take it out.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest(f"{name} is not Unicode text: it holds half a surrogate pair.", "Take it out.")


def folders(roots: Sequence[str]) -> tuple[Path, ...]:
    """Return the roots as absolute paths without links, each once, in the order given.

    Raises NotFound where one does not exist, BadRequest where it is relative or is no folder.
    """
    return tuple(dict.fromkeys(_folder(root) for root in roots))


def served_or(roots: Sequence[str], served: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the roots that a request names, or those the daemon serves; raises BadRequest where there are none."""
    named = folders(roots) or served
    if not named:
        raise BadRequest("No folder was named, and the daemon serves none by itself.", "Name one: `--root DIR`.")
    return named


def _folder(root: str) -> Path:
    check_text("root", root)
    path = Path(root)
    if not path.is_absolute():
        raise BadRequest(
            f"The root {root!r} is relative.", "Send its absolute path: the daemon has a folder of its own."
        )
    try:
        path = path.resolve(strict=True)
        is_folder = path.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise NotFound(f"The root {root} does not exist or cannot be read.", "Check its path.") from error
    if not is_folder:
        raise BadRequest(f"The root {root} is a file.", f"Name its folder: {path.parent}")
    return path


def _check_k(k: int) -> None:
    if not 1 <= k <= K_MOST:
        raise BadRequest(f"k is {k}; it takes 1 to {K_MOST}.")


def check_id(name: str, text: str, hint: str) -> None:
    """Raise BadRequest where an id is long or holds what does not belong into a line."""
    if len(text) > _ID_LONGEST or not text.isprintable():
        raise BadRequest(f"{name} takes up to {_ID_LONGEST} printable characters.", hint)
    if not text.isascii():
        raise BadRequest(f"{name} takes ASCII characters only.", hint)


def _check_stop(stop: Sequence[str]) -> None:
    if len(stop) > _STOPS_MOST:
        raise BadRequest(f"sampling.stop holds {len(stop)} texts; it takes {_STOPS_MOST}.", "Send fewer.")
    for text in stop:
        if not text:
            raise BadRequest("sampling.stop holds an empty text.", "Take it out.")
        if len(text) > _STOP_LONGEST:
            raise BadRequest(f"sampling.stop holds a text of more than {_STOP_LONGEST} characters.", "Shorten it.")
        _check_unicode("sampling.stop", text)


def _check_bias(bias: Sequence[tuple[int, float]]) -> None:
    if len(bias) > _BIASES_MOST:
        raise BadRequest(f"sampling.logit_bias names {len(bias)} tokens; it takes {_BIASES_MOST}.", "Send fewer.")
    for token, value in bias:
        if not 0 <= token <= _TOKEN_MOST:
            raise BadRequest(f"sampling.logit_bias names token {token}; tokens are numbers from 0 to {_TOKEN_MOST}.")
        if not -_BIAS_MOST <= value <= _BIAS_MOST:  # true for NaN too
            raise BadRequest(f"sampling.logit_bias adds {value}; it takes -{_BIAS_MOST} to {_BIAS_MOST}.")
