"""A person at a shell: real commands, a real daemon, the real small model, a home of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from end_to_end.convinced import write_convinced
from end_to_end.person import SAMPLES, Person


@pytest.fixture(scope="session")
def embedder(tiny_model: Path) -> Path:
    """Return MiniLM's folder, which `make test` brings."""
    folder = tiny_model.parent / "minilm"
    if not (folder / "model.onnx").is_file():
        pytest.fail(f"{folder} holds no embedder; `make test` brings it, or: lorebook models pull minilm")
    return folder


@pytest.fixture(scope="session")
def convinced(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the small model that finds an answer in every passage."""
    path = tmp_path_factory.mktemp("models") / "convinced.gguf"
    write_convinced(tiny_model, path)
    return path


@pytest.fixture(scope="module")
def make_person(
    tiny_model: Path, embedder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Person]]:
    """Return what makes people, each with both models in a home that is otherwise empty; their daemons are ended."""
    people: list[Person] = []

    def make() -> Person:
        place = tmp_path_factory.mktemp("person")
        models = place / "home" / "models"
        models.mkdir(parents=True)
        (place / "work").mkdir()
        link(tiny_model, models / tiny_model.name)
        (models / embedder.name).mkdir()
        for name in ("model.onnx", "tokenizer.json"):
            link(embedder / name, models / embedder.name / name)
        people.append(Person(place / "home", place / "work", tiny_model.stem))
        return people[-1]

    yield make
    for person in people:
        person.leave()


def link(source: Path, target: Path) -> None:
    """Put a file where it is wanted, by a link where the system allows that."""
    try:
        target.symlink_to(source.resolve())
    except OSError:  # Windows, for most users
        shutil.copy(source, target)


@pytest.fixture
def person(make_person: Callable[[], Person]) -> Iterator[Person]:
    """A person whom no other test has met."""
    person = make_person()
    yield person
    person.leave()


@pytest.fixture(scope="module")
def resident(make_person: Callable[[], Person]) -> Person:
    """A person whom the tests of a module share, with an index of samples/."""
    person = make_person()
    person.type("index", str(SAMPLES))
    return person
