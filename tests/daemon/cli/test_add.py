import json
from dataclasses import replace

import pytest

import fake_daemon
from commandline import Run
from fake_daemon import FakeDaemon
from lorebook_api.home import Home
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.webpages import pages_folder

URL = "https://example.org/wells.html"


@pytest.fixture
def kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, bool]]:
    """Keep a page without fetching it; return what was asked for."""
    asked: list[tuple[str, int, bool]] = []

    def keep_page(url, folder, *, most_mb, offline):
        asked.append((url, most_mb, offline))
        file = folder / "example.org" / "wells-12.mhtml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("kept")
        return file

    monkeypatch.setattr("lorebook_daemon.index.webpages.keep_page", keep_page)
    return asked


def test_a_page_is_kept_and_its_folder_indexed(run: Run, fake: FakeDaemon, home: Home, kept) -> None:
    result = run("add", URL)
    assert result.exit_code == 0 and kept == [(URL, 20, False)]
    assert result.stdout.splitlines() == [
        f"{URL} is kept as example.org/wells-12.mhtml",
        'Ask about it: lorebook ask "…" --root /data',
    ]
    assert fake.of("/api/index")[0].body["roots"] == [str(pages_folder(home))]


def test_as_json(run: Run, fake: FakeDaemon, kept) -> None:
    told = json.loads(run("add", URL, "--json").stdout)
    assert (told["root"], told["files"]) == ("/data", ["example.org/wells-12.mhtml"])
    assert told["report"]["files"] == 3


def test_a_page_that_cannot_be_read_is_an_error(run: Run, fake: FakeDaemon, kept) -> None:
    report = replace(fake_daemon.REPORT, skipped=(Skipped("example.org/wells-12.mhtml", "no text"),))
    fake.scripts.index = [
        ("report", report.__dict__ | {"skipped": [{"path": s.path, "why": s.why} for s in report.skipped]})
    ]
    result = run("add", URL)
    assert result.exit_code == 1 and "was fetched and cannot be read: no text" in result.stderr


def test_what_the_settings_say_holds(run: Run, fake: FakeDaemon, kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREBOOK_OFFLINE", "1")
    monkeypatch.setenv("LOREBOOK_MAX_FILE_MB", "5")
    run("add", URL)
    assert kept == [(URL, 5, True)]


def test_offline_nothing_is_fetched(run: Run, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREBOOK_OFFLINE", "1")
    result = run("add", "http://192.0.2.1/a.html")
    assert result.exit_code == 1 and "stay offline" in result.stderr and not fake.of("/api/index")
    assert run("add").exit_code == 2
