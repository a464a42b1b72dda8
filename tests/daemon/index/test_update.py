"""Stage one: a root becomes an index on disk, and follows the root."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fakes
from lorebook_api.errors import BadRequest, Conflict, NotFound, StorageFailed, Unusable
from lorebook_api.home import find_home
from lorebook_daemon.index import records, store
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import DATABASE, index_folder, lock
from lorebook_daemon.index.store import Store
from lorebook_daemon.index.update import empty, is_stale, update


def silent(progress):
    pass


def bring_up(root, folder, **options):
    return update(root, folder, **{"max_file_mb": 20, "report": silent, **options})


def counts(report):
    return report.added, report.changed, report.removed


def texts(folder):
    """Return what the index holds, by path."""
    found = {}
    with contextlib.closing(Store.open(folder)) as opened:
        for _, passage in opened.passages_after(0):
            found.setdefault(passage.path, []).append(passage.text)
    return {path: "\n".join(parts) for path, parts in found.items()}


def word_scores(folder, word):
    """Return the word index's scores by path; the order of equals is not looked at."""
    with contextlib.closing(Store.open(folder)) as opened:
        ids, scores = Lexical.load(folder / opened.meta.lexical.name).top([word], 10)
        passages = opened.passages(ids.tolist())
        return {passages[key].path: score for key, score in zip(ids.tolist(), scores.tolist(), strict=True)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def test_a_root_becomes_an_index_and_a_second_run_finds_nothing_to_do(root, folder):
    report = bring_up(root, folder)
    assert (report.root, report.files, counts(report)) == (str(root.resolve()), 2, (2, 0, 0))
    assert report.passages >= 2
    assert is_stale(root, folder) == 0
    again = bring_up(root, folder)
    assert (again.files, counts(again), again.passages) == (2, (0, 0, 0), report.passages)


def test_only_what_changed_is_read(root, folder, here, monkeypatch):
    bring_up(root, folder)
    read = []
    real = records.passage_key
    monkeypatch.setattr(records, "passage_key", lambda passage: read.append(passage.path) or real(passage))
    (root / "a.py").write_text("def gamma():\n    return 3\n")
    (root / "c.md").write_text("# New\n\nnewcomer\n")
    assert is_stale(root, folder) == 2
    assert counts(bring_up(root, folder)) == (1, 1, 0)
    assert set(read) == {"a.py", "c.md"}
    assert "gamma" in texts(folder)["a.py"]


def test_a_deleted_file_goes_and_a_moved_one_is_found_under_its_new_name(root, folder):
    bring_up(root, folder)
    (root / "a.py").unlink()
    (root / "b.md").rename(root / "moved.md")
    assert is_stale(root, folder) == 3
    report = bring_up(root, folder)
    assert (report.files, counts(report)) == (1, (1, 0, 2))
    assert list(texts(folder)) == ["moved.md"]


def test_a_file_with_a_new_time_and_the_same_content_counts_as_unchanged(root, folder):
    bring_up(root, folder)
    os.utime(root / "a.py", (1, 1))
    assert is_stale(root, folder) == 1
    assert counts(bring_up(root, folder)) == (0, 0, 0)
    assert is_stale(root, folder) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="ctime is something else there")
