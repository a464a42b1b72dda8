import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import fake_daemon
from commandline import Run
from fake_daemon import FakeDaemon
from lorebook_api.home import Home
from lorebook_api.indexing import FileChange, IndexReport, RootNotice, Skipped
from lorebook_api.retrieval import SearchResponse
from lorebook_api.state import ModelInfo, Status
from lorebook_api.version import VERSION
from lorebook_daemon.cli.commands import lorebook


def test_every_command_has_help_with_an_example(run: Run) -> None:
    assert "Ask your own notebooks" in run("--help").stdout
    names = [[name] for name in lorebook.commands] + [["models", name] for name in ("list", "pull", "add", "rm")]
    for name in names:
        result = run(*name, "--help")
        assert result.exit_code == 0
        assert f"  lorebook {' '.join(name)}" in result.stdout.rsplit("Example", 1)[1]


def test_the_version(run: Run) -> None:
    assert run("--version").stdout == f"lorebook {VERSION}\n"


def test_search(run: Run, fake: FakeDaemon, folder: Path) -> None:
    result = run("search", "fare", "per", "km", "--kind", "code", "-k", "2", "--rerank", "model")
    assert result.stdout.splitlines() == [
        " 1. src/fare.py:10-12  code 0.500",
        "    def fare(km):",
        "        return km",
        "    ",
        "1 passage, 3 ms, hybrid search",
    ]
    sent = fake.of("/api/search")[0].body
    assert sent.items() >= {"query": "fare per km", "roots": [str(folder)], "k": 2, "explain": False}.items()
    assert sent["filters"]["kinds"] == ["code"] and not sent["filters"]["paths"]
    assert (sent["rerank"], sent["rewrite"]) == ("model", "none")


def test_search_as_json(run: Run, fake: FakeDaemon) -> None:
    result = run("search", "fare", "--json")
    assert TypeAdapter(SearchResponse).validate_json(result.stdout).results == (fake_daemon.RESULT,)


def test_index(run: Run, fake: FakeDaemon, folder: Path) -> None:
    result = run("index", ".", "--full")
    assert result.stdout.splitlines() == [
        "/data",
        "  3 files, 17 passages: 2 added, 1 changed, 0 removed, 1 skipped, 0.4 s",
        "  skipped big.csv: 120 MB, above max_file_mb = 20",
    ]
    assert "reading files" in result.stderr
    assert fake.of("/api/index")[0].body == {"roots": [str(folder)], "full": True, "watch": False}


def test_an_index_of_nothing_says_so_and_what_was_mended(run: Run, fake: FakeDaemon) -> None:
    report = replace(fake_daemon.REPORT, files=0, passages=0, skipped=(), notices=("The index was damaged.",))
    fake.scripts.index = [("report", report.__dict__), ("done", {})]
    result = run("index")
    assert "nothing here can be asked about" in result.stdout and "The index was damaged." in result.stderr


def test_index_counts_what_it_does_not_list(run: Run, fake: FakeDaemon) -> None:
    report = replace(fake_daemon.REPORT, skipped=tuple(Skipped(f"{n}.csv", "binary") for n in range(30)))
    fake.scripts.index = [("report", report.__dict__ | {"skipped": [s.__dict__ for s in report.skipped]}), ("done", {})]
    assert "10 more skipped" in run("index").stdout
    data = json.loads(run("index", "--json").stdout)
    assert TypeAdapter(list[IndexReport]).validate_python(data["roots"]) == [report]


def test_watch_shows_changes_until_interrupted(run: Run, fake: FakeDaemon) -> None:
    saved = replace(fake_daemon.REPORT, added=0, changes=(FileChange("src/fare.py", "changed"),), skipped=())
    moved = replace(saved, added=1, changed=0, removed=1, changes=(FileChange("b.py", "moved", "a.py"),))
    notice = RootNotice("/data", "/data is not what it was: renamed, deleted or unmounted. Its index is kept.")
    fake.scripts.index = [
        ("report", asdict(fake_daemon.REPORT)),
        ("report", asdict(saved)),
        ("notice", asdict(notice)),
        ("report", asdict(moved)),
        fake_daemon.HANG_UP,
    ]
    result = run("index", "--watch")
    assert result.exit_code == 1, "the daemon that was watching is gone"
    assert fake.of("/api/index")[0].body["watch"] is True
    assert result.stdout.splitlines()[-2:] == ["  changed src/fare.py", "  moved a.py to b.py"]
    assert "watching; Ctrl-C ends it" in result.stderr and "Its index is kept." in result.stderr


def test_indexing_is_paused_and_goes_on(run: Run, fake: FakeDaemon) -> None:
    assert "--resume" in run("index", "--pause").stderr
    assert json.loads(run("index", "--resume", "--json").stdout) == {"paused": False}
    assert [len(fake.of(f"/api/index/{what}")) for what in ("pause", "resume")] == [1, 1]


