"""Count modules, folders, imports, long files and functions, and missing docstrings of packages.

python benchmarks/structure.py FOLDER [FOLDER ...] [--names NAME ...] [--package pet_driver]

FOLDER is a checkout that contains the package, or the package itself. Prints a table with a column
for each folder and writes benchmarks/results/structure.json, which also lists what was counted.

How it is counted:

* A room is a folder directly below the package, with everything in it, or a module at its root.
* An import is any import statement of a module of the same package, also inside of functions and
  under TYPE_CHECKING. Importing a name from a folder counts as an import of its ``__init__.py``,
  unless the name is a module of the folder. The ``__init__.py`` of the package itself is no room.
* Layers: rooms that import each other, directly or through others, are collapsed into one node;
  layers are the number of nodes in the longest chain of imports between nodes.
* Lines of a function: from ``def`` to its last line. Parameters: all but ``self`` and ``cls``.
* Public: no name on the way from the module to the function or class begins with an underscore;
  functions inside of functions are not public. ``__init__`` and other special methods, overloads
  and setters need no docstring.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results_file import write_results

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 7
Graph = dict[str, set[str]]
Imports = dict[tuple[str, ...], set[tuple[str, ...]]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file: path relative to the package, without ending; its tree; lines.

    The ``__init__`` of a folder is named as the folder; that of the package has an empty name.
    """

    name: tuple[str, ...]
    path: str
    tree: ast.Module
    n_lines: int
    is_init: bool

    @property
    def room(self) -> str:
        """First folder, or name of a module at the root; empty for the package itself."""
        return self.name[0] if self.name else ""


@dataclass(frozen=True)
class Definition:
    """A function or class with its name within the package."""

    name: str
    node: Function | ast.ClassDef
    public: bool
    in_class: bool


def main() -> None:
    """Count each folder, print a table and write the JSON file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="titles (default: folder names)")
    parser.add_argument("--package", default="pet_driver", help="name (default: pet_driver)")
    options = parser.parse_args()
    names = options.names or [folder.resolve().name for folder in options.folders]
    if len(set(names)) != len(options.folders):
        parser.error("give one distinct name for each folder with --names")
    trees = {}
    for name, folder in zip(names, options.folders, strict=True):
        root = folder / options.package if (folder / options.package).is_dir() else folder
        if not (root / "__init__.py").exists():
            parser.error(f"{folder} has no package {options.package}; give a checkout")
        trees[name] = {"commit": commit_of(folder), **count(read_modules(root), options.package)}
    print_table(trees)
    path = write_results("structure", {"trees": trees}, hardware=False)
    print(f"\nwritten: {path}")


# -- reading --


def read_modules(root: Path) -> list[Module]:
    """All Python files below the root of a package."""
    modules = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        name = relative.with_suffix("").parts
        is_init = name[-1] == "__init__"
        text = path.read_text()
        modules.append(
            Module(
                name[:-1] if is_init else name,
                relative.as_posix(),
                ast.parse(text),
                len(text.splitlines()),
                is_init,
            )
        )
    return modules


def commit_of(folder: Path) -> str | None:
    """Commit of a checkout; None if it is not the root of a git repository."""
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


# -- counting --


def count(modules: list[Module], package: str) -> dict[str, Any]:
    """All figures of one package; lists name what the figures count."""
    imports = module_imports(modules, package)
    rooms = room_imports(imports)
    chain, circles = longest_chain(rooms)
    lengths: dict[str, int] = {}
    parameters: dict[str, int] = {}
    undocumented = []
    for item in (item for module in modules for item in definitions(module)):
        if isinstance(item.node, Function):
            lengths[item.name] = (item.node.end_lineno or item.node.lineno) - item.node.lineno + 1
            parameters[item.name] = n_parameters(item.node, item.in_class)
        if item.public and needs_docstring(item.node) and not ast.get_docstring(item.node):
            undocumented.append(item.name)
    at_root = [m.path for m in modules if "/" not in m.path and not m.is_init]
    folders = {m.path.rpartition("/")[0] for m in modules} - {""}
    return {
        "modules": len(modules),
        "lines": sum(m.n_lines for m in modules),
        "modules_at_root": at_root,
        "folders": sorted(folders),
        "rooms": len(rooms),
        "layers": len(chain),
        "longest_chain": chain,
        "circles": circles,
        "imports_between_rooms": sum(map(len, rooms.values())),
        "imports_between_modules": sum(map(len, imports.values())),
        "long_files": {m.path: m.n_lines for m in modules if m.n_lines > MAX_FILE_LINES},
        "long_functions": {k: n for k, n in lengths.items() if n > MAX_FUNCTION_LINES},
        "many_parameters": {k: n for k, n in parameters.items() if n > MAX_PARAMETERS},
        "public_without_docstring": undocumented,
    }


def module_imports(modules: list[Module], package: str) -> Imports:
    """Names of the modules of the package that each module imports."""
    known = {module.name for module in modules}
    found: Imports = {module.name: set() for module in modules}
    for module in modules:
        for node in ast.walk(module.tree):
            for target in targets(node, module, package):
                # The longest part of the dotted name that is a module: the rest is a name in it.
                while target and target not in known:
                    target = target[:-1]
                found[module.name].add(target)
        found[module.name] -= {module.name}
    return found


def targets(node: ast.AST, module: Module, package: str) -> Iterator[tuple[str, ...]]:
    """Dotted names below the package that an import statement asks for; others are left out."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            parts = tuple(alias.name.split("."))
            if parts[0] == package:
                yield parts[1:]
    elif isinstance(node, ast.ImportFrom):
        parts = tuple(node.module.split(".")) if node.module else ()
        if node.level:
            home = module.name if module.is_init else module.name[:-1]
            base = home[: len(home) - (node.level - 1)] + parts
        elif parts and parts[0] == package:
            base = parts[1:]
        else:
            return
        for alias in node.names:
            yield (*base, alias.name)


