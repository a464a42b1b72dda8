import subprocess
import sys
import threading
import time

import pytest

from lorebook_daemon.index import spent
from lorebook_daemon.index.pace import Pace
from lorebook_daemon.index.spent import Spent


class Machine:
    """A processor's clock, and a sleep that is only noted."""

    def __init__(self):
        self.used = 0.0
        self.slept = []

    def pace(self):
        return Pace(lambda: self.used, self.slept.append)


@pytest.mark.parametrize(("percent", "pauses"), [(100, []), (50, [2.0, 1.0]), (25, [6.0, 3.0])])
def test_work_keeps_within_its_share_of_a_processor(percent, pauses):
    machine = Machine()
    pace = machine.pace()
    pace.limit(percent)
    for seconds in (2.0, 1.0):
        machine.used += seconds
        pace.keep()
    assert machine.slept == pauses


def test_what_was_used_before_a_job_is_not_counted_against_it():
    machine = Machine()
    pace = machine.pace()
    machine.used = 100.0
    pace.limit(50)
    machine.used += 1.0
    pace.keep()
    assert machine.slept == [1.0]


def test_held_work_waits_until_it_may_go_on():
    pace = Machine().pace()
    pace.hold()
    went = threading.Event()
    worker = threading.Thread(target=lambda: (pace.keep(), went.set()))
    worker.start()
    assert not went.wait(0.05)
    pace.go_on()
    assert went.wait(2)
    worker.join()


BURN = "import time\nwhile time.process_time() < 0.6: pass\n"
"""What takes more than half a second of a processor, however busy the machine is."""


def test_what_children_use_counts_while_they_live_and_after_it(monkeypatch):
    monkeypatch.setattr(spent, "_LOOK_S", 0)
    clock = Spent()
    before = clock()
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        during = []
        thread = threading.Thread(target=child.stdout.readline)
        thread.start()
        while thread.is_alive():
            during.append(clock())
            time.sleep(0.02)
        alive = clock()
        child.stdin.close()
    assert alive - before >= 0.5
    assert during == sorted(during)
    assert clock() >= alive


def test_a_child_that_nobody_saw_end_counts_with_what_it_was_seen_to_use(monkeypatch):
    """As on systems that do not tell what children had that have ended."""

    class Times:
        user, system, children_user, children_system = 2.0, 1.0, 0.0, 0.0

    class Process:
        pid = 1

        def __init__(self, children=()):
            self._children = children

        def children(self, recursive):
            return self._children

        def cpu_times(self):
            return Times

        def create_time(self):
            return 0.0

    child = Process()
    child.pid = 2
    monkeypatch.setattr(spent, "_LOOK_S", 0)
    monkeypatch.setattr(spent.psutil, "Process", lambda: Process([child]))
    clock = Spent()
    assert clock() == 6.0
    monkeypatch.setattr(spent.psutil, "Process", lambda: Process([]))
    assert clock() == 6.0


def test_the_processes_are_not_looked_for_all_the_time(monkeypatch):
    looked = []
    monkeypatch.setattr(Spent, "_look", lambda self: looked.append(1) or 1.0)
    clock = Spent()
    assert [clock() for _ in range(50)] == [1.0] * 50
    assert len(looked) < 5


def test_without_a_limit_the_clock_is_not_looked_at():
    Pace(lambda: 1 / 0).keep()
