"""Grammars: which language a file is written in, and its syntax tree.

The grammars come in the wheel of `semble-grammars` and are unpacked, one by one and when first asked for, into
`grammars/<version>` of lorebook's cache folder, or into the folder that `SEMBLE_GRAMMARS_CACHE_DIR` names.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import semble_grammars
from tree_sitter import Language, Node, Parser, Point, Query, QueryCursor, QueryError, Tree

from lorebook_api.home import find_home

log = logging.getLogger(__name__)

CACHE_VARIABLE = "SEMBLE_GRAMMARS_CACHE_DIR"
LARGEST_TREE = 4_000_000
"""Bytes of source above which no tree is made: a tree takes some twenty times its source in memory."""
PARSE_SECONDS = 5.0
"""A parse is given up after this long: error recovery can be quadratic on what is no such language."""
CHUNK = 1 << 16

# Names and suffixes of files, in lower case, by the grammar that reads them.
_FILES = {
    "astro": ".astro",
    "bash": ".sh .bash .zsh .ksh .bats .bashrc .zshrc .profile .bash_profile",
    "batch": ".bat .cmd",
    "c": ".c .h",
    "clojure": ".clj .cljs .cljc .edn",
    "cmake": ".cmake cmakelists.txt",
    "cpp": ".cpp .cc .cxx .c++ .hpp .hh .hxx .h++ .ipp .cu .cuh .ino",
    "csharp": ".cs .csx",
    "css": ".css",
    "dart": ".dart",
    "dockerfile": ".dockerfile dockerfile containerfile",
    "dtd": ".dtd",
    "elixir": ".ex .exs",
    "embedded_template": ".erb .ejs",
    "erlang": ".erl .hrl",
    "fortran": ".f .for .f77 .f90 .f95 .f03 .f08",
    "gitignore": ".gitignore .dockerignore .lorebookignore",
    "go": ".go",
    "gotmpl": ".gotmpl .tmpl",
    "graphql": ".graphql .gql",
    "groovy": ".groovy .gradle jenkinsfile",
    "haskell": ".hs",
    "hcl": ".hcl .tf .tfvars",
    "heex": ".heex",
    "java": ".java",
    "javascript": ".js .jsx .mjs .cjs",
    "jinja2": ".jinja .jinja2 .j2",
    "jsonnet": ".jsonnet .libsonnet",
    "julia": ".jl",
    "just": ".just justfile",
    "kotlin": ".kt .kts",
    "lua": ".lua",
    "make": ".mk .mak makefile gnumakefile",
    "nix": ".nix",
    "objc": ".m .mm",
    "ocaml": ".ml .mli",
    "perl": ".pl .pm",
    "php": ".php",
    "powershell": ".ps1 .psm1 .psd1",
    "proto": ".proto",
    "python": ".py .pyi .pyw .pyx",
    "r": ".r .rprofile",
    "racket": ".rkt",
    "ruby": ".rb .rake .gemspec gemfile rakefile vagrantfile",
    "rust": ".rs",
    "scala": ".scala .sc .sbt",
    "scheme": ".scm .ss",
    "scss": ".scss",
    "solidity": ".sol",
    "sql": ".sql .ddl",
    "starlark": ".bzl .star build.bazel workspace.bazel",
    "svelte": ".svelte",
    "swift": ".swift",
    "tsx": ".tsx",
    "typescript": ".ts .mts .cts",
    "vim": ".vim .vimrc",
    "vue": ".vue",
    "wat": ".wat .wast",
    "zig": ".zig",
}
LANGUAGES = {name: language for language, names in _FILES.items() for name in names.split()}
"""Grammar by lower-case suffix or whole file name."""

_DEFINITION = re.compile(
    r"(definition|declaration|_item|_spec|_def)$"
    r"|^(class|method|singleton_method|module|function|struct|enum|interface|trait|type_alias)$"
)
_NO_DEFINITION = re.compile(
    r"param|argument|import|export_decl|using|package|^use_|extern_crate|catch|decorated|_enum_member|^column_|"
    r"attribute|array_size|^case_item|list_item|link_reference|inheritance|local_|field_decl|yul_|variable_decl"
)
_ENTRY = frozenset({"pair", "block_mapping_pair", "table", "table_array_element"})
_WRAPPER = frozenset({"decorated_definition", "export_statement", "template_declaration"})
_GLUE = re.compile(r"comment|^decorator$|attribute_item$|^annotation$|^marker_annotation$|^pragma$")
_DATA_LANGUAGES = frozenset({"json", "jsonc", "json5", "yaml", "toml"})

_C_NAMES = (
    "(function_definition declarator: (function_declarator declarator: (_) @name))",
    "(function_definition declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name)))",
    "(function_definition declarator: (reference_declarator (function_declarator declarator: (_) @name)))",
    "(struct_specifier name: (_) @name body: (_))",
    "(class_specifier name: (_) @name body: (_))",
    "(enum_specifier name: (_) @name body: (_))",
    "(union_specifier name: (_) @name body: (_))",
    "(type_definition declarator: (type_identifier) @name)",
)
_JS_NAMES = (
    "(program (lexical_declaration (variable_declarator name: (identifier) @name)))",
    "(program (variable_declaration (variable_declarator name: (identifier) @name)))",
    "(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name))))",
)
_PYTHON_NAMES = (
    "(module (expression_statement (assignment left: (identifier) @name)))",
    "(module (expression_statement (assignment left: (pattern_list (identifier) @name))))",
)
# Names that stand elsewhere than in a definition's field "name".
_NAMES: dict[str, tuple[str, ...]] = {
    "c": _C_NAMES,
    "cpp": _C_NAMES,
    "objc": _C_NAMES,
    "javascript": _JS_NAMES,
    "typescript": _JS_NAMES,
    "tsx": _JS_NAMES,
    "python": _PYTHON_NAMES,
    "starlark": _PYTHON_NAMES,
    "r": ('(program (binary_operator lhs: (identifier) @name operator: ["<-" "="]))',),
    "ruby": ("(assignment left: (constant) @name)",),
    "sql": ("(create_table (object_reference name: (_) @name))", "(create_view (object_reference name: (_) @name))"),
    "julia": ("(function_definition (signature (call_expression (identifier) @name)))",),
    "proto": ("(message (message_name) @name)", "(service (service_name) @name)", "(rpc (rpc_name) @name)"),
}


@dataclass(frozen=True)
class Grammar:
    """A language's grammar and what its node types mean for splitting."""

    language: Language
    enclosing: frozenset[str]
    """Node types whose first line is context to what they hold."""
    wrappers: frozenset[str]
    """Node types that hold a definition and what belongs before it."""
    glue: frozenset[str]
    """Node types that belong to what follows them."""
    names: Query | None
    """Captures, as `name`, the names that a file defines."""

    def defined(self, tree: Tree, source: bytes) -> list[tuple[int, str]]:
        """Return `(row, name)` for each name that the source of the tree defines, in its order; rows are 0-based."""
        if self.names is None:
            return []
        nodes = QueryCursor(self.names).captures(tree.root_node).get("name", [])
        # Not node.text: a tree that was parsed chunk by chunk copies a chunk for each.
        spans = ((node.start_point.row, source[node.start_byte : node.end_byte]) for node in nodes)
        return sorted((row, name.decode("utf-8", "replace")) for row, name in spans)

    def opens(self, node: Node) -> bool:
        """Whether a passage should rather begin at this node than hold it in its middle."""
        return node.type in self.enclosing or node.type in self.wrappers


