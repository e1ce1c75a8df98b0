"""The page of messages has every sentence of the program."""

from __future__ import annotations

import ast

import pytest

pytest.importorskip("matplotlib")

from generators import messages
from generators.sentences import Module, Texts

from helpers import ROOT

PACKAGE = ROOT / "pet_driver"


def raised(tree: ast.AST) -> set[int]:
    """Lines at which our error is made with a text; counted without the generator's help."""
    return {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "PetDriverError"
        and node.args
    }


def test_no_sentence_is_missing():
    listed = {(one.module, one.line) for one in messages.sentences()}
    count = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        for line in raised(ast.parse(path.read_text())):
            assert (name, line) in listed, f"{name}:{line} is not on the page"
            count += 1
    assert count > 200
    assert len(listed) >= count


def test_sentences_have_no_holes_without_names():
    for one in messages.sentences():
        for text in one.texts:
            assert text.strip()
            assert "<>" not in text


def test_texts_are_followed_through_functions_and_variables(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(
        "ADVICE = 'try again'\n"
        "def reason(path):\n"
        "    if path:\n"
        "        return f'{path.name} is odd'\n"
        "    return 'nothing is there'\n"
        "def f(path, n):\n"
        "    why = reason(path)\n"
        "    raise PetDriverError(f'{why}, {len(n)} times; ' + ADVICE)\n"
    )
    module = Module.read(path, tmp_path)
    (call,) = messages.sites(module.tree)
    assert set(Texts([module]).of(call.args[0], module)) == {
        "<name> is odd, <number of n> times; try again",
        "nothing is there, <number of n> times; try again",
    }


def test_remedies_stand_behind_the_semicolon():
    assert messages.split("a is 1; give 2") == ("a is 1", "give 2")
    assert messages.split("a is 1") == ("a is 1", "")
