"""The models that are on this machine: what there is, and which one a name means."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lorebook_api.errors import BadRequest, Conflict, NotFound, Unusable
from lorebook_api.home import Home
from lorebook_api.state import ModelInfo
from lorebook_daemon.models import added
from lorebook_daemon.models.catalogue import CATALOGUE, KnownModel, answering, find_known
from lorebook_daemon.models.choose import choose_here
from lorebook_daemon.models.found import found_elsewhere, model_name
from lorebook_daemon.models.gguf_header import read_header
from lorebook_daemon.models.json_file import read_object
from lorebook_daemon.models.taught import model_card

AUTO = "auto"
_LIKE = 0.6
_LONGEST_NAME = 1000
_OWNERS = {"huggingface": "the Hugging Face cache", "ollama": "Ollama", "lmstudio": "LM Studio"}


@dataclass(frozen=True)
class LocalModel:
    """A model that is here: a GGUF file, or the folder of an embedder."""

    name: str
    path: Path
    sha256: str | None
    """Of the file, where it is known without reading the file."""
    origin: str
    """`lorebook`, `added`, `path`, or the program that holds it: `huggingface`, `ollama`, `lmstudio`."""


def resolve(name_or_path: str, home: Home) -> LocalModel:
    """Return the answering model that a name or a path means, looking where people already have it first.

    The order: a path to a GGUF file, lorebook's own folder, files that the person added, the Hugging Face cache,
    Ollama, LM Studio. `auto` is what `choose_here` says, or where that is not here, the nearest one that is. Raises
    NotFound, Unusable for a file that is no whole GGUF model, BadRequest for the name of an embedder.
    """
    if name_or_path == AUTO:
        return _resolve_auto(home)
    path = _file_at(name_or_path)
    if path:
        return _checked(LocalModel(path.stem, path.absolute(), None, "path"))
    known = find_known(name_or_path)
    if known is not None and known.purpose == "embed":
        raise BadRequest(f"{known.name} finds passages; it writes no answers.", "See `lorebook models list`.")
    wanted = (known.name if known else name_or_path).casefold()
    for model in local_models(home):
        if model.name.casefold() == wanted:
            return _checked(model)
    raise _not_found(name_or_path, known, home)


def _file_at(name_or_path: str) -> Path | None:
    """Return the file that a path names; None for a name, and for what no system could take as a path."""
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError:  # the home of somebody who is not here
        return None
    return path if (path.parent != Path() or path.suffix.lower() == ".gguf") and _exists(path.is_file) else None


def _exists(check: Callable[[], bool]) -> bool:
    """Return what `check` says; False for what no system takes as a path: too long, or with a NUL in it."""
    try:
        return check()
    except (OSError, ValueError):
        return False


def check_name(name_or_path: str, home: Home) -> None:
    """Raise what `resolve` raises, but not for a model that is only still to be brought."""
    try:
        resolve(name_or_path, home)
    except NotFound:
        if find_known(name_or_path) is None:
            raise


def local_models(home: Home) -> list[LocalModel]:
    """Return the models on this machine in the order of looking; of two with one name, the first."""
    models: dict[str, LocalModel] = {}
    for model in (*_own(home), *_added(home), *_elsewhere()):
        models.setdefault(model.name.casefold(), model)
    return list(models.values())


def local_model(name: str, home: Home) -> LocalModel | None:
    """Return the model on this machine with this name or alias, in any case; None where there is none."""
    known = find_known(name)
    wanted = (known.name if known else name).casefold()
    return next((model for model in local_models(home) if model.name.casefold() == wanted), None)


def list_models(home: Home) -> list[ModelInfo]:
    """Return what is here and what the catalogue could bring (`installed` False); `default` marks what `auto` means."""
    default = choose_here(home)
    here = local_models(home)
    infos = [replace(_described(model), default=model.name == default) for model in here]
    missing = [known for known in CATALOGUE.values() if known.name not in {model.name for model in here}]
    return infos + [
        ModelInfo(known.name, "", known.size, "catalogue", False, default=known.name == default) for known in missing
    ]


def _described(model: LocalModel) -> ModelInfo:
    card = read_object(model_card(model.path)) if model.origin == "lorebook" else {}
    told = ModelInfo(model.name, str(model.path), _size(model.path), model.origin, installed=True)
    return replace(told, status=str(card.get("status", "")), reason=str(card.get("reason", "")))


def add(path: Path, home: Home) -> LocalModel:
    """Register the GGUF file at `path`, in place, under its own name; raises NotFound, Unusable, Conflict."""
    path = path.expanduser().absolute()
    if not path.is_file():
        raise NotFound(f"There is no file at {path}.", "Name a GGUF file: lorebook models add PATH")
    model = _checked(LocalModel(model_name(path) or path.stem, path, None, "added"))
    for other in local_models(home):
        if other.name.casefold() == model.name.casefold() and other.path != path:
            raise Conflict(f"There is a model {other.name} already, at {other.path}.", "Rename the file, then add it.")
    home.make()
    added.put(home, model.name, path)
    return model


def remove(name: str, home: Home) -> None:
    """Delete a model of lorebook's own, or take the registration of an added one back.

    Raises NotFound, BadRequest for what another program holds, Conflict where the file is in use.
    """
    model = local_model(name, home)
    if model is None:
        _remove_rest(name, find_known(name), home)
        return
    if model.origin in _OWNERS:
        raise BadRequest(
            f"{model.name} belongs to {_OWNERS[model.origin]} ({model.path}).", "Remove it with that program."
        )
    if model.origin == "added":
        added.take_back(home, model.name)
        return
    _delete(model.path)
    model_card(model.path).unlink(missing_ok=True)


def missing(known: KnownModel) -> NotFound:
    """Return what to tell the person about a known model that is not here."""
    return NotFound(
        f"{known.name} is not on this machine ({known.size / 1e6:.0f} MB).",
        f"Bring it: lorebook models pull {known.name}",
    )


def _resolve_auto(home: Home) -> LocalModel:
    chosen = choose_here(home)
    here = {model.name: model for model in local_models(home)}
    names = [known.name for known in answering()]
    # A smaller one is quicker than what was chosen, a larger one may not fit: the smaller ones come first.
    order = [*names[names.index(chosen) :], *reversed(names[: names.index(chosen)])]
    for name in order:
        if name in here:
            return _checked(here[name])
    raise missing(CATALOGUE[chosen])


def _own(home: Home) -> Iterator[LocalModel]:
    """Yield what lies in lorebook's own folder: the catalogue's models, then files that the person put there."""
    places = {known.place(home.models): known for known in CATALOGUE.values()}
    for place, known in places.items():
        if place.is_file() or known.whole(home.models):
            whole = known.whole(home.models)
            yield LocalModel(known.name, place, known.files[0].sha256 if whole else None, "lorebook")
    for path in sorted(home.models.glob("*.gguf")):
        name = model_name(path)
        if name is not None and path not in places:
            yield LocalModel(name, path, None, "lorebook")


def _added(home: Home) -> Iterator[LocalModel]:
    for name, path in added.added_models(home).items():
        yield LocalModel(name, path, None, "added")


def _elsewhere() -> Iterator[LocalModel]:
    """Yield what other programs hold; what the catalogue knows goes by the catalogue's name."""
    for found in found_elsewhere():
        model = LocalModel(found.name, found.path, found.sha256, found.origin)
        known = find_known(found.name, found.sha256)
        yield replace(model, name=known.name) if known else model