def test_a_change_that_keeps_size_and_time_is_seen(root, folder):
    bring_up(root, folder)
    before = (root / "a.py").stat()
    (root / "a.py").write_text("def omega():\n    return 1\n")
    os.utime(root / "a.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (root / "a.py").stat().st_size == before.st_size
    assert counts(bring_up(root, folder)) == (0, 1, 0)


def test_a_file_written_again_at_once_is_seen(root, folder):
    for turn in range(10):
        (root / "a.py").write_text(f"x = {turn}\n")
        bring_up(root, folder)
        assert texts(folder)["a.py"] == f"x = {turn}"


def test_full_reads_everything_and_counts_what_differs(root, folder):
    bring_up(root, folder)
    (root / "b.md").write_text("# Other\n\nwords\n")
    report = bring_up(root, folder, full=True)
    assert (report.files, counts(report)) == (2, (0, 1, 0))
    assert OpenIndex.open(folder, None).search("alpha", 1)[0].passage.path == "a.py"


def test_an_empty_root_is_an_index_of_nothing(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    report = bring_up(tmp_path / "empty", folder)
    assert (report.files, report.passages, report.skipped) == (0, 0, ())
    assert is_stale(tmp_path / "empty", folder) == 0
    assert OpenIndex.open(folder, None).search("anything", 3) == []


def test_a_root_may_become_empty_and_full_again(root, folder):
    bring_up(root, folder)
    saved = (root / "a.py").read_text()
    for file in root.iterdir():
        file.unlink()
    assert counts(bring_up(root, folder)) == (0, 0, 2)
    assert OpenIndex.open(folder, None).search("alpha", 3) == []
    (root / "a.py").write_text(saved)
    assert counts(bring_up(root, folder)) == (1, 0, 0)
    assert OpenIndex.open(folder, None).search("alpha", 3)


def test_bad_roots_are_told_apart(tmp_path, root, folder):
    for call in (bring_up, is_stale):
        with pytest.raises(NotFound):
            call(tmp_path / "nowhere", folder)
        with pytest.raises(BadRequest):
            call(root / "a.py", folder)
    assert not folder.exists()


def test_files_that_cannot_be_read_are_named_once_and_remembered(root, folder):
    (root / "binary.py").write_bytes(b"\x00\x01\x02" * 100)
    (root / "broken.ipynb").write_text("not json")
    (root / "latin.py").write_bytes("name = 'caf\xe9 cr\xe8me br\xfbl\xe9e d\xe9j\xe0 vu'\n".encode("latin-1"))
    with (root / "huge.csv").open("wb") as out:
        out.truncate(100 * 1024 * 1024)
    report = bring_up(root, folder)
    why = {each.path: each.why for each in report.skipped}
    assert set(why) == {"binary.py", "broken.ipynb", "huge.csv"}
    assert why["binary.py"] == "binary"
    assert "100 MB" in why["huge.csv"]
    assert report.files == report.added == 3
    assert "café" in texts(folder)["latin.py"]
    assert is_stale(root, folder) == 0
    assert {each.path for each in bring_up(root, folder).skipped} == set(why)
    (root / "broken.ipynb").unlink()
    assert {each.path for each in bring_up(root, folder).skipped} == {"binary.py", "huge.csv"}


def test_a_file_that_the_system_refuses_is_named(root, folder, here, monkeypatch):
    real = Path.read_bytes

    def refuse(path):
        if path.name == "a.py":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    report = bring_up(root, folder)
    assert [(each.path, each.why) for each in report.skipped] == [("a.py", "cannot be read: Permission denied")]
    monkeypatch.undo()
    (root / "a.py").chmod(0o640)
    assert counts(bring_up(root, folder)) == (0, 1, 0)


def test_half_a_character_is_kept_out_of_the_database(root, folder):
    (root / "n.ipynb").write_text(
        '{"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": 1,'
        ' "source": ["x = 1  # \\ud800 half"]}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    report = bring_up(root, folder)
    assert not report.skipped or report.skipped[0].path == "n.ipynb"
    assert OpenIndex.open(folder, None).search("alpha", 1)


def test_many_files_are_counted_before_they_are_read(root, folder, monkeypatch):
    said = []
    bring_up(root, folder, report=lambda progress: said.append(progress.what))
    assert "reading files" in said
    monkeypatch.setattr("lorebook_daemon.index.update._MANY", 2)
    bring_up(root, folder, full=True, report=lambda progress: said.append(progress.what))
    assert "reading 2 files (--root names a smaller folder)" in said


def test_the_limit_may_change(root, folder):
    (root / "big.csv").write_text("a,b\n" + "1,2\n" * 300_000)
    assert bring_up(root, folder, max_file_mb=1).files == 2
    assert is_stale(root, folder) == 0, "the limit of the last run holds"
    assert counts(bring_up(root, folder, max_file_mb=2)) == (1, 0, 0)


def test_another_splitter_reads_every_file_again(root, folder):
    (root / "long.py").write_text("\n\n".join(f"def f{n}():\n    return {n}" for n in range(60)))
    usual = bring_up(root, folder)
    assert is_stale(root, folder, "structure:200") == 1
    short = bring_up(root, folder, splitter="structure:200")
    assert short.passages > 2 * usual.passages
    assert is_stale(root, folder, "structure:200") == 0
    assert bring_up(root, folder, splitter="structure:200", paths=["long.py"]).passages == short.passages
    assert bring_up(root, folder).passages == usual.passages


def test_two_indexers_on_one_root_do_not_meet(root, folder):
    with lock(folder, root), pytest.raises(Conflict, match=f"pid {os.getpid()}") as caught:
        bring_up(root, folder)
    assert caught.value.hint
    assert bring_up(root, folder).files == 2


def test_a_reader_is_not_kept_out_while_an_indexer_works(root, folder):
    bring_up(root, folder)
    opened = OpenIndex.open(folder, None)
    (root / "a.py").write_text("def later():\n    return 2\n")
    seen = []

    def look(progress):
        seen.append(opened.search("alpha", 1)[0].passage.text)
        seen.append(is_stale(root, folder))

    bring_up(root, folder, report=look)
    assert set(seen) == {"def alpha():\n    return 1", 1}
    assert "later" in opened.search("later", 1)[0].passage.text


def test_a_failed_report_leaves_the_state_before(root, folder):
    bring_up(root, folder)
    held = texts(folder)
    (root / "a.py").write_text("def changed():\n    pass\n")

    def give_up(progress):
        if progress.what == "indexing words":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring_up(root, folder, report=give_up)
    assert texts(folder) == held
    assert counts(bring_up(root, folder)) == (0, 1, 0)


# the folder's own troubles


def test_a_file_in_the_folders_place_is_a_storage_failure(root, tmp_path):
    (tmp_path / "taken").write_text("")
    for place in (tmp_path / "taken", tmp_path / "taken" / "index"):
        with pytest.raises(StorageFailed, match="cannot be kept") as caught:
            bring_up(root, place)
        assert "LOREBOOK_HOME" in caught.value.hint


@pytest.mark.parametrize("moment", [Lexical.save, os.fsync])
def test_a_full_disk_is_a_storage_failure_and_costs_nothing(root, folder, monkeypatch, moment):
    bring_up(root, folder)
    held = texts(folder)
    (root / "a.py").write_text("def changed():\n    pass\n")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if moment is os.fsync else (Lexical, "save")), no_space)
    with pytest.raises(StorageFailed, match="No space left"):
        bring_up(root, folder)
    monkeypatch.undo()
    assert texts(folder) == held
    assert OpenIndex.open(folder, None).search("alpha", 1)
    assert counts(bring_up(root, folder)) == (0, 1, 0)


def test_a_database_that_is_full_is_a_storage_failure(root, folder, monkeypatch):
    bring_up(root, folder)
    (root / "long.md").write_text("\n\n".join(f"Paragraph {n} on something else." for n in range(5000)))
    real = store._connect

    def bounded(*place):
        connection = real(*place)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        return connection

    monkeypatch.setattr(store, "_connect", bounded)
    with pytest.raises(StorageFailed, match="full"):
        bring_up(root, folder)
    monkeypatch.undo()
    assert counts(bring_up(root, folder)) == (1, 0, 0)


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_database_that_is_something_else_is_made_anew_and_said_so(root, folder, content):
    bring_up(root, folder)
    (folder / DATABASE).write_bytes(content)
    assert is_stale(root, folder) > 0
    report = bring_up(root, folder)
    assert report.files == 2
    assert "damaged" in report.notices[0]
    assert bring_up(root, folder).notices == ()


def test_an_overwritten_page_is_noticed_or_harmless(root, folder):
    for file in range(100):
        (root / f"m{file}.md").write_text(f"# Note {file}\n\n" + f"word{file} " * 200)
    bring_up(root, folder)
    size = (folder / DATABASE).stat().st_size
    with (folder / DATABASE).open("rb+") as out:
        for place in range(4096, size, 8192):
            out.seek(place)
            out.write(b"\xff" * 4096)
    assert is_stale(root, folder) > 0
    report = bring_up(root, folder)
    assert report.files == 102
    assert report.notices


def test_a_tableless_database_is_an_index_still_to_be_made(root, folder):
    folder.mkdir()
    sqlite3.connect(folder / DATABASE).close()
    assert is_stale(root, folder) > 0
    with pytest.raises(NotFound):
        OpenIndex.open(folder, None)
    assert bring_up(root, folder).files == 2


def test_another_format_is_made_anew_and_said_so(root, folder):
    bring_up(root, folder)
    opened = OpenIndex.open(folder, None)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("UPDATE meta SET body = json_set(body, '$.format', 999, '$.unheard_of', 1)")
        database.execute("ALTER TABLE passages DROP COLUMN language")
    assert is_stale(root, folder) > 0
    with pytest.raises(NotFound, match="format"):
        OpenIndex.open(folder, None)
    report = bring_up(root, folder)
    assert (report.files, counts(report)) == (2, (2, 0, 0))
    assert "format" in report.notices[0]
    assert opened.search("alpha", 1)[0].passage.path == "a.py"


@pytest.mark.parametrize("harm", ["missing", "cut", "garbled"])
def test_a_harmed_word_index_is_made_anew(root, folder, harm):
    for file in range(10):
        (root / f"m{file}.md").write_text(f"# Note {file}\n\nword{file}\n")
    bring_up(root, folder)
    (file,) = folder.glob("lexical-*.words")
    content = file.read_bytes()
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:100] if harm == "cut" else b"x" * len(content))
        with pytest.raises(Unusable):
            OpenIndex.open(folder, None)
    assert (is_stale(root, folder) > 0) == (harm != "garbled"), "the size alone does not tell"
    assert bring_up(root, folder).notices
    assert OpenIndex.open(folder, None).search("alpha", 1)[0].passage.path == "a.py"
    assert not bring_up(root, folder).notices


