"""`lorebook settings`."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner, Result

from lorebook_api.home import Home
from lorebook_daemon.cli.commands import lorebook
from lorebook_daemon.settings import Settings


def typed(*words: str) -> Result:
    return CliRunner().invoke(lorebook, ["settings", *words], prog_name="lorebook")


def test_every_setting_is_listed_with_where_it_comes_from(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.config.mkdir(parents=True, exist_ok=True)
    (home.config / "config.toml").write_text('offline = true\nn_ctx = 4096\nengine_key = "secret"\n')
    monkeypatch.setenv("LOREBOOK_N_CTX", "2048")
    told = json.loads(typed("--json").stdout)
    listed = {one["name"]: (one["value"], one["source"]) for one in told["settings"]}
    assert list(listed) == [field.name for field in dataclasses.fields(Settings)]
    assert listed["offline"] == (True, "config.toml")
    assert listed["n_ctx"] == (2048, "LOREBOOK_N_CTX")
    assert listed["port"] == (0, "default")
    assert "secret" not in json.dumps(told)
    shown = typed().output
    assert "LOREBOOK_N_CTX" in shown and "true" in shown and "config.toml" in shown and "secret" not in shown


def test_without_a_file_it_is_said_where_one_would_be(home: Home) -> None:
    assert "would be read; there is none" in typed().output


@pytest.mark.parametrize("text", ["offline = maybe", "colour = 3", 'offline = "maybe"', 'splitter = "words"'])
def test_what_cannot_be_is_one_line(home: Home, text: str) -> None:
    home.config.mkdir(parents=True, exist_ok=True)
    (home.config / "config.toml").write_text(text)
    result = typed()
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
