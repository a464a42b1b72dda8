import hashlib
import os
from pathlib import Path

import pytest

from lorebook_api.errors import Unusable
from lorebook_api.home import Home
from lorebook_daemon.models import catalogue
from lorebook_daemon.models.identity import identity


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    return path


def test_it_is_the_sha256_of_the_content(model: Path, home: Home) -> None:
    assert identity(model, home) == sha256(b"weights")
    assert identity(model, home) == sha256(b"weights")


def test_a_file_is_read_once(model: Path, home: Home) -> None:
    stat = model.stat()
    identity(model, home)
    model.write_bytes(b"another")
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert identity(model, home) == sha256(b"weights")


@pytest.mark.parametrize(("data", "later_ns"), [(b"another", 1), (b"longer than before", 0)])
def test_a_file_that_changed_is_read_again(model: Path, home: Home, data: bytes, later_ns: int) -> None:
    stat = model.stat()
    identity(model, home)
    model.write_bytes(data)
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns + later_ns))
    assert identity(model, home) == sha256(data)


def test_a_copy_and_a_link_have_the_same(model: Path, home: Home, tmp_path: Path) -> None:
    copy, link = tmp_path / "copy.gguf", tmp_path / "link.gguf"
    copy.write_bytes(model.read_bytes())
    link.symlink_to(model)
    assert identity(copy, home) == identity(link, home) == identity(model, home)


def test_every_file_of_a_model_counts(home: Home, tmp_path: Path) -> None:
    shards = [tmp_path / f"m-{n:05d}-of-00002.gguf" for n in (1, 2)]
    found = set()
    for second in (b"b", b"c"):
        for shard, data in zip(shards, (b"a", second), strict=True):
            shard.write_bytes(data * (1 + ord(data)))
        found.add(identity(shards[0], home))
    assert len(found) == 2


def test_what_lorebook_brought_is_not_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    file = catalogue.KnownFile("known.gguf", 7, "checked when it came", ())
    known = catalogue.KnownModel("known", "answer", "Apache-2.0", "", (file,))
    monkeypatch.setitem(catalogue.CATALOGUE, "known", known)
    path = home.models / "known.gguf"
    path.write_bytes(b"weights")
    assert identity(path, home) == "checked when it came"
    path.write_bytes(b"cut")
    assert identity(path, home) == sha256(b"cut"), "it is not that file any more"


def test_a_memory_that_is_damaged_is_made_anew(model: Path, home: Home) -> None:
    for damage in ("[]", "{", f'{{"{model}": 1}}', f'{{"{model}": {{"sha256": 1}}}}'):
        (home.cache / "identities.json").write_text(damage)
        assert identity(model, home) == sha256(b"weights")


def test_files_that_are_gone_are_forgotten(model: Path, home: Home, tmp_path: Path) -> None:
    identity(model, home)
    model.unlink()
    other = tmp_path / "other.gguf"
    other.write_bytes(b"other")
    identity(other, home)
    assert str(model) not in (home.cache / "identities.json").read_text()


def test_where_nothing_can_be_remembered_it_is_read_each_time(
    model: Path, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    (home.cache / "identities.json").mkdir()
    assert identity(model, home) == sha256(b"weights")
    assert "will be read again" in caplog.text


def test_a_file_that_cannot_be_read_is_named(home: Home, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"gone\.gguf"):
        identity(tmp_path / "gone.gguf", home)
