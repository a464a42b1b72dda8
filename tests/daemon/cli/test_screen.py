import io

from rich.console import Console

from lorebook_api.schema import Progress
from lorebook_daemon.cli.screen import Bars, Screen


def test_work_that_is_over_does_not_seem_to_go_on():
    screen = Screen()
    screen.err = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Bars(screen) as bars:
        bars.show(Progress("looking for changes"))
        bars.show(Progress("reading files", 9, 10))
        bars.show(Progress("indexing words"))
        shown = {task.description: task.finished for task in bars._bars.tasks}
        assert shown == {"reading files": True, "indexing words": False}
        bars.show(Progress("looking for changes"))
        assert [task.description for task in bars._bars.tasks] == ["reading files", "looking for changes"]
    assert not bars._bars.tasks
