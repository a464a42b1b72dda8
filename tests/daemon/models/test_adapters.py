"""The folder of adapters: names, paths, import and removal."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tiny_models
from lorebook_api.errors import BadRequest, Conflict, LorebookError, NotFound, StorageFailed, Unusable
from lorebook_api.home import Home
from lorebook_daemon.models.adapters import (
    adapter_names,
    adapters_folder,
    export_adapter,
    find_adapter,
    import_adapter,
    list_adapters,
    remove_adapter,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound adapter."""
    folder = tmp_path_factory.mktemp("made")
    return tiny_models.tiny_adapter(folder / "made.gguf", tiny_models.tiny_llama(folder / "base.gguf"))


def put(home: Home, made: Path, *names: str) -> None:
    adapters_folder(home).mkdir(exist_ok=True)
    for name in names:
        (adapters_folder(home) / name).write_bytes(made.read_bytes())


def test_no_folder_holds_no_adapters(home: Home) -> None:
    assert list_adapters(home) == () == adapter_names(home)
    with pytest.raises(NotFound, match="no adapter 'a'") as caught:
        find_adapter("a", home)
    assert "lorebook adapters list" in caught.value.hint


def test_the_list_is_in_the_order_of_the_names(home: Home, made: Path) -> None:
    put(home, made, "b.gguf", "a b.GGUF", "c.gguf", ".hidden.gguf", "notes.txt")
    (adapters_folder(home) / "folder.gguf").mkdir()
    (adapters_folder(home) / "c.gguf").write_text("a shopping list")
    assert adapter_names(home) == ("a b", "b", "c")
    first, _, last = list_adapters(home)
    assert (first.name, first.architecture, first.damaged) == ("a b", "llama", "")
    assert first.path == str(adapters_folder(home) / "a b.GGUF")
    assert (last.name, last.size) == ("c", 15) and "c.gguf is not a GGUF file" in last.damaged


def test_a_name_is_found_in_any_case_and_near_ones_are_named(home: Home, made: Path) -> None:
    put(home, made, "Lab-Notes.gguf", "taxi.gguf")
    assert find_adapter("lab-notes", home).name == "Lab-Notes"
    with pytest.raises(NotFound, match=r"no adapter 'lab-nots'\. Did you mean Lab-Notes\?"):
        find_adapter("lab-nots", home)
    with pytest.raises(NotFound) as caught:
        find_adapter("zebra", home)
    assert caught.value.message == "There is no adapter 'zebra'."


