"""What follows a schema's grammar is valid under the schema; llama.cpp itself says what follows a grammar."""

from __future__ import annotations

import ctypes
import json
import random

import jsonschema
import llama_cpp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_models
from lorebook_api.errors import BadRequest
from lorebook_daemon.app.v1.gbnf import Rules, checked, literal
from lorebook_daemon.app.v1.grammar import check_schema
from lorebook_daemon.app.v1.schema_grammar import SchemaGrammar

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
CLOSERS = '"}]'
"""What ends a value, preferred once a text has grown long enough."""


def grammar_of(schema, strict=False):
    rules = Rules()
    return rules.text(SchemaGrammar(schema, rules, strict=strict).expression())


class Writer:
    """Writes texts that follow a grammar, drawn at random, and says whether a text follows one."""

    def __init__(self, path):
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._texts = [self._text(token) for token in range(len(tiny_models.vocabulary()))]
        self._tokens = {text: token for token, text in enumerate(self._texts)}
        self._end = llama_cpp.llama_vocab_eos(self._vocabulary)

    def write(self, grammar, seed, soft=80, hard=4000):
        draw = random.Random(seed)
        text = b""
        with self._sampler(grammar) as sampler:
            while len(text) < hard:
                token = self._choose(sampler, draw, len(text) > soft)
                if token == self._end:
                    return text.decode()
                llama_cpp.llama_sampler_accept(sampler, token)
                text += self._texts[token]
        raise AssertionError(f"no end: {text[:200]!r}")

    def follows(self, grammar, text):
        with self._sampler(grammar) as sampler:
            for byte in text.encode():
                token = self._tokens[bytes([byte])]
                if token not in self._allowed(sampler):
                    return False
                llama_cpp.llama_sampler_accept(sampler, token)
            return self._end in self._allowed(sampler)

    def _choose(self, sampler, draw, closing):
        allowed = self._allowed(sampler)
        if closing and self._end in allowed:
            return self._end
        ascii_only = [token for token in allowed if token == self._end or self._texts[token].isascii()]
        closers = [token for token in ascii_only if self._texts[token].decode() in CLOSERS and self._texts[token]]
        return draw.choice(closers if closing and closers else ascii_only or allowed)

    def _allowed(self, sampler):
        candidates = np.zeros(len(self._texts), CANDIDATE)
        candidates["id"] = np.arange(len(candidates))
        pointer = candidates.ctypes.data_as(llama_cpp.llama_token_data_p)
        array = llama_cpp.llama_token_data_array(pointer, len(candidates), -1, False)
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
        return candidates["id"][np.isfinite(candidates["logit"])].tolist()

    def _sampler(self, grammar):
        return _Sampler(llama_cpp.llama_sampler_init_grammar(self._vocabulary, grammar.encode(), b"root"), grammar)

    def _text(self, token):
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, 64, 0, False)
        return buffer.raw[:length]


class _Sampler:
    def __init__(self, handle, grammar):
        assert handle, f"llama.cpp cannot read this grammar:\n{grammar}"
        self._handle = handle

    def __enter__(self):
        return self._handle

    def __exit__(self, *_):
        llama_cpp.llama_sampler_free(self._handle)


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return Writer(tiny_models.tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf"))


LEAVES = [
    {"type": "string"},
    {"type": "string", "minLength": 2, "maxLength": 5},
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"const": 'back\\slash "quoted"\n'},
    {"enum": ["é", 1, None, {"a": [True]}]},
    {"type": "string", "format": "date"},
    {},
    True,
]
NAMES = st.sampled_from(["a", "b c", 'q"', "back\\", "é"])


def _objects(values):
    properties = st.dictionaries(NAMES, values, max_size=4)
    return properties.flatmap(
        lambda of: st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.just(of),
                "required": st.lists(st.sampled_from(sorted(of)), unique=True) if of else st.just([]),
                "additionalProperties": st.booleans(),
            }
        )
    )


def _arrays(values):
    bounds = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda pair: {"minItems": min(pair), "maxItems": max(pair)}
    )
    lists = st.tuples(values, bounds).map(lambda pair: {"type": "array", "items": pair[0], **pair[1]})
    return lists | st.lists(values, min_size=1, max_size=3).map(
        lambda items: {"type": "array", "prefixItems": items, "minItems": len(items)}
    )


def _combined(values):
    some = st.lists(values, min_size=1, max_size=3)
    more = {"properties": {"z": {"type": "integer"}}, "required": ["z"]}
    return some.map(lambda each: {"anyOf": each}) | _objects(values).map(
        lambda one: {"allOf": [{**one, "additionalProperties": True}, more]}
    )


