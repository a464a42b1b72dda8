import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from pydantic import TypeAdapter

import tiny_models
from commandline import Run
from fake_daemon import ADAPTER, DAMAGED, FakeDaemon
from lorebook_api.errors import Conflict, NotFound
from lorebook_api.home import Home
from lorebook_api.state import AdapterInfo
from lorebook_daemon.cli.commands import lorebook
from lorebook_daemon.models.adapters import import_adapter

COMMANDS = ("list", "show", "load", "unload", "rm", "export", "import")


@pytest.fixture
def here(home: Home, tmp_path: Path) -> AdapterInfo:
    """An adapter in lorebook's folder, without a daemon."""
    model = tiny_models.tiny_llama(tmp_path / "base.gguf")
    return import_adapter(tiny_models.tiny_adapter(tmp_path / "made.gguf", model), home, "lab-notes")


def test_every_command_has_help_with_an_example(run: Run) -> None:
    for name in COMMANDS:
        result = run("adapters", name, "--help")
        assert result.exit_code == 0
        assert f"  lorebook adapters {name}" in result.stdout.split("Example")[1]
    assert "adapters" in lorebook.commands


def test_list(run: Run, fake: FakeDaemon) -> None:
    result = run("adapters", "list")
    assert result.stdout.splitlines() == [
        "state              name       kind   rank  size    for      path",
        "here, acts at 0.5  lab-notes  aLoRA  8     2.5 MB  Echo 1B  /models/adapters/lab-notes.gguf",
        "damaged            old                     0.0 kB           /models/adapters/old.gguf",
    ]
    assert "old: old.gguf is cut short" in result.stderr
    data = json.loads(run("adapters", "list", "--json").stdout)
    assert TypeAdapter(list[AdapterInfo]).validate_python(data["adapters"]) == [ADAPTER, DAMAGED]


def test_list_of_nothing_says_what_to_type(run: Run, fake: FakeDaemon) -> None:
    fake.scripts.adapters = ()
    assert "lorebook adapters import FILE" in run("adapters", "list").stdout
    assert json.loads(run("adapters", "list", "--json").stdout) == {"adapters": []}


def test_show(run: Run, fake: FakeDaemon) -> None:
    assert run("adapters", "show", "lab-notes").stdout.splitlines() == [
        "name    lab-notes",
        "state   here, acts at 0.5",
        "path    /models/adapters/lab-notes.gguf",
        "size    2.5 MB",
        "kind    aLoRA",
        "for     llama (Echo 1B)",
        "rank    8",
        "alpha   16",
        "changes attn_q, attn_v",
        "layers  30, 0 to 29",
        "acts at tokens 1 520 198",
    ]
    assert "why     old.gguf is cut short" in run("adapters", "show", "old").stdout
    shown = run("adapters", "show", "lab-notes", "--json").stdout
    assert TypeAdapter(AdapterInfo).validate_json(shown) == ADAPTER


def test_the_json_of_one_that_was_taught_here_has_its_card(run: Run, fake: FakeDaemon, here: AdapterInfo) -> None:
    fake.scripts.shown = here
    assert json.loads(run("adapters", "show", "lab-notes", "--json").stdout)["card"] == {}
    Path(here.path).with_suffix(".json").write_text('{"cells": [{"path": "/lab.ipynb", "cell": "c1"}]}')
    assert json.loads(run("adapters", "show", "lab-notes", "--json").stdout)["card"]["cells"][0]["cell"] == "c1"


def test_a_path_goes_to_the_daemon_as_an_absolute_one(run: Run, fake: FakeDaemon, folder: Path) -> None:
    run("adapters", "show", "mine.gguf")
    assert fake.calls[-1].path == f"/api/adapters/{str(folder / 'mine.gguf').replace('/', '%2F')}"
    run("adapters", "load", "mine.gguf")
    assert fake.of("/api/adapters/load")[-1].body == {"name": str(folder / "mine.gguf")}