@cache
def grammar(name: str) -> Grammar | None:
    """Return the grammar of a language, or None, with one warning in the log, where it cannot be had."""
    try:
        with _cache_folder():
            language = semble_grammars.get_language(name)
    except (
        semble_grammars.LanguageNotFoundError,
        semble_grammars.UnsupportedPlatformError,
        semble_grammars.GrammarLoadError,
        OSError,
    ) as error:
        log.warning("No grammar for %s, its files are split by lines: %s", name, error)
        return None
    kinds = _kinds(language)
    definitions = {kind for kind in kinds if _DEFINITION.search(kind) and not _NO_DEFINITION.search(kind)}
    entries = _ENTRY & kinds if name in _DATA_LANGUAGES else frozenset()
    return Grammar(
        language,
        frozenset(definitions | entries) - _WRAPPER,
        _WRAPPER & kinds,
        frozenset(kind for kind in kinds if _GLUE.search(kind)),
        _name_query(language, [*(f"({kind} name: (_) @name)" for kind in sorted(definitions)), *_NAMES.get(name, ())]),
    )


def parse(grammar: Grammar, source: bytes) -> Tree | None:
    """Return the syntax tree of UTF-8 source, or None where it is too large, too slow, or no such language."""
    if len(source) > LARGEST_TREE:
        return None
    deadline = time.monotonic() + PARSE_SECONDS

    def read(offset: int, _: Point) -> bytes:
        return source[offset : offset + CHUNK]

    def stop(*_: object) -> bool:
        return time.monotonic() > deadline

    try:
        tree = Parser(grammar.language).parse(read, progress_callback=stop)
    except ValueError:  # the parse was stopped
        return None
    return None if tree.root_node.type == "ERROR" else tree


def _kinds(language: Language) -> frozenset[str]:
    named = (i for i in range(language.node_kind_count) if language.node_kind_is_named(i))
    return frozenset(kind for i in named if (kind := language.node_kind_for_id(i)))


def _name_query(language: Language, patterns: list[str]) -> Query | None:
    """Return one query of those patterns that this grammar can match at all."""
    possible = []
    for pattern in patterns:
        try:
            Query(language, pattern)
        except QueryError:
            continue
        possible.append(pattern)
    return Query(language, "\n".join(possible)) if possible else None


_unpacking = threading.Lock()


@contextmanager
def _cache_folder() -> Iterator[None]:
    """Let semble-grammars unpack below lorebook's own cache, unless the person named a folder."""
    with _unpacking:
        if os.environ.get(CACHE_VARIABLE):
            yield
            return
        os.environ[CACHE_VARIABLE] = str(_own_folder())
        try:
            yield
        finally:
            del os.environ[CACHE_VARIABLE]


def _own_folder() -> Path:
    return find_home().cache / "grammars" / str(semble_grammars.__version__)
