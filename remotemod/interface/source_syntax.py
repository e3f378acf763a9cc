"""The one place that knows libcst: a file's bindings, classes and functions, read lazily from its tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import libcst as cst

from remotemod.interface.model import Kind

__all__ = [
    "Assigned",
    "Binding",
    "Class",
    "Function",
    "Import",
    "Names",
    "Parameter",
    "parse_names",
]

Code = Callable[[cst.CSTNode], str]


@dataclass(frozen=True, slots=True)
class Import:
    """``import module`` (``name`` None) or ``from module import name``; ``level`` counts the leading dots."""

    module: str
    name: str | None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Assigned:
    """``name: annotation = value``, ``name = value`` or ``type name = value``."""

    value: str | None
    annotation: str | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as written."""

    name: str
    kind: Kind
    annotation: str | None
    default: str | None


class _Definition:
    """What classes and functions share."""

    def __init__(self, node: cst.ClassDef | cst.FunctionDef, code: Code) -> None:
        self._node = node
        self._code = code
        self.name = node.name.value

    @cached_property
    def decorators(self) -> tuple[str, ...]:
        """The decorators' expressions, outermost first."""
        return tuple(self._code(d.decorator) for d in self._node.decorators)

    @cached_property
    def doc(self) -> str | None:
        """The docstring, cleaned of indentation."""
        return self._node.get_docstring(clean=True)

    @cached_property
    def names(self) -> Names:
        """What the body binds."""
        return _read_block(self._node.body.body, self._code)


class Class(_Definition):
    """A class statement."""

    _node: cst.ClassDef

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The base classes' expressions."""
        return tuple(self._code(base.value) for base in self._node.bases if not base.star)


class Function(_Definition):
    """A ``def`` statement."""

    _node: cst.FunctionDef

    @cached_property
    def returns(self) -> str | None:
        """The result's annotation."""
        returns = self._node.returns
        return self._code(returns.annotation) if returns is not None else None

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters in the order of ``inspect.signature``."""
        return tuple(self._parameters())

    def _parameters(self) -> Iterator[Parameter]:
        params = self._node.params
        for param in params.posonly_params:
            yield self._parameter(param, Kind.POSITIONAL_ONLY)
        for param in params.params:
            yield self._parameter(param, Kind.POSITIONAL_OR_KEYWORD)
        if isinstance(params.star_arg, cst.Param):
            yield self._parameter(params.star_arg, Kind.VAR_POSITIONAL)
        for param in params.kwonly_params:
            yield self._parameter(param, Kind.KEYWORD_ONLY)
        if params.star_kwarg is not None:
            yield self._parameter(params.star_kwarg, Kind.VAR_KEYWORD)

    def _parameter(self, param: cst.Param, kind: Kind) -> Parameter:
        hint = param.annotation
        return Parameter(
            param.name.value,
            kind,
            self._code(hint.annotation) if hint is not None else None,
            self._code(param.default) if param.default is not None else None,
        )


Binding = Import | Assigned | Class | Function


@dataclass(slots=True)
class Names:
    """What a block of statements binds.

    A later statement replaces an earlier one; the branches of one ``if`` or ``try`` stand beside
    each other, in order, and the first that can be resolved counts. So a class defined in ``try``
    wins over its fallback, and an import wins over its stand-in exactly where it can be found.
    """

    table: dict[str, tuple[Binding, ...]] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    exported: list[str] | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    """Values of ``name.attribute = value`` statements, by their dotted target."""

    def bind(self, name: str, binding: Binding) -> None:
        """Bind ``name`` anew."""
        self.table[name] = (binding,)

    def take(self, other: Names) -> None:
        """Let everything ``other`` binds replace what is bound here."""
        self.table.update(other.table)
        self._take_rest(other)

    def take_branches(self, branches: Sequence[Names]) -> None:
        """Bind what the branches of one statement bind, as alternatives; what was bound before comes last."""
        for name in dict.fromkeys(name for branch in branches for name in branch.table):
            found = [b for branch in branches for b in branch.table.get(name, ())]
            self.table[name] = (*found, *self.table.get(name, ()))
        for branch in branches:
            self._take_rest(branch)

    def _take_rest(self, other: Names) -> None:
        self.stars += other.stars
        self.attributes.update(other.attributes)
        if other.exported is not None:
            self.exported = [*(self.exported or ()), *other.exported]


def parse_names(source: str) -> Names:
    """The names a module's text binds; raises ``libcst.ParserSyntaxError``."""
    module = cst.parse_module(source)
    return _read_block(module.body, module.code_for_node)