def test_load_and_unload(run: Run, fake: FakeDaemon) -> None:
    result = run("adapters", "load", "lab-notes")
    assert result.stdout == 'Loaded lab-notes. Ask with it: lorebook ask "…" --adapter lab-notes\n'
    assert "loading echo-1b 50%" in result.stderr
    assert json.loads(run("adapters", "load", "lab-notes", "--json").stdout)["loaded"] is True
    assert run("adapters", "unload", "lab-notes").stdout == "Unloaded lab-notes.\n"
    assert json.loads(run("adapters", "unload", "lab-notes", "--json").stdout) == {"unloaded": "lab-notes"}
    assert fake.of("/api/adapters/unload")[0].body == {"name": "lab-notes"}


def test_rm(run: Run, fake: FakeDaemon) -> None:
    assert run("adapters", "rm", "lab-notes").stdout == "Removed lab-notes.\n"
    assert json.loads(run("adapters", "rm", "lab-notes", "--json").stdout) == {"removed": "lab-notes"}
    assert {call.method for call in fake.of("/api/adapters/lab-notes")} == {"DELETE"}


def test_import(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "a.gguf").touch()
    assert run("adapters", "import", "a.gguf").stdout.startswith("Imported lab-notes.")
    done = run("adapters", "import", "a.gguf", "--name", "lab-notes", "--json")
    assert TypeAdapter(AdapterInfo).validate_json(done.stdout) == ADAPTER
    path = str(folder / "a.gguf")
    sent = [call.body for call in fake.of("/api/adapters/import")]
    assert sent == [{"path": path, "name": ""}, {"path": path, "name": "lab-notes"}]
    for nothing in ("gone.gguf", "."):
        result = run("adapters", "import", nothing)
        assert result.exit_code == 1 and result.stderr.startswith("lorebook: ") and "is not a file" in result.stderr


def test_export_needs_no_daemon(run: Run, here: AdapterInfo, folder: Path, home: Home) -> None:
    result = run("adapters", "export", "lab-notes", "out.gguf")
    assert result.stdout == f"lab-notes is in {folder / 'out.gguf'}\n"
    assert (folder / "out.gguf").read_bytes() == Path(here.path).read_bytes()
    done = run("adapters", "export", "lab-notes", ".", "--json")
    assert json.loads(done.stdout) == {"exported": "lab-notes", "path": str(folder / "lab-notes.gguf")}
    again = run("adapters", "export", "lab-notes", "out.gguf")
    assert again.exit_code == 1 and "there already" in again.stderr
    nobody = run("adapters", "export", "lab-note", "x.gguf", "--json")
    assert nobody.exit_code == 1 and "Did you mean lab-notes?" in json.loads(nobody.stdout)["error"]["message"]
    assert not home.daemon_file.exists()


@pytest.mark.parametrize("error", [NotFound("There is no adapter x.", "See it."), Conflict("There is one.", "Rename.")])
def test_what_the_daemon_refuses_is_one_line_and_exit_1(
    run: Run, fake: FakeDaemon, folder: Path, error: Conflict
) -> None:
    (folder / "a.gguf").touch()
    fake.scripts.error = error
    for words in (["list"], ["show", "x"], ["load", "x"], ["unload", "x"], ["rm", "x"], ["import", "a.gguf"]):
        result = run("adapters", *words)
        assert (result.exit_code, result.stderr) == (1, f"lorebook: {error.message} {error.hint}\n")
        told = run("adapters", *words, "--json")
        assert (told.exit_code, json.loads(told.stdout)) == (1, error.body())


@pytest.mark.parametrize(
    "words", [[], ["show"], ["export", "a"], ["import"], ["list", "a"], ["load", "a", "b"]], ids=str
)
def test_wrong_usage_is_exit_2(run: Run, words: list[str]) -> None:
    assert run("adapters", *words).exit_code == 2


@pytest.mark.parametrize("command", ["show", "load", "unload", "rm", "export"])
def test_the_names_are_completed(here: AdapterInfo, command: str) -> None:
    shell = ShellComplete(lorebook, {}, "lorebook", "_LOREBOOK_COMPLETE")
    assert [item.value for item in shell.get_completions(["adapters", command], "la")] == ["lab-notes"]
    assert shell.get_completions(["adapters", command], "x") == []
