"""A JSON schema as a grammar (llama.cpp's GBNF): whatever follows the grammar is valid under the schema.

Not llama-cpp-python's own translation: that lets raw line ends into strings, misreads backslashes, drops keywords
beside `type: [...]`, and writes `maxLength: 20000` as so many nested parentheses, which crash llama.cpp's parser.

The grammar keeps the order of `properties`, and adds none beside those that are named. `oneOf` counts as `anyOf`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from lorebook_api.errors import BadRequest
from lorebook_daemon.app.v1.gbnf import Rules, literal

Schema = Mapping[str, Any]

_REPEATS_MOST = 2000
"""llama.cpp refuses more repetitions of a rule."""

_NOT_KEPT = frozenset(
    {
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "if",
        "maxContains",
        "maxProperties",
        "maximum",
        "minContains",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "pattern",
        "patternProperties",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    }
)
"""Keywords that no grammar here keeps: refused where the client said `strict`."""
_SAYS_NOTHING = frozenset(
    {
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "examples",
        "format",
        "readOnly",
        "title",
        "writeOnly",
    }
)

_SPACE = r'( " " | "\n"{1,2} [ \t]{0,20} )?'
_DATE = r'[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])'
_HOURS = r'([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]'
_TIME = rf'{_HOURS} ":" [0-5] [0-9] ("." [0-9]{{1,6}})? ("Z" | [+-] {_HOURS})'
_UUID = '[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}'
_FORMATS = {"date": _DATE, "time": _TIME, "date-time": f'{_DATE} "T" {_TIME}', "uuid": _UUID}
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


class SchemaGrammar:
    """Translates one document; `rules` may be shared with others. Raises BadRequest for what cannot be kept."""

    def __init__(self, document: Schema, rules: Rules, *, strict: bool) -> None:
        self._document = document
        self._rules = rules
        self._strict = strict
        self._named: dict[str, str] = {}

    def expression(self) -> str:
        """Return the expression for a value that the document describes."""
        try:
            return self._value(self._document, frozenset())
        except RecursionError as error:
            raise BadRequest("The schema is nested too deeply.", "Send a flatter one.") from error

    def _value(self, schema: Any, opened: frozenset[str]) -> str:
        """Return the expression for a schema; `opened` are the references that led here with nothing read between."""
        if schema is True:
            schema = {}
        if not isinstance(schema, Mapping):
            raise BadRequest(f"The schema allows no value where it says {ascii(schema)[:40]}.", "Send an object there.")
        self._check(schema)
        if "$ref" in schema:
            return self._reference(schema, opened)
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in schema:
                return self._combined(schema, keyword, opened)
        if "const" in schema:
            return self._constants([schema["const"]])
        if "enum" in schema:
            return self._constants(schema["enum"])
        if isinstance(schema.get("type"), list):
            return self._alternatives([{**schema, "type": one} for one in schema["type"]], opened)
        return self._typed(schema)

    def _check(self, schema: Schema) -> None:
        lost = sorted(_NOT_KEPT & schema.keys())
        if self._strict and lost:
            hint = "Leave it out and check the answer, or send strict: false."
            raise BadRequest(f"The schema says {lost[0]}, which cannot be kept to the letter here.", hint)

    # -- what stands for other schemas

    def _reference(self, schema: Schema, opened: frozenset[str]) -> str:
        ref = schema["$ref"]
        if _beside(schema, "$ref"):
            return self._value(self._flat(schema, opened), opened | {ref})
        self._guard(ref, opened)
        if ref not in self._named:
            self._named[ref] = name = self._rules.reserve()
            self._rules.define(name, self._value(self._target(ref), opened | {ref}))
        return self._named[ref]

    def _combined(self, schema: Schema, keyword: str, opened: frozenset[str]) -> str:
        beside = _beside(schema, keyword)
        if keyword == "allOf":
            for part in schema["allOf"]:
                beside = _merged(beside, self._flat(part, opened))
            return self._value(beside, opened)
        parts = [_merged(beside, self._flat(part, opened)) for part in schema[keyword]] if beside else schema[keyword]
        return self._alternatives(parts, opened)

    def _alternatives(self, schemas: Sequence[Any], opened: frozenset[str]) -> str:
        return self._rules.add(" | ".join(self._value(schema, opened) for schema in schemas))

    def _flat(self, schema: Any, opened: frozenset[str]) -> Schema:
        """Return the schema with what it refers to written out."""
        schema = {} if schema is True else schema
        if not isinstance(schema, Mapping):
            raise BadRequest("The schema combines others with one that allows no value.", "Leave that one out.")
        if "$ref" not in schema:
            return schema
        ref = schema["$ref"]
        self._guard(ref, opened)
        return _merged(self._flat(self._target(ref), opened | {ref}), _beside(schema, "$ref"))

    @staticmethod
    def _guard(ref: str, opened: frozenset[str]) -> None:
        if ref in opened:
            raise BadRequest(f"The schema's $ref {ref!a} leads back to itself.", "Describe a value there.")

    def _target(self, ref: str) -> Any:
        """Return what a reference means: a JSON pointer (RFC 6901) into this document, never another one."""
        if not (ref == "#" or ref.startswith("#/")):
            raise BadRequest(f"The schema's $ref {ref!a} leaves the schema.", "Put what it means below $defs.")
        target: Any = self._document
        for part in unquote(ref).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            elif isinstance(target, Mapping) and key in target:
                target = target[key]
            else:
                raise BadRequest(f"The schema's $ref {ref!a} leads nowhere.", "Put what it means below $defs.")
        return target

    # -- what describes a value

    def _constants(self, values: Sequence[Any]) -> str:
        return self._rules.add(" | ".join(literal(json.dumps(value, ensure_ascii=False)) for value in values))

    def _typed(self, schema: Schema) -> str:
        kind = schema.get("type") or _evident(schema)
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind == "string":
            return self._string(schema)
        return self._any(kind or "value")

    def _any(self, kind: str) -> str:
        """Return the rule for any value of a type, or of any type."""
        add = self._rules.add
        if kind == "value":
            # Reserved under its own body, so that it is found while it is being defined.
            if "#value" not in self._named:
                self._named["#value"] = name = self._rules.reserve()
                self._rules.define(name, " | ".join(self._typed({"type": each}) for each in _TYPES))
            return self._named["#value"]
        whole = add(r'"-"? ("0" | [1-9] [0-9]{0,15})')
        bodies = {
            "integer": whole,
            "number": rf'{whole} ("." [0-9]{{1,16}})? ([eE] [-+]? [0-9]{{1,2}})?',
            "boolean": '"true" | "false"',
            "null": '"null"',
        }
        return add(bodies[kind])

    def _string(self, schema: Schema) -> str:
        if schema.get("format") in _FORMATS:
            return self._rules.add(rf'"\"" {_FORMATS[schema["format"]]} "\""')
        least, most = self._bounds(schema, "Length")
        # Two \u escapes may be one character: not where characters are counted.
        unicode = "" if least or most is not None else ' | "u" [0-9a-fA-F]{4}'
        character = self._rules.add(rf'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt]{unicode})')
        return self._rules.add(rf'"\"" {_repeated(character, least, most)} "\""')

    def _array(self, schema: Schema) -> str:
        least, most = self._bounds(schema, "Items")
        items = schema.get("items", True)
        tuple_ = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = True if isinstance(items, list) else items
        if tuple_:  # as long as it is written; longer only where it must be
            parts = [self._value(each, frozenset()) for each in (*tuple_[:most], *[rest] * (least - len(tuple_)))]
            return self._listed(f' "," {self._rules.add(_SPACE)} '.join(parts))
        if rest is False or most == 0:
            return self._listed('""')
        item = self._value(rest, frozenset())
        following = self._rules.add(f'"," {self._rules.add(_SPACE)} {item}')
        inside = f"{item} {_repeated(following, max(0, least - 1), None if most is None else most - 1)}"
        return self._listed(inside if least else f"({inside})?")

    def _listed(self, inside: str) -> str:
        space = self._rules.add(_SPACE)
        return self._rules.add(f'"[" {space} {inside} {space} "]"')

    def _object(self, schema: Schema) -> str:
        required = schema.get("required", [])
        properties = {**schema.get("properties", {}), **dict.fromkeys(required, True), **schema.get("properties", {})}
        space = self._rules.add(_SPACE)
        pairs = [
            (self._pair(literal(json.dumps(name, ensure_ascii=False)), each), name in required)
            for name, each in properties.items()
        ]
        inside = self._members(pairs) if pairs else self._others(schema.get("additionalProperties", True))
        return self._rules.add(f'"{{" {space} {inside} {space} "}}"')

    def _pair(self, key: str, schema: Any) -> str:
        space = self._rules.add(_SPACE)
        return self._rules.add(f'{key} {space} ":" {space} {self._value(schema, frozenset())}')

    def _members(self, pairs: Sequence[tuple[str, bool]]) -> str:
        """Return the expression for the pairs in their order; a comma stands before all but the first that is there."""
        space = self._rules.add(_SPACE)
        later, first = '""', '""'
        for pair, required in reversed(pairs):
            here = f"{pair} {later}"
            later, first = (
                self._rules.add(f'"," {space} {here}' if required else f'("," {space} {pair})? {later}'),
                self._rules.add(here if required else f"{here} | {first}"),
            )
        return first

    def _others(self, values: Any) -> str:
        """Return the expression for pairs with any names."""
        if values is False:
            return '""'
        pair = self._pair(self._string({}), values)
        return f'({pair} ("," {self._rules.add(_SPACE)} {pair})*)?'

    def _bounds(self, schema: Schema, what: str) -> tuple[int, int | None]:
        """Return `minLength` and `maxLength`, or `minItems` and `maxItems`; None is no bound."""
        least, most = int(schema.get(f"min{what}", 0)), schema.get(f"max{what}")
        if least > _REPEATS_MOST or (self._strict and most is not None and most > _REPEATS_MOST):
            raise BadRequest(f"The schema's min{what} or max{what} is above {_REPEATS_MOST}.", "Take a smaller one.")
        if most is not None and most < least:
            raise BadRequest(f"The schema's min{what} is above its max{what}.", "No value fits; mend it.")
        return least, None if most is None or most > _REPEATS_MOST else int(most)


def _repeated(item: str, least: int, most: int | None) -> str:
    if most == 0:
        return '""'
    return f"{item}{{{least},{'' if most is None else most}}}"


def _evident(schema: Schema) -> str:
    """Return the type that keywords speak of where none is named, empty where nothing does."""
    speaking = {
        "object": ("properties", "required", "additionalProperties"),
        "array": ("items", "prefixItems", "minItems", "maxItems"),
        "string": ("minLength", "maxLength"),
    }
    return next((kind for kind, keywords in speaking.items() if any(each in schema for each in keywords)), "")


def _beside(schema: Schema, keyword: str) -> Schema:
    """Return what else of a schema says something."""
    return {key: value for key, value in schema.items() if key != keyword and key not in _SAYS_NOTHING}


def _merged(left: Schema, right: Schema) -> Schema:
    """Return the schema of what fits both; raises BadRequest where they speak of the same in different words."""
    for closed, other in ((left, right), (right, left)):
        if closed.get("additionalProperties") is False and other.get("properties", {}).keys() - closed.get(
            "properties", {}
        ):
            message = "The schema adds properties beside additionalProperties: false, which forbids them."
            raise BadRequest(message, "Put all properties in one place.")
    both = dict(left)
    for key, value in right.items():
        if key not in both or both[key] == value:
            both[key] = value
        elif key == "properties":
            shared = {name: {"allOf": [both[key][name], each]} for name, each in value.items() if name in both[key]}
            both[key] = {**both[key], **value, **shared}
        elif key in ("required", "allOf"):
            both[key] = [*both[key], *value]
        elif key == "additionalProperties":
            both[key] = False
        elif key not in _SAYS_NOTHING and key not in _NOT_KEPT:
            raise BadRequest(f"The schema says {key} twice of the same value, differently.", "Say it once.")
    return both