SCHEMAS = st.recursive(
    st.sampled_from(LEAVES), lambda values: _objects(values) | _arrays(values) | _combined(values), max_leaves=6
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, st.integers(0, 2**32))
def test_what_follows_the_grammar_is_valid(writer, schema, seed):
    text = writer.write(grammar_of(schema), seed)
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "home": {"$ref": "#/$defs/place"}},
    "required": ["name", "home"],
    "$defs": {"place": {"type": "object", "properties": {"city": {"enum": ["Rome", "Ulm"]}}, "required": ["city"]}},
}
TREE = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
ACCEPTED = [
    (PERSON, '{"name": "Ada", "home": {"city": "Ulm"}}'),
    (PERSON, '{"name":"\\u00e9\\n","age":-12,"home":{"city":"Rome"}}'),
    (PERSON, '{\n  "name": "é",\n  "home": {\n    "city": "Ulm"\n  }\n}'),
    (TREE, '{"kids": [{"kids": []}, {}]}'),
    ({"anyOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"type": "null"}}}, "null"),
    ({}, '[1, 2.5e-3, {"a": null}, "x", true]'),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, '{"any": 1, "name": 2}'),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"const": 1}]}, "[1]"),
    ({"type": ["object", "null"], "properties": {"a": {"type": "null"}}}, '{"a": null}'),
    ({"properties": {"a": {"type": "integer"}}}, '{"a": 3}'),
    ({"type": "string", "maxLength": 100_000}, '"long"'),
    ({"type": "integer", "minimum": 3}, "4"),
    ({"type": "string", "format": "email"}, '"a@b"'),
]
REJECTED = [
    (PERSON, '{"age": 3}'),
    (PERSON, '{"name": "Ada", "home": {"city": "Oslo"}}'),
    (PERSON, '{"name": "Ada", "home": {"city": "Ulm"}, "more": 1}'),
    (PERSON, '{"name": "a\nb", "home": {"city": "Ulm"}}'),
    (PERSON, '{"name": "Ada",, "home": {"city": "Ulm"}}'),
    ({"type": "integer"}, "007"),
    ({"type": "array", "maxItems": 1}, "[1, 2]"),
    ({"type": "string", "minLength": 2}, '"a"'),
    ({"const": "a\\b"}, '"a\\b"'),
    ({"type": "object"}, '{"a": 1,}'),
    ({"type": ["object", "null"], "properties": {"a": {"type": "null"}}}, '{"a": 1}'),
]


@pytest.mark.parametrize(("schema", "text"), ACCEPTED)
def test_valid_json_follows_it(writer, schema, text):
    jsonschema.validate(json.loads(text), schema)
    assert writer.follows(grammar_of(schema), text)


@pytest.mark.parametrize(("schema", "text"), REJECTED)
def test_what_is_invalid_does_not(writer, schema, text):
    assert not writer.follows(grammar_of(schema), text)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "#/$defs/a", "minItems": 1, "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "string", "minLength": 100_000},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"enum": ["x" * 1000] * 1000},
        {"allOf": [{"additionalProperties": False}, {"properties": {"a": {}}}]},
    ],
)
def test_what_no_grammar_can_keep_is_refused(schema):
    with pytest.raises(BadRequest):
        grammar_of(schema)


@pytest.mark.parametrize(
    "keyword", [{"minimum": 1}, {"pattern": "^a$"}, {"uniqueItems": True}, {"not": {}}, {"maxLength": 5000}]
)
def test_strict_refuses_by_name_what_is_not_kept(keyword):
    schema = {"type": "object", "properties": {"a": {"type": "string", **keyword}}}
    grammar_of(schema)
    with pytest.raises(BadRequest, match=next(iter(keyword))):
        grammar_of(schema, strict=True)


def test_a_schema_nested_two_hundred_times_is_no_trouble():
    schema = {"type": "null"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    assert grammar_of(schema)
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadRequest, match="deep"):
        grammar_of(schema)


@pytest.mark.parametrize(
    "schema", [{"type": "text"}, {"properties": []}, {"type": "object", "required": "a"}, {"$ref": 7}, {"enum": 1}]
)
def test_a_schema_that_is_none_is_refused(schema):
    with pytest.raises(BadRequest, match="no JSON schema"):
        check_schema(schema, "response_format")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
@settings(max_examples=40, deadline=None)
def test_a_literal_is_exactly_its_text(writer, text):
    assert writer.follows(f"root ::= {literal(text)}", text)
    assert not writer.follows(f"root ::= {literal(text)}", text + "x")


def test_a_grammar_that_would_end_the_engine_is_refused():
    with pytest.raises(BadRequest, match="parentheses"):
        checked("root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000)
    with pytest.raises(BadRequest, match="longer"):
        checked('root ::= "' + "a" * 300_000 + '"')
    with pytest.raises(BadRequest, match="empty"):
        checked(" \n")
    brackets = 'root ::= "' + "(" * 500 + '" [(((] ' + "# " + "(" * 500
    assert checked(brackets) == brackets
