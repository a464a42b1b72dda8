from collections import namedtuple

import psutil
import pytest

from lorebook_daemon.app.sparetime import on_battery, time_to_spare

Battery = namedtuple("Battery", "power_plugged")


def no_sensors():
    raise OSError("no such file")


@pytest.mark.parametrize(
    ("sensors", "battery"),
    [
        (lambda: None, False),
        (lambda: Battery(True), False),
        (lambda: Battery(False), True),
        (lambda: Battery(None), False),
        (no_sensors, False),
        (None, False),
    ],
)
def test_a_machine_on_battery_is_left_alone(monkeypatch, sensors, battery):
    if sensors is None:
        monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    else:
        monkeypatch.setattr(psutil, "sensors_battery", sensors, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: 0.0)
    assert on_battery() is battery
    assert time_to_spare() is not battery


@pytest.mark.parametrize(("percent", "spare"), [(0.0, True), (39.9, True), (40.0, False), (100.0, False)])
def test_a_machine_at_work_is_left_alone(monkeypatch, percent, spare):
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: percent)
    assert time_to_spare() is spare
