"""The sample project: its package runs, its notebooks were executed, its questions point at what they ask for."""

import importlib
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import nbformat
import pathspec
import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
NOTEBOOKS = sorted((SAMPLES / "notebooks").glob("*.ipynb"))
MODULES = ["alarms", "barometer", "checks", "drift", "levels", "pipeline", "readings", "simulate", "sites", "store"]
QUESTIONS = [json.loads(line) for line in (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
ANSWERABLE = [question for question in QUESTIONS if question["answerable"]]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def wellwatch(monkeypatch):
    monkeypatch.syspath_prepend(str(SAMPLES))
    return lambda name: importlib.import_module(f"wellwatch.{name}")


def output_text(output):
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join([f"{output.ename}: {output.evalue}", *(ANSI.sub("", line) for line in output.traceback)])
    return output.data.get("text/plain", "")


def cell_lines(path, index):
    """Return a cell's lines: its source, and its outputs numbered on."""
    cell = nbformat.read(path, as_version=4).cells[index]
    texts = [cell.source, *(output_text(output) for output in cell.get("outputs", []))]
    return [line for text in texts for line in text.rstrip("\n").split("\n")]


def table_lines(path):
    """Return a database's lines as far as the questions need them: each table's statement, then its first rows."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [
            line
            for name, statement in tables
            for line in [
                *statement.splitlines(),
                *(str(row) for row in connection.execute(f"SELECT * FROM {name} LIMIT 5")),
            ]
        ]


def lines_of(place):
    path = SAMPLES / place["path"]
    if path.suffix == ".sqlite":
        return table_lines(path)
    if path.suffix == ".ipynb":
        return cell_lines(path, place["cell_index"])
    return path.read_text(encoding="utf-8").splitlines()


def test_there_are_twenty_questions_with_an_answer_and_five_without():
    assert len({question["id"] for question in QUESTIONS}) == len(QUESTIONS) == 25
    assert len({question["question"] for question in QUESTIONS}) == 25
    assert len(ANSWERABLE) == 20
    for question in QUESTIONS:
        if not question["answerable"]:
            assert question["answer"] == []
            assert question["path"] is question["start_line"] is question["end_line"] is question["cell_index"] is None


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["id"])
def test_the_cited_lines_hold_the_answer(question):
    assert question["answer"]
    for place in [question, *question.get("also", [])]:
        lines = lines_of(place)
        assert 1 <= place["start_line"] <= place["end_line"] <= len(lines)
        cited = "\n".join(lines[place["start_line"] - 1 : place["end_line"]]).lower()
        assert any(accepted.lower() in cited for accepted in question["answer"]), cited


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["id"])
def test_no_question_gives_its_answer_away(question):
    asked = question["question"].lower()
    assert not any(accepted.lower() in asked for accepted in question["answer"])


def test_the_questions_are_not_indexed_with_the_sources():
    lines = (SAMPLES / ".lorebookignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    assert ignored.match_file("questions.jsonl")
    assert not ignored.match_file("data/wells.csv")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_were_executed_from_top_to_bottom(path):
    book = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) >= (4, 5)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    assert book.cells[0].source.startswith("# ")


def test_the_notebooks_hold_a_table_a_figure_and_an_error():
    assert len(NOTEBOOKS) == 4
    outputs = [
        output
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/plain", "text/html", "image/png"} <= kinds
    assert [output.ename for output in outputs if output.output_type == "error"] == ["ValueError"]


def test_the_samples_stay_small():
    sizes = {
        path: path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    }
    assert sum(sizes.values()) <= 600_000
    assert all(size <= 60_000 for path, size in sizes.items() if path.suffix == ".csv")
    assert all(size <= 200_000 for path, size in sizes.items() if path.suffix == ".sqlite")
    assert all(size <= 100_000 for path, size in sizes.items() if path.suffix == ".ipynb")


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_need_only_the_standard_library(wellwatch, name):
    assert wellwatch(name).__doc__
    source = (SAMPLES / "wellwatch" / f"{name}.py").read_text(encoding="utf-8")
    assert not re.search(r"^(?:import|from) (?:numpy|pandas|sklearn|matplotlib)", source, re.MULTILINE)


def test_the_pipeline_gives_what_the_first_notebook_shows(wellwatch, tmp_path):
    for path in (SAMPLES / "data").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pipeline = wellwatch("pipeline")
    report = pipeline.report(pipeline.run(tmp_path))
    shown = "\n".join(cell_lines(NOTEBOOKS[0], 14))
    assert report in shown


def test_the_simulation_gives_the_files_that_are_kept(wellwatch, tmp_path):
    (tmp_path / "wells.csv").write_bytes((SAMPLES / "data" / "wells.csv").read_bytes())
    wellwatch("simulate").simulate(tmp_path)
    for name in ("logger_export.csv", "barometer.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLES / "data" / name).read_bytes()


def test_millibar_is_converted_and_the_later_row_wins(wellwatch):
    readings = wellwatch("readings")
    time = datetime(2024, 3, 1, 2, tzinfo=readings.LOGGER_ZONE)
    tidied = readings.tidy(readings.Reading("BH-04", time, value, 9.5) for value in (101.0, 1325.0))
    assert [reading.pressure_kpa for reading in tidied.readings] == [132.5]
    assert (tidied.duplicates, tidied.converted, tidied.missing) == (1, 1, 0)


def test_the_barometer_bridges_short_gaps_only(wellwatch):
    barometer = wellwatch("barometer")
    start = datetime(2024, 3, 1, tzinfo=UTC)
    air = barometer.Barometer([start, start + timedelta(hours=6), start + timedelta(hours=18)], [99.0, 100.2, 101.0])
    assert air.at(start + timedelta(hours=3)) == pytest.approx(99.6)
    assert air.at(start + timedelta(hours=12)) is None
    assert air.at(start - timedelta(hours=1)) is None


def test_an_alarm_clears_below_its_band_and_filled_days_raise_none(wellwatch):
    alarms, levels = wellwatch("alarms"), wellwatch("levels")
    rule = alarms.Rule("BH-01", alarms.Side.HIGH, 210.45, 210.30, hold_days=1, tell="fire brigade")
    heads = [(210.5, 0), (210.5, 4), (210.4, 4), (210.6, 4), (210.2, 4)]
    days = [
        levels.DailyLevel("BH-01", date(2024, 1, 1) + timedelta(days=step), head, count)
        for step, (head, count) in enumerate(heads)
    ]
    (alarm,) = alarms.evaluate(rule, days)
    assert (alarm.raised, alarm.cleared, alarm.worst_m) == (date(2024, 1, 2), date(2024, 1, 5), 210.6)
