import functools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import fake_daemon
from commandline import Run
from fake_daemon import ABSTAINED, ANSWER, FakeDaemon
from lorebook_api.asking import Answer, Context, Cut
from lorebook_api.errors import BadRequest, EngineDied


def test_the_answer_then_its_citations_as_plain_text(run: Run, fake: FakeDaemon) -> None:
    result = run("ask", "which", "cell?")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Cell 5 drops them. [1] The fare is a function. [2] It rained.",
        "",
        "[1] clean.ipynb · cell 5 [In 7] lines 2-3  support 0.97",
        "    df = df.dropna()",
        "    len(df)",
        "",
        "[2] src/fare.py:10  support 0.80",
        "    def fare(km):",
        "",
        "No passage supports:",
        "  ? It rained.",
        "",
        "echo-1b · 2.3 s · 41 tokens from 812 (790 known before) · grounded 0.67",
    ]
    assert result.stderr.splitlines() == ["loading echo-1b 50%", "index updated: 3 files changed"]


def test_what_is_sent(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "a").mkdir()
    run("ask", "why?", "--root", "a", "--root", ".", "--adapter", "notes:0.5", "-k", "3", "--max-tokens", "9")
    run("ask", "why?", "--no-grounding", "--model", "m.gguf")
    first, second = (call.body for call in fake.of("/api/ask"))
    assert first["roots"] == [str(folder / "a"), str(folder)]
    assert first["adapters"] == [{"name": "notes", "scale": 0.5}]
    assert (first["k"], first["max_tokens"], first["grounding"], first["model"]) == (3, 9, True, "auto")
    assert (second["roots"], second["grounding"], second["model"]) == ([], False, str(folder / "m.gguf"))


def test_the_current_folder_is_asked_about(run: Run, fake: FakeDaemon, folder: Path) -> None:
    run("ask", "why?")
    assert fake.of("/api/ask")[0].body["roots"] == [str(folder)]


def test_json_is_one_document_of_the_schema(run: Run, fake: FakeDaemon) -> None:
    result = run("ask", "why?", "--json")
    assert result.exit_code == 0
    assert TypeAdapter(Answer).validate_json(result.stdout) == ANSWER
    assert set(json.loads(result.stdout)) == set(asdict(ANSWER))
    assert "loading" in result.stderr


def test_an_abstention_lists_the_nearest_passages(run: Run, fake: FakeDaemon) -> None:
    fake.scripts.ask = fake_daemon.answering(ABSTAINED, ())
    lines = run("ask", "why?").stdout.splitlines()
    assert lines[0].startswith("I did not find")
    assert "  clean.ipynb · cell 5 [In 7] lines 1-4" in lines


def test_several_roots_are_named_in_the_citations(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "a").mkdir()
    assert "[2] /data/src/fare.py:10" in run("ask", "why?", "--root", "a", "--root", ".").stdout


def test_what_was_cut_is_told(run: Run, fake: FakeDaemon) -> None:
    cuts = (Cut("a.py", 1, 9, 120, "no room"), Cut("b.py", 2, 3, 20, "off the point"), Cut("c.py", 4, 4, 9, "no room"))
    cut = Context(100, 90, cuts)
    fake.scripts.ask = fake_daemon.answering(replace(ANSWER, context=cut))
    assert run("ask", "why?").stderr.splitlines()[-2:] == [
        "left out, no room: a.py:1-9, c.py:4",
        "left out, off the point: b.py:2-3",
    ]


def test_of_what_no_answer_was_found_in_each_place_is_told_once(run: Run, fake: FakeDaemon) -> None:
    cut = Context(100, 90, (Cut("clean.ipynb", 1, 4, 120, "no room", cell_index=5, execution_count=7, root="/data"),))
    fake.scripts.ask = fake_daemon.answering(replace(ABSTAINED, context=cut), ())
    result = run("ask", "why?")
    assert "  clean.ipynb · cell 5 [In 7] lines 1-4  no room" in result.stdout.splitlines()
    assert "left out" not in result.stderr


