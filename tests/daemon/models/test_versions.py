"""The version of an adapter before the present one: put aside, put back, changed places with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tiny_models
from lorebook_api.errors import Conflict, NotFound, StorageFailed
from lorebook_daemon.models.adapter_file import read_adapter
from lorebook_daemon.models.adapters import (
    adapter_names,
    adapters_folder,
    card_file,
    find_adapter,
    import_adapter,
    peft_folder,
    remove_adapter,
)
from lorebook_daemon.models.versions import drop_earlier, finish_changes, put_back, roll_back, set_aside


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    model = tiny_models.tiny_llama(folder / "base.gguf")
    for rank in (2, 4, 8):
        tiny_models.tiny_adapter(folder / f"{rank}.gguf", model, rank=rank)
    return folder


@pytest.fixture
def bring(home, made):
    def bring(rank, status="active"):
        card_file(home, "lab").parent.mkdir(exist_ok=True)
        card_file(home, "lab").write_text(json.dumps({"status": status, "rank": rank}))
        peft_folder(home, "lab").mkdir(exist_ok=True)
        (peft_folder(home, "lab") / "rank").write_text(str(rank))
        import_adapter(made / f"{rank}.gguf", home, "lab")  # last: by its file it is known

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
    """Have a process killed before its nth change of a file or a folder; returns whether it got that far.

    One that is killed while it deletes a folder has deleted some of it.
    """

    def kill(n, work):
        left, rmtree = n, shutil.rmtree

        def counted(real):
            def change(*given, **named):
                nonlocal left
                left -= 1
                if left < 0:
                    if real is rmtree:
                        Path(given[0], "adapter.gguf").unlink(missing_ok=True)
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


def lying(home):
    """Return the ranks of all versions that lie in the folder, whole, with nothing beside them."""
    folder = adapters_folder(home)
    left = {path.name for path in folder.iterdir() if path.suffix != ".lock" and path.name != ".lock"}
    ranks = {2: set(), 4: set(), 8: set()}
    for path in (*folder.glob("*.json"), *folder.glob("*/card.json")):
        stem = path.with_suffix("") if path.parent == folder else path.parent
        names = [".gguf", ".json", ".peft"] if path.parent == folder else ["adapter.gguf", "card.json", "peft"]
        files = [stem.with_name(stem.name + name) if path.parent == folder else stem / name for name in names]
        rank = json.loads(path.read_text())["rank"]
        assert all(file.exists() for file in files) and (files[2] / "rank").read_text() == str(rank)
        assert read_adapter(files[0]).ranks == (rank,)
        ranks[rank] = {file.name for file in files} if path.parent == folder else {stem.name}
    assert left == set().union(*ranks.values())
    return {rank for rank, names in ranks.items() if names}


@pytest.mark.parametrize("n", range(14))
def test_what_a_kill_cut_short_is_finished_whole_when_a_daemon_begins(home, bring, kill, n):
    def replaced():
        set_aside("lab", home)
        bring(8)

    bring(2)
    set_aside("lab", home)
    bring(4)
    killed = kill(n, replaced)
    finish_changes(home)
    there = lying(home)
    assert whole(home) in there and there in ({2, 4}, {4}, {4, 8})
    assert killed or there == {4, 8}


@pytest.mark.parametrize("n", range(14))
def test_a_swap_that_a_kill_cut_short_is_finished_whole_when_a_daemon_begins(home, bring, kill, n):
    bring(2)
    set_aside("lab", home)
    bring(4)
    killed = kill(n, lambda: roll_back("lab", home))
    finish_changes(home)
    assert lying(home) == {2, 4} and whole(home) in (2, 4)
    assert killed or whole(home) == 2


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("delete", [remove_adapter, drop_earlier])
def test_what_was_being_deleted_when_it_was_killed_does_not_come_back_in_part(home, bring, kill, delete, n):
    bring(2)
    set_aside("lab", home)
    bring(4)
    kill(n, lambda: delete("lab", home))
    finish_changes(home)
    assert lying(home) in ({2, 4}, {4}, set())
    assert not adapter_names(home) or whole(home) == 4


def test_what_was_begun_for_an_adapter_that_never_came_is_deleted_when_a_daemon_begins(home, bring):
    finish_changes(home)  # there is no folder yet
    bring(2)
    card_file(home, "other").write_text("{}")
    peft_folder(home, "other").mkdir()
    (adapters_folder(home) / ".half").mkdir()
    finish_changes(home)
    assert lying(home) == {2}


def test_what_the_disk_refuses_to_put_aside_stays_where_it_is(home, bring, monkeypatch):
    real = Path.replace

    def refuse(path, target):
        if path.name == "lab.gguf":
            raise PermissionError("open elsewhere")
        return real(path, target)

    bring(2)
    with monkeypatch.context() as patch, pytest.raises(StorageFailed, match="open elsewhere"):
        patch.setattr(Path, "replace", refuse)
        set_aside("lab", home)
    assert whole(home) == 2 and lying(home) == {2}


def test_an_adapter_goes_with_its_earlier_version(home, bring):
    bring(2)
    set_aside("lab", home)
    bring(4)
    remove_adapter("lab", home)
    left = [path.name for path in adapters_folder(home).glob("lab*") if path.suffix != ".lock"]
    assert left == []
