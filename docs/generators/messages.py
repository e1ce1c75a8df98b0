"""Every sentence that the program can say to a user, with its remedy, from its code."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pet_driver
from pet_driver.evaluation.options import OPTIONS

from .sentences import Module, Texts, last_name
from .writing import Writer, plain, with_code

PACKAGE = Path(pet_driver.__file__).parent
# Errors whose text a user reads; others are programming errors.
ERRORS = (
    *("PetDriverError", "ServerGoneError", "ValueError", "TypeError", "RuntimeError"),
    *("NotImplementedError", "UnpicklingError"),
)
_TITLES = {
    "cli": "Commands",
    "evaluation": "Options, scopes and evaluation",
    "files": "Model files and conversion",
    "engines": "ASE, TorchSim and ranks",
    "engines/lammps": "LAMMPS",
    "engines/ipi": "i-PI",
    "engines/mdi": "MDI",
    "engines/openmm": "OpenMM",
    "training": "Training",
    "distillation": "Exact symmetry without labels (symmetrize)",
    "diagnosis": "Diagnosis (doctor)",
    "graph": "Structures",
    "parallel": "MPI",
    "runtime": "Devices and memory",
    "model": "Hyperparameters",
    "frames": "Constants of the frames",
}


@dataclass(frozen=True)
class Sentence:
    """One thing that the program can say, and the line of code that says it.

    :param texts: with what varies as <name>; several where a part has several forms
    :param kind: error, warning, finding, or line (of a driver)
    """

    texts: tuple[str, ...]
    kind: str
    module: str
    line: int


def make(writer: Writer) -> None:
    """Write the part with all sentences."""
    found, lines = sentences(), []
    rooms = list(dict.fromkeys(room_of(one.module) for one in found))
    for room in sorted(rooms, key=lambda name: [*_TITLES, *rooms].index(name)):
        lines += [f"## {_TITLES.get(room, room.rpartition('/')[2])}", ""]
        for one in found:
            if room_of(one.module) == room:
                lines += _shown(one)
    writer.text("parts/messages.md", lines)


def room_of(module: str) -> str:
    """Part of the package that a module is in, as in `_TITLES`."""
    parts = module.split("/")[:-1]
    return "/".join(parts[: 2 if parts[:1] == ["engines"] else 1])


def sentences() -> list[Sentence]:
    """All of them, in the order of the files.

    :raises ValueError: if the text of one cannot be found in the code
    """
    modules = [Module.read(path, PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    texts, found = Texts(modules), []
    for module in modules:
        for node in sorted(sites(module.tree), key=lambda call: call.lineno):
            expression = text_of(node)
            said = (
                tuple(filter(None, dict.fromkeys(texts.of(expression, module))))
                if expression
                else ()
            )
            said = tuple(filter(says_something, said))
            said = _special(module.name, node, said)
            if said:
                found.append(Sentence(said, kind_of(node), module.name, node.lineno))
            elif not _passes_on(module, node):
                where = f"{module.name}:{node.lineno}"
                raise ValueError(
                    f"{where}: no text found for {ast.unparse(node)}; write it where it is raised"
                )
    return found


def sites(tree: ast.AST) -> list[ast.Call]:
    """Calls that make a sentence for a user."""
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and kind_of(node) is not None
    ]


def kind_of(call: ast.Call) -> str | None:
    """What a call makes; None: nothing that a user reads."""
    name = last_name(call.func)
    if name in ERRORS and call.args:
        return "error"
    if name == "warn" and call.args:
        return "warning"
    if name == "Finding" and text_of(call) is not None:
        return "finding"
    if name == "abort" and len(call.args) > 1:
        return "error"
    if name == "_print" and len(call.args) == 1:
        return "line"
    return None


def text_of(call: ast.Call) -> ast.expr | None:
    """The argument of a call that holds the sentence."""
    if last_name(call.func) != "Finding":
        return call.args[last_name(call.func) == "abort"]
    named = [word.value for word in call.keywords if word.arg == "problem"]
    return named[0] if named else next(iter(call.args[2:]), None)


def _special(module: str, call: ast.Call, said: tuple[str, ...]) -> tuple[str, ...]:
    """Sentences of options in full: their remedies are fields of `Option`."""
    if module == "evaluation/option.py" and kind_of(call) == "error" and said:
        return tuple(f"{name} is <given>; {option.remedy}" for name, option in OPTIONS.items())
    return said


def _passes_on(module: Module, call: ast.Call) -> bool:
    """Whether a call only hands on what was said elsewhere, or is caught where options are read."""
    given = text_of(call)
    if (
        kind_of(call) == "line"
        or module.name == "evaluation/option.py"
        or ast.unparse(call) == "ValueError(given)"
    ):
        return True
    function = module.around(call)
    names = {word.arg for word in getattr(getattr(function, "args", None), "args", [])}
    names |= {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)}
    used = {node.id for node in ast.walk(given) if isinstance(node, ast.Name)} if given else set()
    return bool(names & used) or given is None or isinstance(given, ast.IfExp | ast.JoinedStr)


def says_something(text: str) -> bool:
    """Whether a text has words of its own, not only what was said elsewhere."""
    return len(re.sub(r"<[^>]*>|\W", "", text)) > 1


def split(text: str) -> tuple[str, str]:
    """What is wrong, and the remedy: the house's sentences have a semicolon between them."""
    wrong, mark, remedy = text.rpartition("; ")
    return (wrong, remedy) if mark else (text, "")


def _shown(one: Sentence) -> list[str]:
    """An entry of the list: term, remedy, and where it is said."""
    lines = []
    for text in one.texts:
        wrong, remedy = split(text)
        lines += [with_code(" ".join(wrong.split()))]
        told = f"{remedy[:1].upper()}{remedy[1:]}." if remedy else _without_remedy(one, text)
        where = f"{one.kind}, {one.module}:{one.line}"
        lines += [f": {with_code(told)} *({plain(where)})*", ""]
    return lines


_GENERAL = {
    "error": "The sentence says what is wrong; change the input accordingly.",
    "warning": "The run goes on; the sentence says what to expect of its results.",
    "finding": "The line says what does not work.",
    "line": "A line of the driver about what it does.",
}
# Parts of the package whose short sentences stand in others, or show a mistake of the program.
_INNER = ("files", "graph", "parallel", "model")
_RULES = ("must", "needed", "give ")


def _without_remedy(one: Sentence, text: str) -> str:
    """Advice where a sentence has no second half."""
    if re.search(r"<(?:error|sentence|message|failures)>", text):
        return "What stands in the brackets is a sentence of its own, which says more."
    inner = one.kind == "error" and room_of(one.module) in _INNER
    if inner and not any(word in text for word in _RULES):
        return "Part of another sentence; if it stands alone, please report it with the input."
    return _GENERAL[one.kind]