def test_the_index_of_a_folder_that_is_gone_can_be_dropped(run: Run, fake: FakeDaemon, folder: Path) -> None:
    assert json.loads(run("index", "gone", "--forget", "--json").stdout) == {"forgotten": [str(folder / "gone")]}
    assert fake.of("/api/index/forget")[0].body == {"root": str(folder / "gone")}
    assert run("index", "--forget").exit_code == 2


@pytest.mark.parametrize("words", [("--watch", "--full"), ("--pause", "--watch")])
def test_what_excludes_each_other_is_wrong_usage(run: Run, fake: FakeDaemon, words: tuple[str, ...]) -> None:
    assert run("index", *words).exit_code == 2
    assert not fake.of("/api/index")


def test_status(run: Run, fake: FakeDaemon) -> None:
    text = run("status").stdout
    assert "indexing /photos" in text
    assert "kept    12 of at most 4096 MB" in text
    assert "echo-1b (ready)" in text and "/data" in text and "60 idle minutes" in text
    assert TypeAdapter(Status).validate_json(run("status", "--json").stdout) == fake.status()


def test_status_without_a_daemon(run: Run, home: Home) -> None:
    result = run("status", "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["error"]["type"] == "unavailable_error"
    assert "lorebook serve" in result.stderr
    assert not home.log_file.exists()


def test_stop(run: Run, fake: FakeDaemon) -> None:
    assert "Stopped the daemon" in run("stop").stdout
    assert fake.stopped.wait(5)
    result = run("stop")
    assert result.exit_code == 0 and result.stdout == "No daemon is running.\n"


def test_logs(run: Run, home: Home) -> None:
    assert run("logs").exit_code == 1
    home.log_file.write_text("one\ntwo\x1b[2J\nthree\n")
    assert run("logs", "-n", "2").stdout == "two\N{REPLACEMENT CHARACTER}[2J\nthree\n"


def test_logs_follow(home: Home) -> None:
    home.log_file.write_text("one\n")
    words = [sys.executable, "-m", "lorebook_daemon", "logs", "--follow"]
    with subprocess.Popen(words, env={**os.environ}, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None

        def write_later() -> None:
            time.sleep(0.2)
            with home.log_file.open("a") as log:
                log.write("two\n")

        threading.Thread(target=write_later).start()
        assert [child.stdout.readline(), child.stdout.readline()] == ["one\n", "two\n"]
        child.terminate()


def test_models(run: Run, fake: FakeDaemon, folder: Path) -> None:
    assert "here, default  echo-1b  1 MB" in run("models", "list").stdout
    data = json.loads(run("models", "list", "--json").stdout)
    assert TypeAdapter(list[ModelInfo]).validate_python(data["models"]) == [fake_daemon.MODEL]
    why = "The held-out loss did not fall."
    taught = replace(fake_daemon.MODEL, name="lab", default=False, status="candidate", reason=why)
    fake.scripts.replies["/api/models"] = {"models": [asdict(fake_daemon.MODEL), asdict(taught)]}
    lines = run("models", "list").stdout.splitlines()
    assert lines[2].startswith("here, candidate  lab") and lines[3:] == [f"lab is a candidate: {why}"]
    assert json.loads(run("models", "list", "--json").stdout)["models"][1]["reason"] == why
    result = run("models", "pull", "echo-1b")
    assert result.stdout == "echo-1b is here: /models/echo-1b.gguf (1 MB)\n" and "echo-1b.gguf 50%" in result.stderr
    assert TypeAdapter(ModelInfo).validate_json(run("models", "pull", "echo-1b", "--json").stdout) == fake_daemon.MODEL
    assert run("models", "rm", "echo-1b").stdout == "Removed echo-1b.\n"
    assert run("models", "add", "none.gguf").exit_code == 1
    (folder / "m.gguf").touch()
    assert "Added echo-1b" in run("models", "add", "m.gguf").stdout
    assert fake.of("/api/models/add")[0].body == {"path": str(folder / "m.gguf")}


def test_serve_says_which_package_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("lorebook_daemon.app", "fastapi"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    result = run("serve")
    assert result.exit_code == 1 and "pip install 'lorebook[daemon]'" in result.stderr


def test_serve_refuses_a_model_that_nobody_knows(run: Run, home: Home) -> None:
    result = run("serve", "--model", "zebra")
    assert result.exit_code == 1 and result.stderr.startswith("lorebook: There is no model zebra.")
    assert not home.daemon_file.exists()


def test_serve_refuses_a_bad_setting_in_one_line(run: Run, home: Home) -> None:
    home.config.mkdir(exist_ok=True)
    (home.config / "config.toml").write_text("colour = 1")
    result = run("serve")
    assert result.exit_code == 1 and "colour" in result.stderr and result.stderr.count("\n") == 1


def test_a_home_that_cannot_be_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path / "file" / "home"))
    result = run("ask", "why?")
    assert result.exit_code == 1 and "Set LOREBOOK_HOME" in result.stderr
