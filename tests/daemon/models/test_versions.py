"""The version of an adapter before the present one: put aside, put back, changed places with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tiny_models
from lorebook_api.errors import Conflict, NotFound
from lorebook_daemon.models.adapters import (
    adapter_names,
    adapters_folder,
    card_file,
    find_adapter,
    import_adapter,
    peft_folder,
    remove_adapter,
)
from lorebook_daemon.models.versions import put_back, roll_back, set_aside


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    model = tiny_models.tiny_llama(folder / "base.gguf")
    for rank in (2, 4):
        tiny_models.tiny_adapter(folder / f"{rank}.gguf", model, rank=rank)
    return folder


@pytest.fixture
def bring(home, made):
    def bring(rank, status="active"):
        import_adapter(made / f"{rank}.gguf", home, "lab")
        card_file(home, "lab").write_text(json.dumps({"status": status, "rank": rank}))
        peft_folder(home, "lab").mkdir()
        (peft_folder(home, "lab") / "rank").write_text(str(rank))

    return bring


def whole(home):
    """Return the rank that adapter, card and PEFT folder agree on."""
    (rank,) = find_adapter("lab", home).ranks
    assert json.loads(card_file(home, "lab").read_text())["rank"] == rank
    assert (peft_folder(home, "lab") / "rank").read_text() == str(rank)
    return rank


def test_versions_change_places_whole_and_back_again(home, bring):
    bring(2)
    set_aside("lab", home)
    assert adapter_names(home) == () and not card_file(home, "lab").exists()
    bring(4)
    assert [roll_back("lab", home).ranks[0], whole(home)] == [2, 2]
    assert [roll_back("LAB", home).ranks[0], whole(home)] == [4, 4]
    assert adapter_names(home) == ("lab",)


def test_what_was_put_aside_is_put_back(home, bring):
    bring(2)
    set_aside("lab", home)
    put_back("lab", home)
    assert whole(home) == 2
    assert roll_back("lab", home).status == "candidate"


def test_without_an_earlier_version_an_active_one_becomes_a_candidate(home, bring):
    bring(2)
    assert find_adapter("lab", home).status == "active"
    now = roll_back("lab", home)
    assert (now.status, now.reason) == ("candidate", "It was rolled back.")
    with pytest.raises(Conflict, match="no earlier version"):
        roll_back("lab", home)


def test_one_that_was_not_trained_here_has_no_status_and_no_way_back(home, made):
    import_adapter(made / "2.gguf", home, "lab")
    assert find_adapter("lab", home).status == ""
    with pytest.raises(Conflict):
        roll_back("lab", home)
    with pytest.raises(Conflict, match="not in lorebook's folder"):
        roll_back(str(made / "2.gguf"), home)
    with pytest.raises(NotFound):
        roll_back("none", home)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def kill(monkeypatch):
    """Have a process killed before its nth change of a file or a folder; returns whether it got that far."""

    def kill(n, work):
        left = n

        def counted(real):
            def change(*given, **named):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return real(*given, **named)

            return change

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counted(Path.replace))
            patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
            patch.setattr(shutil, "copyfile", counted(shutil.copyfile))
            try:
                work()
            except Killed:
                return True
        return False

    return kill


def brought_back(home):
    roll_back("LAB", home)
    return whole(home)


@pytest.mark.parametrize("n", range(10))
def test_a_kill_while_one_takes_anothers_place_loses_neither(home, bring, kill, n):
    def replaced():
        set_aside("lab", home)
        bring(4)

    bring(2)
    before = [path.name for path in adapters_folder(home).iterdir()]
    killed = kill(n, replaced)
    if not killed:
        assert whole(home) == 4
    elif "lab" not in adapter_names(home):
        with pytest.raises(NotFound, match="its end") as told:
            find_adapter("lab", home)
        assert "rollback lab" in told.value.hint
    assert brought_back(home) == 2
    if killed:
        left = [path.name for path in adapters_folder(home).iterdir() if not path.name.startswith(".")]
        assert set(left) - {"lab.earlier", "lab.lock"} <= set(before)


@pytest.mark.parametrize("n", range(11))
def test_a_kill_while_two_versions_change_places_loses_neither(home, bring, kill, n):
    bring(2)
    set_aside("lab", home)
    bring(4)
    killed = kill(n, lambda: roll_back("lab", home))
    ranks = [brought_back(home), brought_back(home)]
    assert sorted(ranks) == [2, 4]
    assert killed or n >= 9


@pytest.mark.parametrize("n", range(6))
def test_a_kill_while_it_is_mended_loses_nothing_either(home, bring, kill, n):
    bring(2)
    set_aside("lab", home)
    card_file(home, "lab").write_text("{}")
    kill(n, lambda: roll_back("lab", home))
    assert brought_back(home) == 2


def test_an_adapter_goes_with_its_earlier_version(home, bring):
    bring(2)
    set_aside("lab", home)
    bring(4)
    remove_adapter("lab", home)
    left = [path.name for path in adapters_folder(home).glob("lab*") if path.suffix != ".lock"]
    assert left == []
