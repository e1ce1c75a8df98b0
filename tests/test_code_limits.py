"""Limits of the package's code: lengths of files and functions, parameters, names at its root."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from helpers import ROOT

PACKAGE = ROOT / "pet_driver"
FILES = sorted(PACKAGE.rglob("*.py"))
LINES_OF_FILE, LINES_OF_FUNCTION, PARAMETERS = 320, 60, 7
AT_THE_ROOT = {"__init__.py", "errors.py", "units.py", "README.md", "py.typed"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, Function]]:
    """Every function and method of the package, with file and line."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def lines(function: Function) -> int:
    """From `def` to the end, with the docstring."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def parameters(function: Function) -> int:
    """All of them but self and cls."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args)]
    own = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return len(own) + len(given.kwonlyargs) + bool(given.vararg) + bool(given.kwarg)


def test_files_are_short() -> None:
    assert len(FILES) > 50
    counts = {path: len(path.read_text().splitlines()) for path in FILES}
    refuse(
        f"{path.relative_to(ROOT)} has {count} lines"
        for path, count in counts.items()
        if count > LINES_OF_FILE
    )


def test_functions_are_short() -> None:
    refuse(
        f"{where} has {lines(node)} lines"
        for where, node in functions()
        if lines(node) > LINES_OF_FUNCTION
    )


def test_functions_have_few_parameters() -> None:
    refuse(
        f"{where} has {parameters(node)} parameters"
        for where, node in functions()
        if parameters(node) > PARAMETERS
    )


def refuse(found: Iterable[str]) -> None:
    """Fail with all that was found."""
    listed = "\n".join(found)
    if listed:
        pytest.fail(listed, pytrace=False)


def test_root_of_the_package() -> None:
    """Only what every part of it uses; all else is in a folder with a name."""
    present = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert present == AT_THE_ROOT
    folders: list[Path] = [path for path in PACKAGE.iterdir() if path.is_dir()]
    assert all(
        (path / "__init__.py").is_file() or path.name in ("__pycache__", "models")
        for path in folders
    )