def test_control_characters_do_not_reach_the_terminal(run: Run, fake: FakeDaemon) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    citation = replace(fake_daemon.CITATION, quote=evil, path=evil)
    claims = (replace(ANSWER.claims[2], text=evil),)
    fake.scripts.ask = fake_daemon.answering(
        replace(ANSWER, answer=evil, citations=(citation,), claims=claims, notices=(evil,), model=evil)
    )
    result = run("ask", "why?")
    assert result.exit_code == 0
    assert not set("\x1b\x07\x9b\u202e") & set(result.stdout + result.stderr)


@pytest.mark.parametrize(
    "words",
    [["ask"], ["ask", " "], ["ask", "x", "-k", "0"], ["ask", "x", "-k", "101"], ["ask", "x", "--max-tokens", "0"],
     ["ask", "x", "--max-tokens", "many"], ["ask", "x", "--color"], ["search", "x", "--kind", "poem"], ["sing"],
     ["index", "--watch", "--json"], ["serve", "--port", "70000"], ["logs", "-n", "0"]],
)  # fmt: skip
def test_usage_errors(run: Run, fake: FakeDaemon, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2 and result.stdout == "" and "Usage: lorebook" in result.stderr


def test_an_error_is_one_line_and_with_json_one_document(run: Run, fake: FakeDaemon) -> None:
    fake.scripts.error = BadRequest("k is\n odd.", "Take another.")
    result = run("ask", "why?")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "lorebook: k is odd. Take another.\n"
    result = run("ask", "why?", "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (1, 400)


@pytest.mark.parametrize("words", [["--debug", "ask", "why?"], ["ask", "why?", "--debug"]])
def test_a_traceback_with_debug_only(run: Run, fake: FakeDaemon, words: list[str]) -> None:
    fake.scripts.ask = [("error", EngineDied("it died.", "Ask again.").body())]
    assert "Traceback" in run(*words).stderr
    assert run("ask", "why?").stderr == "lorebook: it died. Ask again.\n"


def test_a_bug_is_one_line_too(run: Run, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {})]
    result = run("ask", "why?")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "--debug" in result.stderr


def test_a_daemon_that_dies_is_told(run: Run, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), fake_daemon.HANG_UP]
    result = run("ask", "why?")
    assert result.exit_code == 1 and "lorebook logs" in result.stderr


def test_no_daemon_start(run: Run) -> None:
    for words in (["ask", "x"], ["search", "x"], ["index"], ["models", "list"]):
        result = run(*words, "--no-daemon-start")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("lorebook: no daemon is running. Start it: lorebook serve")


def test_a_root_that_is_not_there_starts_no_daemon(run: Run) -> None:
    result = run("ask", "x", "--root", "nowhere")
    assert result.exit_code == 1 and "nowhere" in result.stderr and "daemon" not in result.stderr


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "LOREBOOK_HOME": str(home), "COLUMNS": "80", "TERM": "xterm-256color"}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
def test_an_interrupt_cancels_the_request_in_the_daemon(fake: FakeDaemon, folder: Path, tmp_path: Path) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), 30, ("answer", asdict(ANSWER))]
    words = [sys.executable, "-m", "lorebook_daemon", "ask", "why?", "--root", str(folder)]
    # A suite that runs in a shell's background hands SIGINT down as ignored.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    home = tmp_path / "home"
    with subprocess.Popen(words, env=environment(home), stdout=-1, stderr=-1, text=True, preexec_fn=heed) as child:
        deadline = time.monotonic() + 20
        while not fake.of("/api/ask") and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        try:
            out, err = child.communicate(timeout=20)
        finally:
            child.kill()
    assert child.returncode == 130
    assert fake.of("/api/cancel")[0].body == {"request_id": fake.of("/api/ask")[0].body["request_id"]}
    assert out == "" and err == "stopped\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_text_streams_and_places_are_links(fake: FakeDaemon, folder: Path, tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    words = [sys.executable, "-m", "lorebook_daemon", "ask", "why?", "--root", str(folder)]
    fake.scripts.ask[4:4] = [0.2]  # time for the first tokens to be drawn
    with subprocess.Popen(words, env=environment(tmp_path / "home"), stdin=slave, stdout=slave, stderr=slave):
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:
            pass  # Linux ends a pseudo-terminal with EIO
    os.close(master)
    text = shown.decode()
    assert text.index("Cell 5 drops them. ") < text.index("Cell 5 drops them. [1]")
    assert "file:///data/src/fare.py#10" in text and "file:///data/clean.ipynb" in text
