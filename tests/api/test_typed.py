from datetime import UTC, datetime
from pathlib import Path

import pytest

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.retrieval import Filters
from lorebook_api.typed import find_filters, find_model, find_roots, parse_adapter, parse_since


def test_roots_are_absolute_and_each_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_roots(["a", "./a/", str(tmp_path / "a")]) == (str(tmp_path / "a"),)
    assert find_roots([]) == (str(tmp_path),)


def test_a_root_that_is_not_there_and_one_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for missing in ("nowhere", "loop"):
        with pytest.raises(NotFound, match=missing):
            find_roots([tmp_path / missing])
    with pytest.raises(BadRequest) as caught:
        find_roots([file])
    assert str(tmp_path) in caught.value.hint


@pytest.mark.parametrize(
    ("typed", "use"),
    [
        ("notes", AdapterUse("notes")),
        ("notes:0.5", AdapterUse("notes", 0.5)),
        ("a:b:-1", AdapterUse("a:b", -1.0)),
        ("/x/y.gguf", AdapterUse("/x/y.gguf")),
        ("/x/y.gguf:2", AdapterUse("/x/y.gguf", 2.0)),
    ],
)
def test_adapters(typed: str, use: AdapterUse) -> None:
    assert parse_adapter(typed) == use


@pytest.mark.parametrize("typed", ["notes:strong", ":1", "notes:nan", "notes:"])
def test_a_scale_that_is_none(typed: str) -> None:
    with pytest.raises(BadRequest):
        parse_adapter(typed)


def test_a_path_to_a_model_becomes_absolute_and_a_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "auto").touch()
    assert find_model("m.gguf") == str(tmp_path / "m.gguf")
    assert find_model("./auto") == str(tmp_path / "auto")
    assert find_model("auto") == "auto"
    assert find_model("qwen2.5-coder:1.5b") == "qwen2.5-coder:1.5b"


def test_filters_are_what_was_typed() -> None:
    assert find_filters() == Filters()
    typed = find_filters(["./src/", "*.md"], ["doc"], ["python"], "2026-11-01T14:00Z", ["a.ipynb"], ["result"])
    assert typed == Filters(
        ("src/", "*.md"), ("doc",), ("python",), "2026-11-01T14:00:00+00:00", ("a.ipynb",), ("result",)
    )


@pytest.mark.parametrize(
    "wrong", [{"paths": [""]}, {"tags": [" "]}, {"since": ""}, {"since": "later"}, {"kinds": ["picture"]}], ids=str
)
def test_a_filter_that_is_none_says_what_to_type(wrong: dict) -> None:
    with pytest.raises(BadRequest) as caught:
        find_filters(**wrong)
    assert caught.value.hint


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("30min", "2026-11-23T11:30:00+00:00"),
        ("12 h", "2026-11-23T00:00:00+00:00"),
        ("7d", "2026-11-16T12:00:00+00:00"),
        ("2w", "2026-11-09T12:00:00+00:00"),
        ("2026-11-01T14:00:00+02:00", "2026-11-01T14:00:00+02:00"),
    ],
)
def test_a_moment_has_its_zone(typed: str, moment: str) -> None:
    assert parse_since(typed, NOON) == moment
    assert datetime.fromisoformat(parse_since("2026-11-01")).tzinfo is not None


@pytest.mark.parametrize("typed", ["", "soon", "7 days", "-1d", "9999999d", "999999w", "2026-02-30", "0001-01-01"])
def test_what_is_no_time_says_what_to_type(typed: str) -> None:
    try:
        parse_since(typed, NOON)
    except BadRequest as error:
        assert "2026-11-01" in error.hint
    else:
        assert typed == "0001-01-01"
