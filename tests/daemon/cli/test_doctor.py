import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest

from commandline import Run
from fake_daemon import FakeDaemon
from fake_openai import FakeOpenAI, serving
from lorebook_api.home import Home
from lorebook_daemon.cli import checks
from lorebook_daemon.cli.checks import Check, Patient


def examine(run: Run, *words: str) -> dict[str, dict[str, str]]:
    result = run("doctor", "--json", *words)
    data = json.loads(result.stdout)
    assert result.exit_code == (0 if data["ready"] else 1)
    assert data["ready"] == all(check["state"] != "fail" for check in data["checks"])
    return {check["name"]: check for check in data["checks"]}


def test_every_check_that_is_not_ok_says_what_to_type(run: Run) -> None:
    found = examine(run)
    assert list(found) == list(checks.CHECKS)
    assert all(check["next"] for check in found.values() if check["state"] != "ok")


def test_without_models_it_is_ready_online_and_not_offline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.setenv(name, "/nowhere")
    for name in ("model", "embedder"):
        assert examine(run)[name]["state"] == "warn"
        offline = examine(run, "--offline")[name]
        assert offline["state"] == "fail" and offline["next"].startswith("lorebook models pull ")


def test_the_model_that_the_settings_name_is_looked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREBOOK_MODEL", "smollm2-135m-instruct-q4_1")
    found = examine(run)["model"]
    assert found["state"] == "warn" and found["next"] == "lorebook models pull smollm2-135m-instruct-q4_1"
    monkeypatch.setenv("LOREBOOK_OFFLINE", "1")
    assert examine(run)["model"]["state"] == "fail"
    monkeypatch.setenv("LOREBOOK_MODEL", "zebra")
    assert "no model zebra" in examine(run)["model"]["detail"]


def test_the_running_daemon_is_shown(run: Run, home: Home) -> None:
    assert "not running" in examine(run)["daemon"]["detail"]
    with FakeDaemon(home.runtime) as fake:
        assert fake.url in examine(run)["daemon"]["detail"]
    with FakeDaemon(home.runtime, version="0.0.1"):
        assert examine(run)["daemon"] == {
            "name": "daemon",
            "state": "warn",
            "detail": examine(run)["daemon"]["detail"],
            "next": "lorebook stop",
        }


def test_the_server_that_the_settings_name_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examine(run)["server"]["state"] == "ok"
    monkeypatch.setenv("LOREBOOK_ENGINE", "openai")
    assert examine(run)["server"]["state"] == "fail"
    with serving(FakeOpenAI(key="sk-right")) as url:
        monkeypatch.setenv("LOREBOOK_ENGINE_URL", url)
        refused = examine(run)["server"]
        assert refused["state"] == "fail" and "LOREBOOK_ENGINE_KEY" in refused["next"]
        monkeypatch.setenv("LOREBOOK_ENGINE_KEY", "sk-right")
        found = examine(run, "--offline")
        assert found["server"]["state"] == found["model"]["state"] == "ok"
        assert found["server"]["detail"] == f"tiny at {url.removeprefix('http://')}"
        monkeypatch.setenv("LOREBOOK_MODEL", "zebra")
        assert "no model zebra" in examine(run)["server"]["detail"]
    assert "Nobody answers" in examine(run)["server"]["detail"]
    monkeypatch.setenv("LOREBOOK_ENGINE_URL", "http://engine.example")
    assert "offline" in examine(run, "--offline")["server"]["detail"]


def test_a_missing_package_is_a_finding(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["click>=8.1", "no-such-thing>=1", 'fastapi>=0.1; extra == "daemon"', 'nor-this; extra == "daemon"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    found = checks.examine(Patient(home, offline=False))
    assert found["packages"].state == "fail" and "missing: no-such-thing" in found["packages"].detail
    assert found["daemon packages"] == Check("fail", "missing: nor-this", checks.INSTALL_DAEMON)


def test_a_compiler_is_looked_for_only_where_the_engine_is_yet_to_be_built(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    assert checks.examine(Patient(home, offline=False))["compiler"] == Check("ok", "/usr/bin/g++")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert checks.examine(Patient(home, offline=False))["compiler"].state == "fail"


def test_a_home_that_cannot_be_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path / "file" / "home"))
    found = examine(run)["folders"]
    assert found["state"] == "fail" and "LOREBOOK_HOME" in found["next"]


def test_the_text(run: Run) -> None:
    result = run("doctor")
    assert result.stdout.splitlines()[0].startswith("ok   python")
    assert result.stdout.splitlines()[-1] in ("ready", "not ready: see the lines that say fail")
