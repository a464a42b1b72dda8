from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorebook_daemon.models.found import FINDERS, found_elsewhere, model_name

BLOB = "a" * 64


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home folder with nothing in it."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))  # a service's folder on this machine is not meant
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def _file(path: Path, text: str = "weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _manifest(models: Path, name: str, digest: str, media: str = "application/vnd.ollama.image.model") -> None:
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{'f' * 64}"},
        {"mediaType": media, "digest": digest},
    ]
    _file(models / "manifests" / name, json.dumps({"layers": layers}))


def test_nothing_is_found_where_nothing_is() -> None:
    assert found_elsewhere() == []


def test_the_hugging_face_cache(person: Path) -> None:
    repo = person / ".cache/huggingface/hub/models--tiny--Tiny-GGUF"
    blob = _file(repo / "blobs" / BLOB)
    link = repo / "snapshots/0123/sub/Tiny-Q4_K_M.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    _file(repo / "snapshots/0123/README.md")
    (repo / "snapshots/0123/gone.gguf").symlink_to(repo / "blobs/none")
    (found,) = found_elsewhere()
    assert (found.name, found.path, found.size, found.origin) == ("Tiny-Q4_K_M", link, 7, "huggingface")
    assert found.sha256 == BLOB


@pytest.mark.parametrize(
    ("variable", "below"), [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")]
)
def test_a_cache_that_was_moved(person: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str) -> None:
    monkeypatch.setenv(variable, str(person / "moved"))
    _file(person / "moved" / below / "models--a--b/snapshots/1/b.gguf")
    assert [found.name for found in found_elsewhere()] == ["b"]


def test_ollama(person: Path) -> None:
    models = person / "ollama"
    _file(models / "blobs" / f"sha256-{BLOB}")
    _manifest(models, "registry.ollama.ai/library/qwen/1.5b", f"sha256:{BLOB}")
    _manifest(models, "registry.ollama.ai/someone/qwen/latest", f"sha256:{BLOB}")
    _manifest(models, "hub.example/tiny/Tiny-GGUF/Q4", f"sha256:{BLOB}")
    names = [found.name for found in found_elsewhere()]
    assert names == ["hub.example/tiny/Tiny-GGUF:Q4", "qwen:1.5b", "someone/qwen:latest"]
    assert {(found.path, found.sha256, found.origin) for found in found_elsewhere()} == {
        (models / "blobs" / f"sha256-{BLOB}", BLOB, "ollama")
    }


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"layers": 3}', '{"layers": [3]}', '{"layers": [{"digest": 1}]}']
)
def test_a_damaged_manifest_is_passed_over(person: Path, text: str) -> None:
    _file(person / "ollama/manifests/registry.ollama.ai/library/m/t", text)
    assert found_elsewhere() == []


def test_ollamas_usual_place(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_MODELS")
    blob = _file(person / ".ollama/models/blobs" / f"sha256-{BLOB}")
    _manifest(person / ".ollama/models", "registry.ollama.ai/library/qwen/1.5b", f"sha256:{BLOB}")
    assert blob in [found.path for found in found_elsewhere()]


def test_a_digest_cannot_lead_out_of_the_blobs(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = person / "elsewhere"
    monkeypatch.setenv("OLLAMA_MODELS", str(models))
    _file(models / "secret")
    _manifest(models, "h/n/m/t", "sha256:../secret")
    _manifest(models, "h/n/m/gone", f"sha256:{'b' * 64}")
    _manifest(models, "h/n/m/other", f"sha256:{BLOB}", media="application/vnd.ollama.image.adapter")
    assert found_elsewhere() == []


def test_lm_studio_where_it_is_and_where_it_was_moved_to(person: Path) -> None:
    _file(person / ".lmstudio/models/pub/repo/one.gguf")
    _file(person / ".cache/lm-studio/models/pub/repo/two.gguf")
    _file(person / "moved/models/pub/repo/three.gguf")
    _file(person / ".lmstudio-home-pointer", f"{person / 'moved'}\n")
    assert [(found.name, found.origin) for found in found_elsewhere()] == [
        ("three", "lmstudio"),
        ("one", "lmstudio"),
        ("two", "lmstudio"),
    ]


def test_the_order_of_looking() -> None:
    assert list(FINDERS) == ["huggingface", "ollama", "lmstudio"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Tiny.Q4.gguf", "Tiny.Q4"),
        ("tiny.GGUF", "tiny"),
        ("big-00001-of-00003.gguf", "big"),
        ("big-00002-of-00003.gguf", None),
        ("mmproj-tiny.gguf", None),
        ("tiny.gguf.part", None),
        ("tiny.bin", None),
    ],
)
def test_what_a_file_is_called(file: str, name: str | None) -> None:
    assert model_name(Path(file)) == name