def test_nothing_is_left_behind(root, folder):
    for turn in range(4):
        (root / "a.py").write_text(f"x = {turn}\n")
        bring_up(root, folder)
    assert len(list(folder.glob("lexical-*"))) == 1
    assert not list(folder.glob("*.part"))


def test_what_lorebook_keeps_is_not_indexed_with_a_root_around_it(root, monkeypatch):
    monkeypatch.setenv("LOREBOOK_HOME", str(root / "own"))
    home = find_home().make()
    folder = index_folder(home.cache, root)
    home.log_file.write_text("a line\n")
    assert bring_up(root, folder).files == 2
    home.log_file.write_text("another line\n")
    assert is_stale(root, folder) == 0


def test_the_folder_is_named_after_the_root_and_no_two_share_one(tmp_path):
    one, two = tmp_path / "x" / "my project!", tmp_path / "y" / "my project!"
    for place in (one, two):
        place.mkdir(parents=True)
    folders = {index_folder(tmp_path, one), index_folder(tmp_path, two)}
    assert len(folders) == 2
    assert all(folder.name.startswith("my-project-") and folder.parent == tmp_path / "index" for folder in folders)
    assert index_folder(tmp_path, one / ".." / "my project!") in folders


# many changes

FILES = st.dictionaries(
    st.sampled_from(["a.py", "b.md", "d/c.md", "d/e/f.py"]), st.sampled_from(["one", "two", "three four"])
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FILES, min_size=1, max_size=4))
def test_after_any_changes_the_index_is_the_one_made_from_nothing(tmp_path, states):
    root, folder, fresh = tmp_path / "changing", tmp_path / "updated", tmp_path / "fresh"
    for place in (root, folder, fresh):
        shutil.rmtree(place, ignore_errors=True)
    for state in states:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        for path, text in state.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text + "\n")
        bring_up(root, folder)
    bring_up(root, fresh)
    assert texts(folder) == texts(fresh)
    for word in ("one", "two", "four"):
        assert word_scores(folder, word) == pytest.approx(word_scores(fresh, word))


