"""The lock holds a version for everything that lorebook can ask for, and torch never.

What only the benchmarks want is pinned where it is asked for instead; what only training wants is not pinned.
"""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from scripts.constraints import pin_lines
from scripts.pins import normal, read_pins
from scripts.places import CONSTRAINTS, ROOT
from scripts.trouble import Trouble

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = read_pins(CONSTRAINTS)
BENCH = PROJECT["dependency-groups"]["bench"]
TRAIN = PROJECT["project"]["optional-dependencies"]["train"]


def wishes():
    yield from PROJECT["project"]["dependencies"]
    for name, extra in PROJECT["project"]["optional-dependencies"].items():
        if name != "train":
            yield from extra
    for name, group in PROJECT["dependency-groups"].items():
        if name != "bench":
            yield from (wish for wish in group if isinstance(wish, str))
    yield from PROJECT["build-system"]["requires"]


def named(wish):
    return normal(re.match(r"[\w.-]+", wish)[0])


@pytest.mark.parametrize("wish", sorted(wish for wish in wishes() if named(wish) != "lorebook"))
def test_every_dependency_is_pinned(wish):
    requirement = Requirement(wish)
    assert PINS[named(wish)] in requirement.specifier


def test_every_dependency_has_its_row_and_its_reason():
    words = {normal(word) for word in re.findall(r"[\w.-]+", (ROOT / "docs" / "dependencies.md").read_text("utf-8"))}
    assert {named(wish) for wish in (*wishes(), *BENCH, *TRAIN)} - {"lorebook"} <= words


def test_what_the_benchmarks_want_is_pinned_and_wanted_by_nothing_else():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", wish) for wish in BENCH)
    assert not {named(wish) for wish in BENCH} & {named(wish) for wish in wishes()}


def test_asking_never_installs_torch():
    heavy = {"torch", "transformers", "peft", "accelerate", "tensorflow", "jax"}
    assert not heavy & PINS.keys()
    assert not [name for name in PINS if name.startswith("nvidia-")]


def test_no_address_and_no_path_stands_in_the_lock():
    assert not re.search(r"://|@|\s/|^-", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("text", ["numpy>=2\n", "numpy==2.0\nNumPy==2.1\n", "-e .\n", "x @ file:///tmp/x\n"])
def test_what_is_no_pin_is_refused(tmp_path, text):
    file = tmp_path / "constraints.txt"
    file.write_text(text)
    with pytest.raises(Trouble, match="make lock"):
        read_pins(file)


def test_names_are_compared_as_indexes_do(tmp_path):
    file = tmp_path / "constraints.txt"
    file.write_text("# made\nrank_BM25==0.2.2  # why\n\nJinja2==3.1.6\n")
    assert read_pins(file) == {"rank-bm25": "0.2.2", "jinja2": "3.1.6"}


def test_the_lock_is_written_from_pips_report():
    def item(name, version):
        return {"metadata": {"name": name, "version": version}}

    report = {"install": [item("lorebook", "0.1.0"), item("PyYAML", "6.0.3"), item("attrs", "26.1.0")]}
    assert pin_lines(report) == ["attrs==26.1.0", "pyyaml==6.0.3"]
