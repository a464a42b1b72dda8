"""A model of its own out of a base and an adapter: it says what the two say, and keeps all else as it was."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

import tiny_models
from commandline import run_command
from lorebook_api.errors import BadRequest, Conflict, StorageFailed, Unusable
from lorebook_api.home import Home
from lorebook_api.indexing import Progress
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.models.adapter_file import check_fits, read_adapter
from lorebook_daemon.models.adapters import card_file, import_adapter
from lorebook_daemon.models.ancestry import is_there, made_models
from lorebook_daemon.models.gguf_header import read_contents
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.shelf import resolve
from lorebook_daemon.models.taught import MODEL, keep_model, model_names
from lorebook_daemon.teach.merge import merged, unpacked, write_model

TOKENS = tuple(range(20, 60))


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    base = tiny_models.tiny(folder / "base.gguf", request.param)
    return base, tiny_models.tiny_adapter(folder / "lab.gguf", base)


def likely(path: Path, adapter: Path | None = None) -> np.ndarray:
    llama = Llama(path, 512, 1)
    adapters = (llama.adapters.find(str(adapter), 1.0),) if adapter else ()
    (rows,) = llama.decode([Piece(0, 0, TOKENS, adapters, len(TOKENS))])
    logits = np.stack([llama.logits(row).copy() for row in rows])
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def test_it_says_what_base_and_adapter_say(files: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = files
    merged(tmp_path / "own.gguf", base, read_adapter(adapter))
    assert np.abs(likely(tmp_path / "own.gguf") - likely(base, adapter)).max() < 0.01
    assert np.abs(likely(base) - likely(base, adapter)).max() > 0.05
    half, none = tmp_path / "half.gguf", tmp_path / "none.gguf"
    merged(half, base, read_adapter(adapter), 0.5)
    merged(none, base, read_adapter(adapter), 0.0)
    assert np.abs(likely(none) - likely(base)).max() < 0.01 < np.abs(likely(half) - likely(base)).max()


def test_all_else_is_as_it_was(files: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = files
    merged(tmp_path / "own.gguf", base, read_adapter(adapter))
    before, after = read_contents(base), read_contents(tmp_path / "own.gguf")
    same = [key for key in before.fields if key != "general.name"]
    assert set(after.fields) == set(before.fields)
    assert all(after.fields[key] == before.fields[key] for key in same)
    assert after.header.name == "base with lab"
    tensors = [{one.name: one.data for one in gguf.GGUFReader(path).tensors} for path in (base, tmp_path / "own.gguf")]
    assert tensors[0].keys() == tensors[1].keys()
    changed = {name for name in tensors[0] if tensors[1][name].dtype == np.float16}
    assert changed and all(np.array_equal(tensors[0][name], tensors[1][name]) for name in tensors[0].keys() - changed)


def test_packed_weights_stay_packed(tmp_path: Path) -> None:
    from benchmarks.random_models.blueprint import ATTENTION, Size
    from benchmarks.random_models.write import write_model as write_random

    base = write_random(tmp_path / "base.gguf", ATTENTION["llama"](Size()), 0, gguf.GGMLQuantizationType.Q8_0)
    adapter = tiny_models.tiny_adapter(tmp_path / "lab.gguf", base)
    merged(tmp_path / "own.gguf", base, read_adapter(adapter))
    kinds = {one.name: one.tensor_type.name for one in gguf.GGUFReader(tmp_path / "own.gguf").tensors}
    assert kinds["blk.0.attn_q.weight"] == "F16" and kinds["blk.0.attn_k.weight"] == "Q8_0"
    assert np.abs(likely(tmp_path / "own.gguf") - likely(base, adapter)).max() < 0.05


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    from benchmarks.random_models.blueprint import ATTENTION, Size
    from benchmarks.random_models.write import write_model as write_random

    return write_random(tmp_path / "packed.gguf", ATTENTION["qwen2"](Size()), 0, gguf.GGMLQuantizationType.Q8_0)


def test_unpacked_weights_are_the_same_numbers(packed: Path, tmp_path: Path) -> None:
    heard: list[Progress] = []
    unpacked(tmp_path / "wide.gguf", packed, heard.append)
    before, after = (gguf.GGUFReader(path).tensors for path in (packed, tmp_path / "wide.gguf"))
    assert [one.name for one in after] == [one.name for one in before]
    assert {one.tensor_type.name for one in before} > {"Q8_0"}
    assert {one.tensor_type.name for one in after} == {"F16", "F32"}
    for old, new in zip(before, after, strict=True):
        numbers = gguf.dequantize(old.data, old.tensor_type)
        assert np.allclose(new.data, numbers, rtol=2**-11, atol=1e-7), old.name
    assert read_contents(tmp_path / "wide.gguf").fields == read_contents(packed).fields
    assert [one.done for one in heard] == list(range(heard[0].total)), "each is unpacked once, when its turn comes"
    adapter = tiny_models.tiny_adapter(tmp_path / "lab.gguf", packed)
    check_fits(read_adapter(adapter), tmp_path / "wide.gguf")
    assert np.abs(likely(tmp_path / "wide.gguf") - likely(packed)).max() < 0.02
    with pytest.raises(BadRequest, match="are not packed"):
        unpacked(tmp_path / "again.gguf", tmp_path / "wide.gguf", heard.append)


def test_the_command_makes_a_model_that_is_listed_and_refuses_a_second(packed: Path, home: Home) -> None:
    told = run_command("models", "unpack", str(packed), "--json")
    assert told.exit_code == 0, told.stderr
    path = home.models / "packed-f16.gguf"
    assert json.loads(told.stdout) == {"unpacked": "packed-f16", "path": str(path), "size": path.stat().st_size}
    assert resolve("packed-f16", home).path == path
    (made,) = made_models(home)
    assert (made.base, made.path) == (identity(packed, home), path)
    again = run_command("models", "unpack", str(packed))
    assert again.exit_code == 1 and "lorebook models rm packed-f16" in again.stderr
    assert run_command("models", "unpack", str(path)).exit_code == 1
    missing = run_command("models", "unpack", "nothing")
    assert missing.exit_code == 1 and "no model nothing" in missing.stderr


def test_what_cannot_be_merged_leaves_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    base, adapter = files
    activated = tmp_path / "answers.gguf"
    tiny_models.tiny_adapter(activated, base, alora_invocation=tiny_models.invocation())
    with pytest.raises(BadRequest, match="acts in answers only"):
        merged(tmp_path / "own.gguf", base, read_adapter(activated))
    other = tiny_models.tiny(tmp_path / "other.gguf", "qwen2" if "llama" in str(base) else "llama")
    with pytest.raises(Unusable):
        merged(tmp_path / "own.gguf", other, read_adapter(adapter))
    with pytest.raises(StorageFailed):
        write_model(tmp_path / "nowhere" / "own.gguf", base, {}, "x")
    assert not list(tmp_path.glob("*own*")) and not list(tmp_path.glob(".*"))


def test_the_command_writes_it_beside_the_base_that_the_card_names(
    files: tuple[Path, Path], home: Home, tmp_path: Path
) -> None:
    base, adapter = files
    import_adapter(adapter, home)
    out = tmp_path / "own.gguf"
    told = run_command("adapters", "export", "lab", str(out), "--merged")
    assert told.exit_code == 1 and "does not say which model" in told.stderr
    cells = [{"path": "/work/lab.ipynb", "cell": "c1", "sha256": "0"}]
    card_file(home, "lab").write_text(json.dumps({"base": {"name": str(base)}, "cells": cells}))
    told = run_command("adapters", "export", "lab", str(out), "--merged", "--json")
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["path"] == str(out) and out.is_file()
    (made,) = made_models(home)
    assert (made.sha256, made.base, made.path) == (identity(out, home), identity(base, home), out)
    assert made.cells == ({"path": "/work/lab.ipynb", "cell": "c1"},) and is_there(made, home)
    told = run_command("adapters", "export", "lab", str(out), "--merged", "--base", str(base))
    assert told.exit_code == 1 and "is there already" in told.stderr


def test_a_taught_model_has_its_name_once(files: tuple[Path, Path], home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / MODEL).write_bytes(files[0].read_bytes())
    (folder / "card.json").write_text("{}")
    assert keep_model(folder, "own", home).is_file() and model_names(home) == ("own",)
    assert not (folder / MODEL).exists() and list(home.models.glob(".*")) == []
    (folder / MODEL).write_bytes(b"x")
    with pytest.raises(Conflict, match="a model OWN already"):
        keep_model(folder, "OWN", home)