def word_index(folder):
    """Return every list of the word index, its passages by what they are and not by their ids."""
    with contextlib.closing(Store.open(folder)) as opened:
        words = opened.words()
        passages = opened.passages(words.ids.tolist())
        assert words.ids.tolist() == opened.ids_where(None, (), (), ())
        found = {}
        for row, term in enumerate(words.hashes.tolist()):
            span = slice(int(words.starts[row]), int(words.starts[row + 1]))
            for place, count in zip(words.places[span].tolist(), words.counts[span].tolist(), strict=True):
                passage = passages[int(words.ids[place])]
                found[term, passage.path, passage.start_line] = count, int(words.lengths[place])
        return found


PLACES = st.sampled_from(["a.py", "d/b.md", "d/e/c.py", "f/g.py", "d", "d/e", "f", "h"])
STEPS = st.one_of(
    st.tuples(
        st.just("save"), st.sampled_from(["a.py", "d/b.md", "d/e/c.py", "f/g.py"]), st.sampled_from(["one", "two"])
    ),
    st.tuples(st.just("ignore"), st.sampled_from(["", "d/"]), st.sampled_from(["*.md", "e/"])),
    st.tuples(st.just("delete"), PLACES, st.just("")),
    st.tuples(st.just("move"), PLACES, PLACES),
)


