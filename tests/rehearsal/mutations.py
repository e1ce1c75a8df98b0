"""Does the rehearsal notice a forgotten device?

Removes each ``device=...`` argument of the package in turn, in a copy of it, and runs the fast part
of the rehearsal there. Prints which removals were noticed, and by which test; one that was not
asks for a test, or for the removal of an argument that does nothing.

    python tests/rehearsal/mutations.py [--list] [--only N ...] [--jobs N]
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pet_driver", "tests", "lammps_examples", "pyproject.toml")
FIRST = ("test_devices", "test_budgets")  # they notice most
LEFT_OUT = ("test_ranks", "test_pretence", "test_gpu_benchmark")  # slow; not about the package
SLOW_CASES = "not little and not cuda:1"
LIMIT = 1800  # seconds of one run


@dataclass(frozen=True)
class Removal:
    """An argument that is removed.

    start, end: bytes of the file, the comma included; text: of the argument.
    """

    path: Path
    line: int
    start: int
    end: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} {self.text}"

    def apply(self, folder: Path) -> None:
        """Remove the argument in a copy of the repository."""
        content = self.path.read_bytes()
        (folder / self.path.relative_to(ROOT)).write_bytes(
            content[: self.start] + content[self.end :]
        )


def removals() -> Iterator[Removal]:
    """All ``device=...`` arguments of calls, in the order of files and lines."""
    for path in sorted((ROOT / "pet_driver").rglob("*.py")):
        content = path.read_bytes()
        starts = [0]
        for line in content.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        found = [
            keyword
            for node in ast.walk(ast.parse(content))
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg == "device"
        ]
        for keyword in sorted(found, key=lambda x: (x.lineno, x.col_offset)):
            assert keyword.end_lineno is not None
            assert keyword.end_col_offset is not None
            start = starts[keyword.lineno - 1] + keyword.col_offset
            end = starts[keyword.end_lineno - 1] + keyword.end_col_offset
            text = content[start:end].decode()
            yield Removal(path, keyword.lineno, *_with_comma(content, start, end), text)


def _with_comma(content: bytes, start: int, end: int) -> tuple[int, int]:
    """The same range with the comma after it, or else the one before it."""
    after = content[end:].lstrip()
    if after.startswith(b","):
        return start, len(content) - len(after) + 1
    before = content[:start].rstrip()
    return (len(before) - 1 if before.endswith(b",") else start), end


def outcome(removal: Removal | None) -> tuple[bool, str]:
    """Run the rehearsal without an argument.

    :return: whether a test failed, and the first that did or what else happened
    """
    with tempfile.TemporaryDirectory(prefix="mutation_") as name:
        folder = Path(name)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)
        if removal is not None:
            removal.apply(folder)
        here = folder / "tests" / "rehearsal"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "pretended_gpu"]
        command += ["-p", "no:cacheprovider", "-k", SLOW_CASES]
        command += [str(here / f"{test}.py") for test in _tests()]
        paths = os.pathsep.join([str(folder), str(here)])
        given = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        try:
            result = subprocess.run(
                command, cwd=folder, env=given, capture_output=True, text=True, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return True, f"no end within {LIMIT} s"
    lines = result.stdout.splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    last = (lines or result.stderr.splitlines() or [""])[-1]
    return result.returncode != 0, (failed or [last])[0]


def _tests() -> list[str]:
    """Names of the files of the fast part, in the order in which they run."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    return sorted(set(names) - set(LEFT_OUT), key=lambda name: (name not in FIRST, name))


def main() -> int:
    """Print the outcome of each removal; 1 if one was not noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the numbered arguments only")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="those of these numbers")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time")
    arguments = parser.parse_args()
    numbered = list(enumerate(removals()))
    if arguments.list:
        for number, removal in numbered:
            print(f"{number:3d} {removal}")
        return 0
    if arguments.only:
        numbered = [numbered[number] for number in arguments.only]
    else:
        failed, what = outcome(None)
        if failed:
            print(f"the rehearsal fails without any removal: {what}")
            return 2
    missed = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = pool.map(outcome, [removal for _, removal in numbered])
        for (number, removal), (noticed, what) in zip(numbered, results, strict=True):
            missed += not noticed
            print(
                f"{number:3d} {'noticed' if noticed else 'MISSED '} {removal}: {what}", flush=True
            )
    print(f"{len(numbered) - missed} of {len(numbered)} removals were noticed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
