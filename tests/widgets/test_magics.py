import atexit
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

import fake_daemon
import lorebook
from fake_daemon import ANSWER, FakeDaemon
from lorebook_api.errors import BadRequest, EngineDied, NotFound


class Publisher(DisplayPublisher):
    """Takes the place of the kernel's display publisher."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self.shown: list[tuple[str, bool, dict[str, Any]]] = []

    def publish(self, data: dict[str, Any], metadata: Any = None, *, transient: Any = None, **how: Any) -> None:
        self.shown.append(((transient or {}).get("display_id", ""), bool(how.get("update")), data))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell of IPython's own, with the extension loaded, in an empty folder."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = sys.displayhook, sys.excepthook
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(colors="nocolor")
    made.history_manager.enabled = False
    made.display_pub = Publisher(made)
    made.run_line_magic("load_ext", "lorebook")
    yield made
    made.run_line_magic("unload_ext", "lorebook")
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)
    InteractiveShell.clear_instance()
    sys.displayhook, sys.excepthook = before


def cell(shell: InteractiveShell, text: str) -> Any:
    return shell.run_cell(text, store_history=True)


def asked(fake: FakeDaemon) -> dict[str, Any]:
    return fake.of("/api/ask")[-1].body


def test_a_line_streams_through_one_handle_and_ends_with_the_answer(shell: InteractiveShell, fake: FakeDaemon) -> None:
    fake.scripts.ask[3:3] = [0.1]
    assert cell(shell, "%ask which cell drops the null rows?").success
    assert asked(fake)["question"] == "which cell drops the null rows?"
    assert asked(fake)["roots"] == [str(Path.cwd())]
    shown = shell.display_pub.shown
    assert len(shown) >= 2 and len({handle for handle, _, _ in shown}) == 1 and shown[0][0]
    assert [update for _, update, _ in shown] == [False] + [True] * (len(shown) - 1)
    assert set(shown[-1][2]) == {"text/plain", "text/markdown"}
    assert shown[-1][2]["text/plain"].endswith("grounded 0.67")
    assert shell.user_ns["_ask"].body == ANSWER


@pytest.mark.parametrize("line", ["%ask or?", "%ask what's {x} in rows ?", "if 1:\n    %ask and f(x)?\n", "%ask a\\?"])
def test_a_question_mark_is_no_call_for_help(shell: InteractiveShell, fake: FakeDaemon, line: str) -> None:
    assert cell(shell, line).success
    assert asked(fake)["question"].endswith("?")


def test_a_cell_with_options_and_braces(shell: InteractiveShell, fake: FakeDaemon) -> None:
    Path("sub").mkdir()
    cell(shell, "name = 'rows'; numbers = [1, 2]")
    cell(shell, "numbers")
    cell(
        shell,
        "%%ask --root sub -k 3 --adapter notes:0.5 --max-tokens 9 --model m\n"
        "why {name}, {Out[2]},\n{In[2]}, {no}, {1+1}?",
    )
    sent = asked(fake)
    assert sent["question"] == "why rows, [1, 2],\nnumbers, {no}, {1+1}?"
    assert (sent["roots"], sent["k"], sent["max_tokens"], sent["model"]) == ([str(Path("sub").resolve())], 3, 9, "m")
    assert sent["adapters"] == [{"name": "notes", "scale": 0.5}]


def test_nothing_in_braces_or_after_dollars_is_evaluated(shell: InteractiveShell, fake: FakeDaemon) -> None:
    cell(shell, "hit = []; name = 'n'")
    cell(shell, "%ask {hit.append(1)} $name {name}")
    assert asked(fake)["question"] == "{hit.append(1)} $name n"
    assert shell.user_ns["hit"] == []


def test_errors_of_the_session_can_be_asked_about(
    shell: InteractiveShell, fake: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    cell(shell, "def f(x):\n    return 1 / x")
    cell(shell, "f(0)")
    cell(shell, "this is no python")
    capsys.readouterr()
    cell(shell, "%ask why {Err[2]}?")
    question = asked(fake)["question"]
    assert "ZeroDivisionError: division by zero" in question and "return 1 / x" in question
    assert "run_code" not in question and "\x1b" not in question
    cell(shell, "%ask {Err[3]} {Err[1]}")
    assert "SyntaxError" in asked(fake)["question"] and asked(fake)["question"].endswith("{Err[1]}")


def test_traits_are_the_defaults(shell: InteractiveShell, fake: FakeDaemon) -> None:
    Path("data").mkdir()
    for line in ("root = 'data'", "k = 9", "model = 'small'", "max_tokens = 7"):
        cell(shell, f"%config LoreMagics.{line}")
    cell(shell, "%ask why?")
    sent = asked(fake)
    assert (sent["roots"], sent["k"]) == ([str(Path("data").resolve())], 9)
    assert (sent["model"], sent["max_tokens"]) == ("small", 7)
    cell(shell, "%ask --no-grounding why?")
    assert (asked(fake)["roots"], asked(fake)["grounding"]) == ([], False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%ask", "there is no question"),
        ("%%ask -k 0\nwhy?", "it takes 1 to 100"),
        ("%ask --root nowhere why?", "nowhere"),
        ("%lore sing", "%lore sing is not known"),
        ("%ask why?", "no root."),
    ],
)
def test_an_error_is_one_line_on_stderr(
    shell: InteractiveShell, fake: FakeDaemon, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    fake.scripts.error = NotFound("no\nroot.", "Check it.")
    assert cell(shell, line).success
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("lorebook: ") and told in captured.err and "\x1b" not in captured.err


def test_what_was_streamed_before_an_error_stays(
    shell: InteractiveShell, fake: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), ("error", EngineDied("it died.", "Ask again.").body())]
    cell(shell, "%ask why?")
    assert shell.display_pub.shown[-1][2]["text/plain"] == "half\n\n(broke off)"
    assert capsys.readouterr().err == "lorebook: it died. Ask again.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the main thread is interrupted by a signal")
def test_an_interrupt_cancels_in_the_daemon_and_leaves_the_text(shell: InteractiveShell, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), 30, ("answer", asdict(ANSWER))]

    def interrupt() -> None:
        while not any("half" in str(one) for one in shell.display_pub.shown):
            time.sleep(0.01)
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    begun = time.monotonic()
    assert cell(shell, "%ask why?").success
    assert time.monotonic() - begun < 10
    assert fake.of("/api/cancel")[0].body == {"request_id": asked(fake)["request_id"]}
    assert shell.display_pub.shown[-1][2]["text/plain"] == "half\n\n(stopped)"


def test_lore(shell: InteractiveShell, fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    cell(shell, "%lore status")
    assert "model echo-1b (ready)" in capsys.readouterr().out
    cell(shell, "%lore models")
    assert capsys.readouterr().out == "here   echo-1b  1 MB  lorebook\n"
    cell(shell, "%lore index .")
    assert "3 files, 17 passages" in capsys.readouterr().out
    assert fake.of("/api/index")[0].body["roots"] == [str(Path.cwd())]
    cell(shell, "%lore")
    assert "%%ask" in capsys.readouterr().out


def test_status_without_a_daemon(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    cell(shell, "%lore status")
    assert "no daemon is running" in capsys.readouterr().err


def test_the_functions_in_a_shell(shell: InteractiveShell, fake: FakeDaemon) -> None:
    answer = lorebook.ask("why?", [".", Path.cwd()], adapter="notes", k=2)
    assert answer.body == ANSWER and asked(fake)["adapters"] == [{"name": "notes", "scale": 1.0}]
    assert shell.display_pub.shown[-1][2] == {"text/plain": ""}
    count = len(shell.display_pub.shown)
    lorebook.ask("why?", show=False)
    assert len(shell.display_pub.shown) == count


def test_the_functions_in_a_script(fake: FakeDaemon, tmp_path: Path) -> None:
    InteractiveShell.clear_instance()
    assert lorebook.ask("why?", tmp_path, grounding=False).text == ANSWER.answer
    results = lorebook.search("fare", str(tmp_path), k=3, kind="code")
    assert list(results) == [fake_daemon.RESULT]
    sent = {"query": "fare", "roots": [str(tmp_path)], "k": 3, "kind": "code"}
    assert fake.of("/api/search")[0].body.items() >= sent.items()
    fake.scripts.error = BadRequest("no.")
    with pytest.raises(BadRequest):
        lorebook.ask("why?")
    with pytest.raises(AttributeError):
        _ = lorebook.nothing  # type: ignore[attr-defined]
    assert set(dir(lorebook)) == set(lorebook.__all__)


def test_what_goes_along_is_what_was_asked_for_and_is_named(shell: InteractiveShell, fake: FakeDaemon) -> None:
    cell(shell, "fares = {'Amrum': 12.5}; api_key = 'hunter2'")
    cell(shell, "fares['Sylt']")
    cell(shell, "%%ask --context error,cell --var fares --var api_key\nwhy?")
    error, ran, fares, key = asked(fake)["attachments"]
    assert error["title"] == "the last error" and "KeyError: 'Sylt'" in error["text"]
    assert ran["text"] == "fares['Sylt']" and fares["text"] == "fares: dict, 1 long, {'Amrum': 12.5}"
    assert "hunter2" not in str(asked(fake))
    assert key["text"].startswith("api_key: str, [hidden]")
    named = "with the last error, cell [In 2], variable fares, variable api_key"
    assert shell.display_pub.shown[0][2]["text/plain"] == named  # before anything came back
    assert named in shell.display_pub.shown[-1][2]["text/plain"]
    cell(shell, "%ask why?")
    assert asked(fake)["attachments"] == []


def test_what_cannot_go_along(shell: InteractiveShell, fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("%ask --context weather why?", "%ask --var nothing why?"):
        cell(shell, line)
    told = capsys.readouterr().err
    assert "--context weather is not known" in told and "no variable 'nothing'" in told
    assert fake.of("/api/ask") == []


def test_a_cell_teaches_and_its_job_is_kept(shell: InteractiveShell, fake: FakeDaemon) -> None:
    cell(shell, "%%teach --name lab\nWho wrote it?\n\nAnna did.")
    (call,) = fake.of("/api/teach")
    assert call.body["name"] == "lab" and call.body["pairs"][0]["answer"] == "Anna did."
    assert shell.user_ns["_teach"].state == "done"
    assert "clean: done, active" in shell.display_pub.shown[-1][2]["text/plain"]


def test_examples_can_be_looked_at_before_they_are_taught(shell: InteractiveShell, fake: FakeDaemon) -> None:
    cell(shell, "%%teach --name lab --preview\nWho wrote it?\n\nAnna did.")
    (call,) = fake.of("/api/teach/preview")
    assert call.body["name"] == "lab" and call.body["pairs"][0]["answer"] == "Anna did."
    assert not fake.of("/api/teach") and "_teach" not in shell.user_ns
    assert "Teach them by" in shell.display_pub.shown[-1][2]["text/plain"]


def test_teaching_that_cannot_be_is_one_line_on_stderr(
    shell: InteractiveShell, fake: FakeDaemon, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cell(shell, "%teach --cells 2")
    cell(shell, "%%teach\nno answer")
    fake.scripts.error = BadRequest("There is nothing to teach.", "Name a notebook.")
    (tmp_path / "a.jsonl").write_text("{}")
    cell(shell, f"%teach --data {tmp_path / 'a.jsonl'}")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lorebook: ")]
    assert len(lines) == 3 and "which notebook" in lines[0] and "nothing to teach" in lines[2]