def happen(root, step, place, what):
    """Let something happen below `root`; return the paths that a watch tells of."""
    file, other = root / place, root / what
    if step in ("save", "ignore"):
        file = file / ".gitignore" if step == "ignore" else file
        with contextlib.suppress(OSError):  # a file stands where its folder would
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{what}\n\n{what} more\n" if step == "save" else f"{what}\n")
        return [file.relative_to(root).as_posix()]
    if step == "delete":
        shutil.rmtree(file, ignore_errors=True)
        file.unlink(missing_ok=True)
        return [place]
    with contextlib.suppress(OSError):  # it is not there, or cannot stand in itself
        other.parent.mkdir(parents=True, exist_ok=True)
        file.rename(other)
    return [place, what]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=1, max_size=8), st.integers(1, 3))
def test_looking_only_where_something_happened_gives_the_index_made_from_nothing(tmp_path, here, steps, together):
    root, folder, fresh = tmp_path / "changing", tmp_path / "updated", tmp_path / "fresh"
    for place in (root, folder, fresh):
        shutil.rmtree(place, ignore_errors=True)
    (root / "d").mkdir(parents=True)
    (root / "d" / "first.py").write_text("first = 1\n")
    bring_up(root, folder)
    for first in range(0, len(steps), together):
        paths = [path for step in steps[first : first + together] for path in happen(root, *step)]
        told = bring_up(root, folder, paths=paths)
    anew = bring_up(root, fresh)
    assert (told.files, told.passages, told.skipped) == (anew.files, anew.passages, anew.skipped)
    assert is_stale(root, folder) == 0
    assert texts(folder) == texts(fresh)
    assert word_index(folder) == word_index(fresh)


# death at any moment

