"""Runs a LAMMPS input script command by command, so that `pair_style pet` can stand in it.

LAMMPS itself executes every command and expands every variable; only the commands that move the
position in the script (`include`, `jump`, `label`, `next`, `if`, `quit`) and `pair_style pet` with
its `pair_coeff` are handled here.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

    from .lammps_pair import PetPair

_RUNS = ("run", "minimize", "rerun", "neb", "prd", "tad", "temper", "temper/npt", "hyper")
_JUMP_VARIABLE = "pet_lmp_jump"


@dataclass
class _Position:
    """Where the interpreter stands: the lines of a file and the next to execute."""

    name: str
    lines: list[str]
    next: int = 0


class Script:
    """Interpreter of one input script.

    :param lmp: a LAMMPS instance
    :param comm: its communicator; its first rank reads the files
    """

    def __init__(self, lmp: lammps, comm: MPI.Comm) -> None:
        self.lmp, self.comm = lmp, comm
        self.pair: PetPair | None = None
        self._skip_jump = False
        self._quit: int | None = None
        self._handlers = {
            "include": self._include,
            "jump": self._jump_command,
            "label": lambda _: None,
            "next": self._next,
            "if": self._if,
            "quit": self._quit_command,
            "pair_style": self._pair_style,
            "pair_coeff": self._pair_coeff,
        }
        self._stack: list[_Position] = []
        self._text = ""

    def run(self, path: str) -> int:
        """Execute a file; returns the status given to `quit`, 0 without one.

        :raises PetDriverError: if the script or the model is at fault
        """
        self._include([path])
        return self._quit or 0

    # -- reading --

    def _include(self, words: list[str]) -> None:
        self._stack.append(_Position(words[0], self._read(words[0])))
        here = self._stack[-1]
        while here.next < len(here.lines) and self._quit is None:
            line = here.lines[here.next]
            here.next += 1
            self._execute(line)
        self._stack.pop()

    def _read(self, name: str) -> list[str]:
        text = None
        if self.comm.rank == 0:
            try:
                text = Path(name).read_text()
            except (OSError, UnicodeDecodeError) as error:
                text = error
        text = self.comm.bcast(text, root=0)
        if isinstance(text, Exception):
            raise PetDriverError(f"the input script {name} cannot be read ({text}); check its path")
        return join_lines(text)

    # -- executing --

    def _execute(self, line: str) -> None:
        words = split_words(line)
        if not words:
            return
        self._text = line
        handler = self._handlers.get(words[0])
        if handler is None:
            if words[0] in _RUNS and self.pair is not None and self.pair.kinds is None:
                raise PetDriverError(
                    f"`{words[0]}` comes before the atom types have elements; "
                    "add `pair_coeff * * EL1 EL2 ...` after `pair_style pet`"
                )
            self._lammps(line)
            return
        handler([self._expand(word) for word in words[1:]])

    def _lammps(self, line: str) -> None:
        self.lmp.command(line)
        if self.pair is not None and self.pair.error is not None:
            raise self.pair.error

    def _expand(self, word: str) -> str:
        return self.lmp.expand(word) if "$" in word else word

    # -- commands that move the position --

    def _jump_command(self, words: list[str]) -> None:
        if self._skip_jump:
            self._skip_jump = False
            return
        here = self._stack[-1]
        if words[0] != "SELF":
            here.name, here.lines = words[0], self._read(words[0])
        here.next = 0
        if len(words) > 1:
            here.next = self._find_label(here, words[1])

    @staticmethod
    def _find_label(position: _Position, label: str) -> int:
        for number, line in enumerate(position.lines):
            if split_words(line)[:2] == ["label", label]:
                return number + 1
        raise PetDriverError(f"{position.name} has no `label {label}` to jump to; add it")

    def _next(self, words: list[str]) -> None:
        self._lammps(self._text)
        # An exhausted variable is deleted by LAMMPS, and the jump that follows is passed over.
        self._skip_jump = not self.lmp.has_id("variable", words[0])

    def _if(self, _words: list[str]) -> None:
        # LAMMPS decides which branch holds; jumps inside it are noted in a variable and carried out
        # here.
        noted = re.sub(
            r"(?<=[\"'])\s*jump\s+([^\"']+)", rf"variable {_JUMP_VARIABLE} string '\1'", self._text
        )
        self._lammps(noted)
        if self.lmp.has_id("variable", _JUMP_VARIABLE):
            target = self.lmp.extract_variable(_JUMP_VARIABLE)
            self.lmp.command(f"variable {_JUMP_VARIABLE} delete")
            self._jump_command(target.split())

    def _quit_command(self, words: list[str]) -> None:
        self._quit = int(words[0]) if words else 0

    # -- the potential --

    def _pair_style(self, words: list[str]) -> None:
        from ..ranks import agree

        if self.pair is not None:
            self.pair.detach()
            self.pair = None
        if words[0] != "pet":
            self._lammps(self._text)
            return
        from .lammps_pair import PetPair

        error = None
        try:
            self.pair = PetPair(self.lmp, self.comm, words[1:])
        except PetDriverError as caught:
            error = caught
        agree(self.comm, error)

    def _pair_coeff(self, words: list[str]) -> None:
        if self.pair is None:
            self._lammps(self._text)
        else:
            self.pair.set_coefficients(words)


def join_lines(text: str) -> list[str]:
    """Commands of a script, one each: lines ended by ``&`` and triple-quoted blocks are joined."""
    commands: list[str] = []
    pending = ""
    for line in text.splitlines():
        pending += line
        if pending.count('"""') % 2:
            pending += "\n"
        elif pending.rstrip().endswith("&"):
            pending = pending.rstrip()[:-1] + " "
        else:
            commands.append(pending)
            pending = ""
    if pending:
        commands.append(pending)
    return commands


def split_words(line: str) -> list[str]:
    """Words of a command, without its comment; quotes keep words together."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:  # an unbalanced quote: LAMMPS says what is wrong with it
        return line.split()
