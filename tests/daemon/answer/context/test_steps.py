import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_shelf import Files, hit, nothing
from lorebook_api.errors import BadRequest
from lorebook_api.home import find_home
from lorebook_daemon.answer.context.diversity import spread
from lorebook_daemon.answer.context.steps import (
    COMPLETIONS,
    CONDENSING,
    GROWTHS,
    ON,
    SELECTIONS,
    complete,
    grow,
    select,
)
from lorebook_daemon.settings import CONTEXT_STEPS, load_settings

STEPS = {**{name: (lambda hits, _, step=step: step(hits)) for name, step in SELECTIONS.items()}, **GROWTHS}
FILES = Files(
    a__py="\n\n".join(f"def f{n}(x):\n    return x + {n}\n" * 5 for n in range(20)),
    a__md="\n\n".join(f"# Part {n}\n\n" + f"Words on well {n}. " * 30 for n in range(8)),
    b__txt="\n\n".join(f"Paragraph {n} says little of pump {n}." * 4 for n in range(30)),
)


def test_the_settings_name_the_steps_that_there_are():
    assert (*STEPS, *COMPLETIONS, CONDENSING) == CONTEXT_STEPS and set(CONTEXT_STEPS) > ON
    assert load_settings(find_home(), context_steps=" merging,copies, merging").steps == {"merging", "copies"}
    assert load_settings(find_home(), context_steps="").steps == frozenset()
    with pytest.raises(BadRequest, match="'compression', which is no step"):
        load_settings(find_home(), context_steps="copies,compression")


def test_a_second_file_comes_before_a_second_passage_that_says_the_same():
    first, twin = hit("the well is dry since May", "a.md", 1.0), hit("the well is dry since June", "a.md", 0.9, 9)
    other = hit("pumps were sold", "b.md", 0.85)
    assert spread([first, twin, other]) == [first, other, twin]
    assert spread([]) == []


def test_selections_leave_as_many_as_are_wanted():
    found = FILES.hits("b.txt", 0, 1, 2)
    assert select(found, 2) == tuple(found[:2])
    assert select([found[0], found[0]], 2) == (found[0],)
    assert select([found[0], found[0]], 2, ()) == (found[0], found[0])
    assert grow(found, FILES.beside, ()) == complete(found, FILES.beside, ()) == tuple(found)


drawn = st.lists(st.tuples(st.sampled_from(sorted(FILES.passages)), st.integers(0, 50)), max_size=6, unique=True)


@pytest.mark.parametrize("name", sorted(STEPS))
@given(drawn)
def test_every_step_keeps_the_best_and_the_files_own_lines(name, places):
    found = [
        one
        for path, place in dict.fromkeys((path, place % len(FILES.passages[path])) for path, place in places)
        for one in FILES.hits(path, place)
    ]
    after = STEPS[name](found, FILES.beside)
    assert bool(after) == bool(found)
    assert all(one.passage.text == FILES.lines(one.passage) for one in after)
    if found:
        best = found[0].passage
        top = after[0].passage
        assert (top.path, top.start_line <= best.start_line <= top.end_line) == (best.path, True)
        assert STEPS[name](found, nothing)[0].passage == best