def _read_block(statements: Sequence[cst.CSTNode], code: Code) -> Names:
    names = Names()
    for statement in statements:
        _read_statement(statement, names, code)
    return names


def _read_statement(node: cst.CSTNode, names: Names, code: Code) -> None:
    match node:
        case cst.ClassDef():
            names.bind(node.name.value, Class(node, code))
        case cst.FunctionDef():
            names.bind(node.name.value, Function(node, code))
        case cst.SimpleStatementLine():
            for small in node.body:
                _read_small(small, names, code)
        case cst.With() | cst.For() | cst.While():
            names.take(_read_block(node.body.body, code))
        case cst.If() | cst.Try() | cst.TryStar():
            names.take_branches([_read_block(b.body, code) for b in _branches(node)])


def _branches(node: cst.If | cst.Try | cst.TryStar) -> Iterator[cst.BaseSuite]:
    """The bodies of which one runs; for ``if False`` and ``if TYPE_CHECKING`` alike all count."""
    yield node.body
    if isinstance(node, cst.If):
        if isinstance(node.orelse, cst.If):
            yield from _branches(node.orelse)
        elif node.orelse is not None:
            yield node.orelse.body
        return
    yield from (handler.body for handler in node.handlers)
    if node.orelse is not None:
        yield node.orelse.body


def _read_small(node: cst.BaseSmallStatement, names: Names, code: Code) -> None:
    match node:
        case cst.Import():
            for alias in node.names:
                path = code(alias.name)
                bound = alias.evaluated_alias
                names.bind(
                    bound or path.split(".")[0], Import(path if bound else path.split(".")[0], None)
                )
        case cst.ImportFrom():
            _read_import_from(node, names, code)
        case cst.Assign():
            for target in node.targets:
                _assign(target.target, code(node.value), None, names, code)
        case cst.AnnAssign():
            value = code(node.value) if node.value is not None else None
            _assign(node.target, value, code(node.annotation.annotation), names, code)
        case cst.AugAssign(target=cst.Name("__all__")):
            names.exported = [*(names.exported or ()), *_strings(code(node.value))]
        case cst.TypeAlias():
            names.bind(node.name.value, Assigned(code(node.value)))
        case cst.Del(target=cst.Name(name)):
            names.table.pop(name, None)


def _read_import_from(node: cst.ImportFrom, names: Names, code: Code) -> None:
    module = code(node.module) if node.module is not None else ""
    level = len(node.relative)
    if isinstance(node.names, cst.ImportStar):
        names.stars.append(Import(module, None, level))
        return
    for alias in node.names:
        name = code(alias.name)
        names.bind(alias.evaluated_alias or name, Import(module, name, level))


def _assign(
    target: cst.BaseExpression, value: str | None, annotation: str | None, names: Names, code: Code
) -> None:
    match target:
        case cst.Name(name):
            if value is None and name in names.table:
                return
            names.bind(name, Assigned(value, annotation))
            if name == "__all__" and value is not None:
                names.exported = _strings(value)
        case cst.Attribute() if value is not None:
            names.attributes[code(target)] = value


def _strings(text: str) -> list[str]:
    """The strings of a literal list; nothing where it is computed."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return (
        [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
    )