def _checked(model: LocalModel) -> LocalModel:
    """Return `model` if its file is a whole GGUF model; raises NotFound and Unusable."""
    if model.sha256 is not None and model.origin == "lorebook":
        return model  # its bytes were checked when they came
    if not model.path.is_file():
        raise NotFound(f"{model.name} is not at {model.path} any more.", f"Forget it: lorebook models rm {model.name}")
    try:
        header = read_header(model.path)
    except Unusable as error:
        if model.origin == "lorebook" and model.name in CATALOGUE:
            raise Unusable(error.message, f"Bring it again: lorebook models pull {model.name}") from error
        raise
    if header.kind != "model":
        message = f"{model.path.name} is of the kind {header.kind!r}, not a model."
        raise Unusable(message, "Name the model's own GGUF file.")
    return model


def _not_found(name: str, known: KnownModel | None, home: Home) -> NotFound:
    if known is not None:
        return missing(known)
    if len(name) > _LONGEST_NAME:
        return NotFound(f"There is no model {name[:40]}….", "See `lorebook models list`.")
    path = Path(name)
    if _exists(path.is_dir):
        return NotFound(f"{path.absolute()} is a folder.", "Name a GGUF file in it, or see `lorebook models list`.")
    if path.suffix.lower() == ".gguf" or name.startswith((".", "~")) or path.is_absolute():
        return NotFound(f"There is no file at {path.absolute()}.", "See `lorebook models list`.")
    names = {model.name for model in local_models(home)} | {known.name for known in CATALOGUE.values()}
    names -= {known.name for known in CATALOGUE.values() if known.purpose == "embed"}
    likest = sorted(names, key=lambda other: (-_likeness(name, other), other))[:3]
    near = [other for other in likest if _likeness(name, other) >= _LIKE]
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return NotFound(f"There is no model {name}.{guess}", "See `lorebook models list`.")


def _likeness(typed: str, name: str) -> float:
    """Return how like (0 to 1) what was typed is to a name's start: names are long, and seldom typed to their end."""
    return difflib.SequenceMatcher(None, typed.casefold(), name[: len(typed)].casefold()).ratio()


def _remove_rest(name: str, known: KnownModel | None, home: Home) -> None:
    """Delete what an interrupted download of a known model left."""
    if known is None:
        raise _not_found(name, None, home)
    places = [home.models / path for file in known.files for path in (file.path, f"{file.path}.part")]
    left = [place for place in places if place.is_file()]
    if not left:
        raise missing(known)
    for place in left:
        _delete(place)


def _delete(path: Path) -> None:
    """Delete a file or a folder of lorebook's own."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        hint = "The daemon may have it open: lorebook stop"
        raise Conflict(f"{path} cannot be deleted ({error.strerror or error}).", hint) from error


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size if path.is_file() else 0
