"""How `make lab` starts JupyterLab: on the tour, with the panel, with this environment's commands."""

import os
import sys
from pathlib import Path

import pytest

from scripts import lab, labfiles
from scripts.lab import TOUR, command, environment, main
from scripts.places import ROOT


def test_jupyterlab_opens_the_tour_that_is_there():
    assert (ROOT / "samples" / TOUR).is_file()
    assert f"--LabApp.default_url=/lab/tree/{TOUR}" in command()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there is no root here")
@pytest.mark.parametrize(("user", "told"), [(0, True), (1000, False)])
def test_root_is_let_in_and_nobody_else_is_told_so(monkeypatch, user, told):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert ("--allow-root" in command()) is told


def test_our_paths_come_before_the_persons_own(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_PATH", "/theirs")
    monkeypatch.delenv("JUPYTER_CONFIG_PATH", raising=False)
    found = environment(tmp_path)
    assert found["JUPYTER_PATH"] == os.pathsep.join([str(tmp_path / "share"), "/theirs"])
    assert found["JUPYTER_CONFIG_PATH"] == str(tmp_path / "config")
    assert found["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_an_unbuilt_front_end_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(labfiles, "BUILT", tmp_path)
    monkeypatch.setattr(lab.subprocess, "run", lambda *_, **__: pytest.fail("nothing may be started"))
    assert main() == 1
    assert "make frontend" in capsys.readouterr().err