def test_a_path_is_taken_as_it_is(home: Home, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_adapter(str(made), home).path == str(made)
    monkeypatch.chdir(made.parent)
    assert find_adapter("made.gguf", home).path == str(made)
    with pytest.raises(NotFound, match="no adapter at"):
        find_adapter(str(made.parent / "gone.gguf"), home)
    assert "whole model" in find_adapter("base.gguf", home).damaged


@given(st.text(max_size=40), st.sampled_from(["", ".gguf", "/.gguf", "\0.gguf", "x" * 5000, "x" * 5000 + ".gguf"]))
@example("~nobody-by-this-name/a", ".gguf")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_asked_for_is_found_or_not(home: Home, name: str, end: str) -> None:
    for start in ("", "/", "~"):
        with pytest.raises(NotFound):
            find_adapter(start + name + end, home)


def test_import_copies_the_file_whole(home: Home, made: Path) -> None:
    adapter = import_adapter(made, home)
    assert adapter.name == "made" and Path(adapter.path).read_bytes() == made.read_bytes()
    assert import_adapter(made, home, "lab-notes.2").name == "lab-notes.2"
    assert adapter_names(home) == ("lab-notes.2", "made")
    assert {path.name for path in adapters_folder(home).iterdir()} - {".lock"} == {"lab-notes.2.gguf", "made.gguf"}


@pytest.mark.parametrize("name", ["made", "MADE"])
def test_a_name_is_given_once(home: Home, made: Path, name: str) -> None:
    import_adapter(made, home)
    with pytest.raises(Conflict, match="an adapter made already") as caught:
        import_adapter(made, home, name)
    assert "lorebook adapters rm made" in caught.value.hint


def test_of_two_who_import_at_once_one_is_told(home: Home, made: Path) -> None:
    outcomes: list[type[LorebookError] | None] = []

    def bring() -> None:
        try:
            import_adapter(made, home)
            outcomes.append(None)
        except Conflict:
            outcomes.append(Conflict)

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(None) == 1 and outcomes.count(Conflict) == 3


BAD_NAMES = [
    ".",
    "..",
    "../up",
    "a/b",
    "a\\b",
    "a\0b",
    "a:0.5",
    "-rf",
    ".x",
    "a.",
    "con",
    "NUL.x",
    "a b",
    "x" * 101,
    "\n",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_what_cannot_be_a_name_is_refused(home: Home, made: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be an adapter's name") as caught:
        import_adapter(made, home, name)
    assert "--name" in caught.value.hint
    with pytest.raises(NotFound):
        find_adapter(name, home)
    with pytest.raises(NotFound):
        remove_adapter(name, home)
    assert adapter_names(home) == ()


@given(st.text(min_size=1, max_size=30))
@example("ａ")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_no_name_leads_out_of_the_folder(home: Home, made: Path, name: str) -> None:
    try:
        path = Path(import_adapter(made, home, name).path)
    except (BadRequest, Conflict):
        return
    assert path.parent == adapters_folder(home) and path.is_file()
    assert find_adapter(name, home).name == name
    remove_adapter(name, home)


def test_only_sound_adapters_are_imported(home: Home, made: Path, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="whole model"):
        import_adapter(made.parent / "base.gguf", home)
    short = tmp_path / "short.gguf"
    short.write_bytes(made.read_bytes()[:-40])
    with pytest.raises(Unusable, match="cut short"):
        import_adapter(short, home)
    for nothing in (tmp_path / "gone.gguf", tmp_path):
        with pytest.raises(NotFound, match="no file at"):
            import_adapter(nothing, home)
    assert adapter_names(home) == ()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(home: Home, made: Path) -> None:
    adapters_folder(home).mkdir(mode=0o500)
    with pytest.raises(StorageFailed, match="cannot be copied"):
        import_adapter(made, home)


def test_a_file_where_the_folder_should_be(home: Home, made: Path) -> None:
    adapters_folder(home).touch()
    assert list_adapters(home) == ()
    with pytest.raises(StorageFailed, match="cannot be copied"):
        import_adapter(made, home)


def test_removing_deletes_the_file_of_the_folder_alone(home: Home, made: Path, tmp_path: Path) -> None:
    put(home, made, "a.gguf", "b.gguf")
    assert remove_adapter("A", home).name == "a"
    assert adapter_names(home) == ("b",)
    for other in (str(made), "../added", "a"):
        with pytest.raises(NotFound):
            remove_adapter(other, home)
    assert made.is_file()
    if os.name != "nt":
        (adapters_folder(home) / "link.gguf").symlink_to(made)
        assert remove_adapter("link", home).name == "link"
        assert made.is_file()


def test_export_copies_the_file(home: Home, made: Path, tmp_path: Path) -> None:
    adapter = import_adapter(made, home, "mine")
    out = tmp_path / "out"
    out.mkdir()
    assert export_adapter(adapter, out) == out / "mine.gguf"
    assert export_adapter(adapter, out / "other") == out / "other"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == dict.fromkeys(
        ("mine.gguf", "other"), made.read_bytes()
    )
    for there in (out, out / "other"):
        with pytest.raises(Conflict, match="there already"):
            export_adapter(adapter, there)
    with pytest.raises(NotFound, match="no folder"):
        export_adapter(adapter, tmp_path / "nowhere" / "x.gguf")
    Path(adapter.path).unlink()
    with pytest.raises(StorageFailed, match="cannot be written"):
        export_adapter(adapter, out / "third")
