"""What an answer must look like, as a grammar: `grammar`, `response_format`, or a tool call that is forced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorebook_api.errors import BadRequest
from lorebook_daemon.app.v1.gbnf import Rules, checked
from lorebook_daemon.app.v1.requests import Generating
from lorebook_daemon.app.v1.schema_grammar import SchemaGrammar


def grammar_of(body: Generating) -> str:
    """Return the grammar that a request asks for, empty where there is none.

    Raises BadRequest for a schema that is none or that cannot be kept. Takes a moment: not for the event loop's thread.
    """
    if not wants_json(body):
        return "" if body.grammar is None else checked(body.grammar)
    if body.grammar is not None:
        raise BadRequest("grammar and response_format exclude each other.", "Send one of them.")
    rules = Rules()
    return rules.text(json_expression(body, rules))


def wants_json(body: Generating) -> bool:
    """Return whether the answer must be JSON."""
    return body.response_format is not None and body.response_format.type != "text"


def json_expression(body: Generating, rules: Rules) -> str:
    """Return the expression for the JSON that `response_format` wants; raises BadRequest."""
    wanted = body.response_format
    schema: Mapping[str, Any] = {"type": "object"}
    strict = False
    if wanted is not None and wanted.json_schema is not None:
        schema, strict = wanted.json_schema.of, bool(wanted.json_schema.strict)
    elif wanted is not None and wanted.of is not None:
        schema = wanted.of
    check_schema(schema, "response_format")
    return SchemaGrammar(schema, rules, strict=strict).expression()


def check_schema(schema: Mapping[str, Any], where: str) -> None:
    """Raise BadRequest where `schema` is no JSON schema; without `$schema` it counts as one of draft 2020-12."""
    import jsonschema  # it takes 0.1 to 1.5 s, and few requests bring a schema

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        said = error.message[:200] if isinstance(error, jsonschema.SchemaError) else "it is nested too deeply"
        raise BadRequest(
            f"The schema in {where} is no JSON schema: {ascii(said)[1:-1]}.", "See json-schema.org."
        ) from error