_UPDATE = """
import sys
from pathlib import Path
from lorebook_daemon.index.update import update
from lorebook_daemon.index.embedding import embed_missing
sys.path.insert(0, sys.argv[3])
import fakes
root, folder = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
update(root, folder, max_file_mb=20, full=True, report=lambda progress: None)
embed_missing(root, folder, fakes.HashEmbedder(16), lambda progress: None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_at_any_moment_the_index_is_whole(root, folder):
    for file in range(40):
        (root / f"m{file}.py").write_text("\n\n".join(f"def f{file}_{n}():\n    return {n}" for n in range(40)))
    began = time.perf_counter()
    whole = bring_up(root, folder)
    usual = time.perf_counter() - began
    tests = str(Path(__file__).parents[2])
    draw = random.Random(7)
    for turn in range(5):
        (root / "turn.py").write_text(f"def turn_{turn}():\n    return {turn}\n")
        command = [sys.executable, "-W", "ignore", "-c", _UPDATE, str(root), str(folder), tests]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(draw.uniform(0, 2 * usual))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        opened = OpenIndex.open(folder, None)
        assert opened.search("f3_7", 1)[0].passage.path == "m3.py"
        assert opened.info().passages >= whole.passages
        opened.close()
    report = bring_up(root, folder)
    assert report.files == 43
    assert not report.notices
    assert OpenIndex.open(folder, None).search("turn_4", 1)[0].passage.path == "turn.py"
    assert len(list(folder.glob("lexical-*"))) == 1


# where something happened


def test_an_update_may_be_narrowed_to_where_something_happened(root, folder):
    bring_up(root, folder)
    (root / "sub").mkdir()
    (root / "sub" / "c.md").write_text("# C\n\nseen\n")
    (root / "a.py").write_text("unseen = 1\n")
    report = bring_up(root, folder, paths=["sub/c.md"])
    assert [(each.path, each.how) for each in report.changes] == [("sub/c.md", "added")]
    assert (report.files, is_stale(root, folder)) == (3, 1)
    shutil.rmtree(root / "sub")
    assert counts(bring_up(root, folder, paths=["sub"])) == (0, 1, 1), "what lies beside it is looked at too"
    assert is_stale(root, folder) == 0


def test_a_changed_ignore_file_is_followed_below_its_folder(root, folder):
    bring_up(root, folder)
    (root / ".gitignore").write_text("*.md\n")
    assert counts(bring_up(root, folder, paths=[".gitignore"])) == (1, 0, 1), "it is read like a file as well"
    (root / ".gitignore").unlink()
    assert counts(bring_up(root, folder, paths=[".gitignore"])) == (1, 0, 1)


def test_what_was_never_finished_is_not_narrowed(root, folder):
    assert bring_up(root, folder, paths=["a.py"]).files == 2


def test_a_moved_file_keeps_its_vectors(root, folder):
    (root / "c.md").write_text("# Gamma\n\nquite another text\n")
    bring_up(root, folder)
    embedder = fakes.HashEmbedder()
    embed_missing(root, folder, embedder, silent)
    (root / "sub").mkdir()
    (root / "b.md").rename(root / "sub" / "renamed.md")
    report = bring_up(root, folder)
    assert [(each.was, each.path, each.how) for each in report.changes] == [("b.md", "sub/renamed.md", "moved")]
    asked = []
    embedder.embed = lambda texts: asked.append(texts)
    assert embed_missing(root, folder, embedder, silent) == report.passages
    assert asked == []


def test_a_branch_that_comes_back_is_not_embedded_again(root, folder):
    texts = {"a.py": "def other():\n    return 2\n", "b.md": "# Other\n\nbranch\n"}
    before = {name: (root / name).read_text() for name in texts}
    bring_up(root, folder)
    embedder = fakes.HashEmbedder()
    embed_missing(root, folder, embedder, silent)
    for branch in (texts, before, texts):
        for name, text in branch.items():
            (root / name).write_text(text)
        passages = bring_up(root, folder).passages
        if branch is texts and embedder.embed.__name__ == "embed":
            embed_missing(root, folder, embedder, silent)
            embedder.embed = lambda texts: pytest.fail("known content was embedded again")
        assert embed_missing(root, folder, embedder, silent) == passages


def on_another_disk(folder):
    with contextlib.closing(Store.open(folder)) as opened, opened.transaction():
        opened.meta = replace(opened.meta, device=opened.meta.device + 1)


def test_an_unmounted_root_keeps_its_index(root, folder):
    bring_up(root, folder)
    (root / "b.md").unlink()
    saved = (root / "a.py").read_text()
    (root / "a.py").unlink()
    on_another_disk(folder)
    for look in (lambda: is_stale(root, folder), lambda: bring_up(root, folder)):
        with pytest.raises(NotFound, match="unmounted") as caught:
            look()
        assert "--full" in caught.value.hint
    assert set(texts(folder)) == {"a.py", "b.md"}
    (root / "a.py").write_text(saved)
    assert counts(bring_up(root, folder)) == (0, 0, 1), "mounted again, it goes on"
    on_another_disk(folder)
    (root / "a.py").unlink()
    assert counts(bring_up(root, folder, full=True)) == (0, 0, 1), "who says so empties it"


def test_an_index_can_be_emptied_when_its_root_is_gone(root, folder):
    bring_up(root, folder)
    shutil.rmtree(root)
    assert empty(root, folder) and texts(folder) == {}
    assert not empty(root, folder.with_name("none"))
    with pytest.raises(NotFound):
        OpenIndex.open(folder, None)


@pytest.mark.parametrize(("one", "other"), [("Read.md", "read.md"), ("caf\u00e9.md", "cafe\u0301.md")])
def test_a_file_whose_name_changes_in_case_or_in_accents_alone(root, folder, one, other):
    """On disks that take both for one, a rename is all that happens; on others it is a file that moved."""
    (root / one).write_text("# Words\n\nthe very same\n")
    bring_up(root, folder)
    (root / one).rename(root / other)
    bring_up(root, folder, paths=[one, other])
    assert [path for path in texts(folder) if path.casefold().startswith(("read", "caf"))] == [
        unicodedata.normalize("NFC", other)
    ]
    assert is_stale(root, folder) == 0
