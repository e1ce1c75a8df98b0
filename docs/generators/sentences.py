"""What a piece of code can say: texts of expressions, with what varies shown as <name>."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_DEEPEST = 6  # functions that call functions
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """A file of the package.

    :param name: path relative to the package
    :param parents: node: the node around it
    """

    name: str
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, package: Path) -> Module:
        """Parse a file."""
        found = cls(str(path.relative_to(package)), ast.parse(path.read_text()))
        for node in ast.walk(found.tree):
            found.parents.update((child, node) for child in ast.iter_child_nodes(node))
            if isinstance(node, Function):
                found.functions[node.name] = node
        for statement in found.tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                found.constants[statement.targets[0].id] = statement.value
        return found

    def around(self, node: ast.AST) -> ast.AST:
        """Function around a node, or the module."""
        while node in self.parents and not isinstance(node, Function):
            node = self.parents[node]
        return node


class Texts:
    """Texts that expressions of a package can have."""

    def __init__(self, modules: list[Module]) -> None:
        self._functions: dict[str, tuple[Function, Module]] = {}
        for module in modules:
            for name, function in module.functions.items():
                self._functions.setdefault(name, (function, module))

    def of(self, node: ast.expr, module: Module, depth: int = 0) -> list[str]:
        """All texts of an expression, none if they come from elsewhere."""
        if depth > _DEEPEST:
            return []
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=values):
                parts = [self._part(value, module, depth) for value in values]
                return ["".join(words) for words in itertools.product(*parts)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                sides = (self.of(side, module, depth) or [hole(side)] for side in (left, right))
                return ["".join(words) for words in itertools.product(*sides)]
            case ast.IfExp(body=body, orelse=other):
                return self.of(body, module, depth) + self.of(other, module, depth)
            case ast.BoolOp(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
                return list(itertools.chain(*(self.of(value, module, depth) for value in values)))
            case ast.Name(id=name):
                return self._of_name(name, node, module, depth)
            case ast.Call():
                return self._of_call(node, module, depth)
            case ast.ListComp(elt=element):
                return self.of(element, module, depth)
        return []

    def _part(self, value: ast.expr, module: Module, depth: int) -> list[str]:
        """Texts of a part of an f-string."""
        if not isinstance(value, ast.FormattedValue):
            return self.of(value, module, depth)
        inner = value.value
        if isinstance(inner, ast.IfExp | ast.JoinedStr):
            return self.of(inner, module, depth) or [hole(inner)]
        if isinstance(inner, ast.Name | ast.Call):
            # Only whole phrases: what is a name, a number or a word stays a hole.
            texts = self.of(inner, module, depth + 1)
            if texts and all(" " in text.strip() or not text for text in texts):
                return texts
        return [hole(inner)]

    def _of_name(self, name: str, node: ast.expr, module: Module, depth: int) -> list[str]:
        """Texts of a variable: of all that the function around assigns to it."""
        found: list[str] = []
        for inner in ast.walk(module.around(node)):
            target: ast.expr | None = None
            match inner:
                case ast.Assign(targets=[ast.Name(id=found_name)], value=target):
                    pass
                case ast.For(target=ast.Name(id=found_name), iter=target):
                    pass
                case ast.comprehension(target=ast.Name(id=found_name), iter=target):
                    pass
            if target is not None and found_name == name:
                found += self.of(target, module, depth + 1)
        if not found and name in module.constants:
            found = self.of(module.constants[name], module, depth + 1)
        return list(dict.fromkeys(found))

    def _of_call(self, call: ast.Call, module: Module, depth: int) -> list[str]:
        """Texts that a function of the package returns."""
        name = last_name(call.func)
        if name == "unknown":  # of evaluation/option.py: its second half is always the same
            return [f"{text}; known are <names>" for text in self.of(call.args[0], module, depth)]
        if name not in self._functions:
            return []
        function, home = self._functions[name]
        texts: list[str] = []
        for value in _returned(function):
            texts += self.of(value, home, depth + 1)
        return [text for text in dict.fromkeys(texts) if text]


def _returned(function: Function) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value


def last_name(node: ast.expr) -> str:
    """Last part of a dotted name; empty for other expressions."""
    return getattr(node, "attr", getattr(node, "id", ""))


def hole(node: ast.expr) -> str:
    """How a part that varies is shown: <name>."""
    return f"<{_name(node)}>"


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").replace("_", " ")
        case ast.Constant(value=value):
            return str(value)
        case ast.Call(func=ast.Attribute(attr="join"), args=[inner]):
            return _name(inner)
        case ast.Call(func=ast.Name(id="len"), args=[inner]):
            return f"number of {_name(inner)}"
        case ast.Call(func=ast.Name(id="map"), args=[_, inner]):
            return _name(inner)
        case ast.Call(func=ast.Name(id=name), args=[inner, *_]) if name not in ("max", "min"):
            return _name(inner)
        case ast.Call(func=ast.Attribute(value=inner, attr=name), args=arguments):
            of_argument = name[:1] == "_" or last_name(inner) in ("np", "torch", "self")
            return _name(arguments[0] if arguments and of_argument else inner)
        case ast.Subscript(value=inner) | ast.Starred(value=inner):
            return _name(inner)
        case ast.GeneratorExp(elt=inner) | ast.ListComp(elt=inner) | ast.SetComp(elt=inner):
            return _name(inner)
        case ast.JoinedStr(values=values):
            named = [v.value for v in values if isinstance(v, ast.FormattedValue)]
            return _name(named[0]) if named else "text"
        case ast.BinOp(left=left, right=right):
            return _name(right if isinstance(left, ast.Constant) else left)
    return re.sub(r"\W+", " ", ast.unparse(node)).strip()[:24] or "value"
