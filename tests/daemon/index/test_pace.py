import threading

import pytest

from lorebook_daemon.index.pace import Pace


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
