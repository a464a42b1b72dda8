from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import fake_models
from lorebook_api.errors import BadRequest, Conflict, NotFound, Unusable
from lorebook_api.home import Home
from lorebook_daemon.models.catalogue import CATALOGUE, answering
from lorebook_daemon.models.shelf import LocalModel, add, check_name, list_models, local_models, remove, resolve
from lorebook_daemon.models.taught import model_card

DATA = fake_models.gguf()
LARGE, SMALL = (model.name for model in answering())


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the tests a home folder with nothing in it, and a catalogue with a tiny model."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setitem(CATALOGUE, "tiny", fake_models.known("tiny", DATA, pieces=1, purpose="test"))


def _put(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _lmstudio(tmp_path: Path, name: str, data: bytes = DATA) -> Path:
    return _put(tmp_path / ".lmstudio/models/pub/repo" / name, data)


def test_a_path_is_taken_as_it_is(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _put(tmp_path / "mine" / "My Model.gguf")
    assert resolve(str(path), home) == LocalModel("My Model", path, None, "path")
    monkeypatch.chdir(path.parent)
    assert resolve("My Model.gguf", home).path == path


def test_a_name_of_the_catalogue_in_any_case(home: Home) -> None:
    path = _put(home.models / "tiny.gguf")
    model = resolve("TINY", home)
    assert (model.name, model.path, model.origin) == ("tiny", path, "lorebook")
    assert model.sha256 == CATALOGUE["tiny"].files[0].sha256


def test_lorebooks_own_comes_before_what_others_hold(home: Home, tmp_path: Path) -> None:
    theirs = _lmstudio(tmp_path, "Tiny.gguf")
    assert resolve("tiny", home).path == theirs
    assert resolve("tiny", home).origin == "lmstudio"
    ours = _put(home.models / "tiny.gguf")
    assert resolve("tiny", home).path == ours
    assert [model.name for model in local_models(home)] == ["tiny"]


def test_an_unknown_name_is_answered_with_near_ones(home: Home) -> None:
    with pytest.raises(NotFound, match=r"no model tinny\. Did you mean tiny") as caught:
        resolve("tinny", home)
    assert "lorebook models list" in caught.value.hint
    with pytest.raises(NotFound, match=f"Did you mean .*{LARGE}"):
        resolve("Qwen2.5", home)
    with pytest.raises(NotFound, match=r"no model zebra\. See"):
        resolve("zebra", home)


def test_a_name_is_good_where_its_model_is_only_still_to_be_brought(home: Home) -> None:
    check_name(LARGE, home)
    with pytest.raises(NotFound, match="no model zebra"):
        check_name("zebra", home)


def test_a_known_model_that_is_not_here_says_how_to_bring_it(home: Home) -> None:
    with pytest.raises(NotFound, match="not on this machine") as caught:
        resolve("qwen2.5-coder:1.5b", home)
    assert f"lorebook models pull {LARGE}" in caught.value.hint


def test_a_path_that_is_not_there_and_an_embedder(home: Home) -> None:
    with pytest.raises(NotFound, match="no file at"):
        resolve("nowhere/x.gguf", home)
    with pytest.raises(NotFound, match="no file at"):
        resolve("./nowhere", home)
    with pytest.raises(NotFound, match="is a folder"):
        resolve(str(home.models), home)
    with pytest.raises(BadRequest, match="writes no answers"):
        resolve("minilm", home)


def test_a_file_that_is_no_model_is_unusable(home: Home, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cut short"):
        resolve(str(_put(tmp_path / "a" / "short.gguf", DATA[:-1])), home)
    with pytest.raises(Unusable, match="kind 'adapter'"):
        resolve(str(_put(tmp_path / "a" / "lora.gguf", fake_models.gguf(general_type="adapter"))), home)
    _put(home.models / "tiny.gguf", DATA[:-1])
    with pytest.raises(Unusable) as caught:
        resolve("tiny", home)
    assert "lorebook models pull tiny" in caught.value.hint


def test_auto_takes_the_nearest_that_is_here(home: Home, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"({LARGE}|{SMALL})"):
        resolve("auto", home)
    small = _lmstudio(tmp_path, f"{SMALL}.gguf")
    assert resolve("auto", home).path == small
    assert resolve("auto", home).name == SMALL


def test_auto_never_takes_a_model_for_tests(home: Home) -> None:
    _put(home.models / "tiny.gguf")
    with pytest.raises(NotFound):
        resolve("auto", home)


def test_the_list_has_what_is_here_and_what_could_be(home: Home, tmp_path: Path) -> None:
    _lmstudio(tmp_path, "Other.gguf")
    _put(home.models / "dropped-in.gguf")
    infos = {info.name: info for info in list_models(home)}
    assert infos["Other"].origin == "lmstudio"
    assert infos["Other"].size == len(DATA)
    assert infos["dropped-in"].installed
    assert not infos[LARGE].installed
    assert infos[LARGE].size == CATALOGUE[LARGE].size
    assert sum(info.default for info in infos.values()) == 1


def test_added_models_are_used_in_place_and_only_forgotten(home: Home, tmp_path: Path) -> None:
    path = _put(tmp_path / "mine" / "own.gguf")
    assert add(path, home) == LocalModel("own", path, None, "added")
    assert add(path, home).path == path
    assert resolve("own", home).path == path
    remove("own", home)
    assert path.read_bytes() == DATA
    with pytest.raises(NotFound):
        resolve("own", home)


def test_what_cannot_be_added(home: Home, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        add(tmp_path / "none.gguf", home)
    with pytest.raises(Unusable):
        add(_put(tmp_path / "bad.gguf", b"<html>"), home)
    add(_put(tmp_path / "a" / "own.gguf"), home)
    with pytest.raises(Conflict, match="a model own already"):
        add(_put(tmp_path / "b" / "own.gguf"), home)


def test_an_added_file_that_is_gone_is_said_and_can_be_forgotten(home: Home, tmp_path: Path) -> None:
    path = _put(tmp_path / "mine" / "own.gguf")
    add(path, home)
    path.unlink()
    with pytest.raises(NotFound, match="any more") as caught:
        resolve("own", home)
    assert "lorebook models rm own" in caught.value.hint
    remove("own", home)
    with pytest.raises(NotFound, match="There is no model own"):
        resolve("own", home)


def test_removing_deletes_only_what_is_lorebooks_own(home: Home, tmp_path: Path) -> None:
    theirs = _lmstudio(tmp_path, "Other.gguf")
    with pytest.raises(BadRequest, match="belongs to LM Studio"):
        remove("Other", home)
    assert theirs.is_file()
    ours = _put(home.models / "tiny.gguf")
    remove("tiny", home)
    assert not ours.exists()
    with pytest.raises(NotFound):
        remove("tiny", home)
    with pytest.raises(NotFound):
        remove("../state", home)
    with pytest.raises(NotFound):
        remove("auto", home)


def test_one_that_was_taught_here_says_what_became_of_it_until_it_is_removed(home: Home) -> None:
    path, why = _put(home.models / "lab.gguf"), "The held-out loss did not fall."
    model_card(path).write_text(json.dumps({"status": "candidate", "reason": why}))
    (known,) = [model for model in list_models(home) if model.path == str(path)]
    assert (known.status, known.reason) == ("candidate", why)
    remove(known.name, home)
    _put(path)
    (other,) = [model for model in list_models(home) if model.path == str(path)]
    assert other.status == other.reason == ""


def test_removing_an_embedder_and_the_start_of_a_download(home: Home) -> None:
    for file in CATALOGUE["minilm"].files:
        path = _put(home.models / file.path, b"")
        os.truncate(path, file.size)
    remove("minilm", home)
    assert not (home.models / "minilm").exists()
    begun = _put(home.models / f"{LARGE}.gguf.part", b"12345")
    remove(LARGE, home)
    assert not begun.exists()


@pytest.mark.parametrize(
    "name", ["x" * 300, "x" * 5000 + ".gguf", "/" + "y" * 300 + "/z.gguf", "a\0b.gguf", "~nobody-here/a.gguf"]
)
def test_what_no_system_takes_as_a_path_is_a_model_that_is_not_there(name: str, home: Home) -> None:
    with pytest.raises(NotFound):
        resolve(name, home)
