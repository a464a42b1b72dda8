"""The names that a notebook's cell defines, and those it takes from elsewhere."""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_MAGIC = re.compile(r"^(\s*)(?:%|!|\?|[\w.]+\?{1,2}\s*$)")
_ASSIGNED_MAGIC = re.compile(r"^(\s*\w[\w, ]*=\s*)[!%].*$")
_BUILTINS = frozenset(dir(builtins)) | {"get_ipython", "display", "__file__", "__name__"}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Scope:
    """What is loaded and what is stored in one scope."""

    loaded: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)


def names(source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the cell's Python defines and what it uses from elsewhere, each sorted.

    IPython's `%`, `!` and `?` lines are left out. A name that the cell both takes and sets again (`df = df.dropna()`)
    is in both. Both are empty where the source does not parse.
    """
    try:
        defines: set[str] = set()
        uses: set[str] = set()
        for step in _steps(parsed(source)):
            scope = _scope([step])
            own = {step.name} if isinstance(step, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else set()
            uses |= scope.loaded - defines - _BUILTINS - own
            defines |= scope.stored
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (), ()
    return tuple(sorted(defines)), tuple(sorted(uses))


def parsed(source: str) -> list[ast.stmt]:
    """Return the statements of a cell, IPython's own lines left out; raises what `ast.parse` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cell's own escapes and comparisons
        return ast.parse(_without_magics(source)).body


def _steps(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """Yield what runs one after the other: of a loop or a condition first its head, then its body."""
    for statement in body:
        match statement:
            case ast.For() | ast.AsyncFor():
                yield from (statement.iter, statement.target, *_steps(statement.body), *_steps(statement.orelse))
            case ast.While() | ast.If():
                yield from (statement.test, *_steps(statement.body), *_steps(statement.orelse))
            case ast.With() | ast.AsyncWith():
                yield from (*statement.items, *_steps(statement.body))
            case _:
                yield statement


def _without_magics(source: str) -> str:
    return "\n".join(_ASSIGNED_MAGIC.sub(r"\1None", _code_line(line)) for line in source.split("\n"))


def _code_line(line: str) -> str:
    magic = _MAGIC.match(line)
    return f"{magic[1]}pass" if magic else line


def _scope(nodes: Iterable[ast.AST]) -> Scope:
    scope = Scope()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        match node:
            case ast.Name():
                (scope.loaded if isinstance(node.ctx, ast.Load) else scope.stored).add(node.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                pending += _function(node, scope)
            case ast.ClassDef():
                scope.stored.add(node.name)
                _nested(_scope(node.body), scope)
                pending += [*node.bases, *node.keywords, *node.decorator_list]
            case ast.Import() | ast.ImportFrom():
                scope.stored |= {alias.asname or alias.name.partition(".")[0] for alias in node.names} - {"*"}
            case _:
                pending += _other(node, scope)
    return scope


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> list[ast.AST]:
    """Take a function into its scope; return what of it is evaluated outside: defaults, decorators, annotations."""
    arguments = [one for one in ast.walk(node.args) if isinstance(one, ast.arg)]
    inner = _scope([node.body] if isinstance(node, ast.Lambda) else node.body)
    inner.stored |= {argument.arg for argument in arguments}
    _nested(inner, scope)
    outside: list[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
    outside += [argument.annotation for argument in arguments]
    if not isinstance(node, ast.Lambda):
        scope.stored.add(node.name)
        outside += [*node.decorator_list, node.returns]
    return [one for one in outside if one is not None]


def _other(node: ast.AST, scope: Scope) -> list[ast.AST]:
    if isinstance(node, _COMPREHENSIONS):
        _nested(_scope(ast.iter_child_nodes(node)), scope)
        return []
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        scope.loaded.add(node.target.id)
    if isinstance(node, ast.ExceptHandler) and node.name:
        scope.stored.add(node.name)
    return list(ast.iter_child_nodes(node))


def _nested(inner: Scope, scope: Scope) -> None:
    scope.loaded |= inner.loaded - inner.stored
