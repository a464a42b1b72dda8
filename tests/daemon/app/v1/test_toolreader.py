"""What is read from an answer, in each of the forms in which models write calls, however it is cut into pieces."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import pieces
from lorebook_daemon.app.v1.callforms import FORMS
from lorebook_daemon.app.v1.toolreader import ToolReader
from lorebook_daemon.engine.protocol import ToolCall

TEXT = {"type": "string"}
OFFERED = {
    "add": {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    "list": {},
    "note": {"properties": {"text": TEXT, "tags": {"type": "array"}, "title": {"anyOf": [TEXT, {"type": "null"}]}}},
}
BARE = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
LLAMA = '{"name": "add", "parameters": {"a": 1, "b": 2}}'
CODER = "<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>"
ADDED = ("add", {"a": 1, "b": 2})
LISTED = ("list", {})


def read(cut, **options):
    reader = ToolReader(OFFERED, **options)
    heard = [one for piece in cut for one in reader.feed(piece)] + list(reader.finish())
    said = "".join(one for one in heard if isinstance(one, str))
    return said, [(one.name, json.loads(one.arguments)) for one in heard if isinstance(one, ToolCall)]


FORMED = {
    "Qwen's": (f"<tool_call>\n{BARE}\n</tool_call>", [ADDED]),
    "Qwen's, several": (f'<tool_call>{BARE}</tool_call>\n<tool_call>{{"name": "list"}}</tool_call>\n', [ADDED, LISTED]),
    "Qwen's, stopped": (f"<tool_call>\n{BARE}\n", [ADDED]),
    "Llama's": (LLAMA, [ADDED]),
    "Llama's, several": (f'{LLAMA}; {{"name": "list", "parameters": {{}}}}', [ADDED, LISTED]),
    "Llama's, after its mark": (f"<|python_tag|>{LLAMA}", [ADDED]),
    "Llama's, after its mark, several": (f"<|python_tag|>{LLAMA}; {LLAMA}\n", [ADDED, ADDED]),
    "Llama's own": ('<function=add>{"a": 1, "b": 2}</function>', [ADDED]),
    "Mistral's": (f"[TOOL_CALLS][{BARE}]", [ADDED]),
    "Mistral's, several": (f'[TOOL_CALLS] [{BARE}, {{"name": "list", "arguments": {{}}, "id": "x"}}]', [ADDED, LISTED]),
    "Mistral's since 2025": ('[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}', [ADDED]),
    "Mistral's since 2025, several": (
        '[TOOL_CALLS]add[CALL_ID]x1[ARGS]{"a": 1, "b": 2}[TOOL_CALLS]list[ARGS]{}',
        [ADDED, LISTED],
    ),
    "Qwen3-Coder's": (f"<tool_call>\n{CODER}\n</tool_call>", [ADDED]),
    "Qwen3-Coder's, two in one": (f"<tool_call>{CODER}\n<function=list>\n</function></tool_call>", [ADDED, LISTED]),
    "Qwen3-Coder's, without its tag": (CODER, [ADDED]),
    "Qwen3-Coder's, as text and as JSON": (
        "<function=note><parameter=text>\n12\n\n</parameter><parameter=tags>[1]</parameter>"
        "<parameter=title>3</parameter><parameter=more>true</parameter><parameter=x>y</parameter></function>",
        [("note", {"text": "12\n", "tags": [1], "title": "3", "more": True, "x": "y"})],
    ),
    "no arguments": ('<tool_call>{"name": "list", "arguments": null}</tool_call>', [LISTED]),
    "fenced": (f"```json\n{BARE}\n```", [ADDED]),
    "fenced, of no language": (f"```\n{BARE}\n```\n", [ADDED]),
    "between blanks": (f" \n{BARE}\n", [ADDED]),
}


@pytest.mark.parametrize("answer, calls", FORMED.values(), ids=FORMED)
@pytest.mark.parametrize("before", ["", "Let me see."])
def test_a_call_is_found(answer, calls, before):
    if before and not any(form.opens in answer for form in FORMS):
        before = ""  # without a mark a call is all that is said
    for cut in ([before + answer], list(before + answer)):
        assert read(cut) == (before, calls)
    assert read([answer], several=False) == ("", calls[:1])


NO_CALLS = [
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    "Like so: <tool_call>{</tool_call> ",
    '<tool_call>{"name": "add", "input": {"a": 1}}</tool_call>',
    '{"name": "add", "input": {"a": 1}}',
    '{"name": ["add"], "arguments": {}}',
    f"Like this: {BARE}",
    f"{BARE} does it.",
    '{"a": 1}',
    "```python\n1 + 2\n```",
    f"[{BARE}]",
    "{",
    "```json",
    "<|python_tag|>print(1)",
    '<|python_tag|>{"name": "rm", "parameters": {}}',
    "[TOOL_CALLS] is the mark.",
    "[TOOL_CALLS][]",
    f'[TOOL_CALLS][{BARE}, {{"name": "rm"}}]',
    "[TOOL_CALLS]add[ARGS]1",
    "[TOOL_CALLS]rm[ARGS]{}",
    "<function=rm>{}</function>",
    "<function=add>[1]</function>",
    '<function=add>{"a": 1</function>',
    "<function=add>\n<parameter=a>\n1\n</parameter>\n",  # cut: more parameters may have followed
    "<function=add>\n<parameter=a>\n1\n</function>",
]


@pytest.mark.parametrize("answer", NO_CALLS)
def test_what_is_no_call_of_an_offered_function_stays_text(answer):
    for cut in ([answer], pieces(answer), list(answer)):
        assert read(cut) == (answer, [])


def test_a_call_after_what_only_looked_like_one_is_found():
    assert read([f"<|python_tag|>x <function=y <tool_call>{BARE}</tool_call>"]) == (
        "<|python_tag|>x <function=y",
        [ADDED],
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.opens)
def test_nothing_of_a_mark_is_shown_before_it_is_known_to_be_none(form):
    reader = ToolReader(OFFERED)
    assert list(reader.feed("So ")) == ["So"]
    assert [one for letter in form.opens for one in reader.feed(letter)] == []
    assert "".join(map(str, reader.finish())) == f" {form.opens}"


def test_text_is_shown_as_soon_as_it_is_certain():
    reader = ToolReader(OFFERED)
    assert list(reader.feed("a < b")) == ["a < b"]
    assert list(reader.feed(" <func")) == []
    assert list(reader.feed("ional>")) == [" <funcional>"]
    assert list(ToolReader({}).feed("<tool_call>")) == ["<tool_call>"]


PARTS = ["Hello", " ", "\n", "<", ">", "{", "}", "[]", "; ", "```json\n", "<tool", "<tool_call", "<tool_call>{"]
PARTS += ["</tool_call>", "<function=", "<function=list>", "</function>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]"]
PARTS += ["add", BARE, LLAMA]
TEXTS = st.lists(st.sampled_from([*PARTS, *(answer for answer, _ in FORMED.values())]), max_size=8).map("".join)


@given(TEXTS, st.data())
def test_however_the_text_is_cut_the_same_is_read(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    assert read([text[start:end] for start, end in pairwise([0, *cuts, len(text)])]) == read([text]) == read(text)


@given(TEXTS)
def test_what_holds_no_call_is_said_to_the_letter(text):
    said, calls = read(text)
    assert (said == text) is not bool(calls)
    letters = iter(text)
    assert all(letter in letters for letter in said), "what is said is said in its order"


@given(st.lists(st.sampled_from(["Hello", "1 < 2", "[", "```", "{", "<function=", "rm"])))
def test_no_word_between_calls_is_lost(words):
    call = f"<tool_call>{BARE}</tool_call>"
    said, calls = read([call.join(f" {word} " for word in words) + call])
    assert said.split() == " ".join(words).split()
    assert calls == [ADDED] * max(1, len(words))