def room_imports(imports: Imports) -> Graph:
    """Imports between rooms; the ``__init__`` of the package, which offers names, is left out."""
    graph: Graph = {name[0]: set() for name in imports if name}
    for name, found in imports.items():
        if name:
            graph[name[0]] |= {target[0] for target in found if target} - {name[0]}
    return graph


def longest_chain(graph: Graph) -> tuple[list[str], list[list[str]]]:
    """Longest chain of imports after circles are collapsed, and the circles.

    :return: nodes of the chain from the importing to the imported, those of a circle joined by
        " + "; circles with their members
    """
    reached = {node: reachable(graph, node) for node in graph}
    group = {a: frozenset({a} | {b for b in reached[a] if a in reached[b]}) for a in graph}
    chains: dict[frozenset[str], list[frozenset[str]]] = {}
    # A group is handled after all that it reaches: what it imports reaches fewer nodes.
    for node in sorted(graph, key=lambda n: len(reached[n] | group[n])):
        below = [
            chains[group[b]]
            for a in sorted(group[node])
            for b in sorted(graph[a])
            if group[b] != group[node]
        ]
        chains[group[node]] = [group[node], *max(below, key=len, default=[])]
    longest = max(chains.values(), key=len, default=[])
    circles = sorted(sorted(members) for members in chains if len(members) > 1)
    return [" + ".join(sorted(members)) for members in longest], circles


def reachable(graph: Graph, start: str) -> set[str]:
    """All nodes that the start imports, directly or through others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph[waiting.pop()] - found:
            found.add(node)
            waiting.append(node)
    return found


# -- functions and classes --


def definitions(module: Module) -> Iterator[Definition]:
    """All functions and classes of a module, nested ones included."""
    public = not any(part.startswith("_") for part in module.name)

    def walk(parent: ast.AST, prefix: str, public: bool, in_class: bool) -> Iterator[Definition]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, Function | ast.ClassDef):
                name = f"{prefix}{node.name}"
                shown = public and (not node.name.startswith("_") or is_special(node.name))
                yield Definition(name, node, shown, in_class)
                is_class = isinstance(node, ast.ClassDef)
                yield from walk(node, f"{name}.", shown and is_class, is_class)
            else:
                yield from walk(node, prefix, public, in_class)

    return walk(module.tree, f"{module.path}:", public, False)


def is_special(name: str) -> bool:
    """Whether a name has the form ``__name__``."""
    return name.startswith("__") and name.endswith("__")


def needs_docstring(node: Function | ast.ClassDef) -> bool:
    """Whether a public function or class should have one."""
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
    return not is_special(node.name) and not marks & {"overload", "setter", "deleter"}


def n_parameters(function: Function, in_class: bool) -> int:
    """Parameters of a function, ``self`` and ``cls`` not counted."""
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a]
    own = in_class and names[:1] in (["self"], ["cls"])
    return len(names) - own


# -- table --


def print_table(trees: dict[str, dict[str, Any]]) -> None:
    """One column for each tree; lists are shown by their length."""
    rows = {
        "modules": "modules",
        "lines": "lines",
        "modules_at_root": "modules at the root",
        "folders": "folders",
        "rooms": "rooms (folders and modules at the root)",
        "layers": "layers of rooms (longest chain)",
        "circles": "circles of rooms",
        "imports_between_rooms": "imports between rooms",
        "imports_between_modules": "imports between modules",
        "long_files": f"files over {MAX_FILE_LINES} lines",
        "long_functions": f"functions over {MAX_FUNCTION_LINES} lines",
        "many_parameters": f"functions with more than {MAX_PARAMETERS} parameters",
        "public_without_docstring": "public functions and classes without docstring",
    }
    print(f"{'':46s}" + "".join(f"{name:>16s}" for name in trees))
    for key, title in rows.items():
        values = [tree[key] for tree in trees.values()]
        numbers = [value if isinstance(value, int) else len(value) for value in values]
        print(f"{title:46s}" + "".join(f"{number:16d}" for number in numbers))
    for name, tree in trees.items():
        print(f"\n{name}: {' > '.join(tree['longest_chain'])}")


if __name__ == "__main__":
    main()
