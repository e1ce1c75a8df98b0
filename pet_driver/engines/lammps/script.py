"""Runs a LAMMPS input script command by command, so that `pair_style pet` can stand in it.

LAMMPS itself executes every command and expands every variable; only the commands that move the
position in the script (`include`, `jump`, `label`, `next`, `if`, `quit`), `pair_style pet` with its
`pair_coeff`, and what would pull the ground from under it, are handled here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from ...parallel import NodePlace
from .options import FIX_ID, PairStyle

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

    from .pair import PetPair

_RUNS = (
    *("run", "minimize", "rerun", "neb", "neb/spin", "prd", "tad", "hyper"),
    *("temper", "temper/npt", "temper/grem", "dynamical_matrix", "third_order"),
)
_BRANCH_VARIABLE = "pet_lmp_branch"


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
    :param place: of this rank on its node
    """

    def __init__(self, lmp: lammps, comm: MPI.Comm, place: NodePlace) -> None:
        self.lmp, self.comm, self.place = lmp, comm, place
        self.pair: PetPair | None = None
        self._skip_jump = False
        self._quit: int | None = None
        self._restarted = False
        self._handlers = {
            "include": self._include,
            "jump": self._jump_command,
            "label": lambda _: None,
            "next": self._next,
            "if": self._if,
            "quit": self._quit_command,
            "pair_style": self._pair_style,
            "pair_coeff": self._pair_coeff,
            "fix": self._fix,
            "clear": self._clear,
            "read_restart": self._read_restart,
            **dict.fromkeys(_RUNS, self._run),
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
            self._lammps(line)
        else:
            handler([self._expand(word) for word in words[1:]])

    def _lammps(self, line: str) -> None:
        self.lmp.command(line)

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
        # LAMMPS decides which branch holds; its commands are executed here, where `jump`, `include`
        # and `pair_style pet` are known.
        conditions, branches = split_branches(split_words(self._text)[1:])
        text = "if"
        for number, condition in enumerate(conditions):
            noted = f'"variable {_BRANCH_VARIABLE} string {number}"'
            text += f" {'elif ' if number else ''}{_quoted(condition)}"
            text += f" {'' if number else 'then '}{noted}"
        self._lammps(text)
        number = len(conditions)
        if self.lmp.has_id("variable", _BRANCH_VARIABLE):
            number = int(self.lmp.extract_variable(_BRANCH_VARIABLE))
            self.lmp.command(f"variable {_BRANCH_VARIABLE} delete")
        for command in branches[number]:
            self._execute(command)

    def _quit_command(self, words: list[str]) -> None:
        self._quit = int(words[0]) if words else 0

    # -- the potential --

    def _pair_style(self, words: list[str]) -> None:
        style = PairStyle.parse(words) if words else None
        if self.pair is not None:
            self.pair.detach()
            self.pair.close()
            self.pair = None
        self._restarted = False
        if style is None:
            self._lammps(self._text)
            return
        from .pair import PetPair  # here, as it takes torch along

        self.pair = PetPair(self.lmp, self.comm, style, self.place)
        for command in style.in_lammps(self.pair.domain.depth * self.pair.potential.cutoff):
            self._lammps(command)

    def _pair_coeff(self, words: list[str]) -> None:
        ours = self.pair is not None and (not self.pair.style.overlay or words[2:3] == ["pet"])
        if ours:
            self.pair.set_coefficients(words)
        else:
            self._lammps(self._text)

    def _fix(self, _words: list[str]) -> None:
        # LAMMPS lets fixes act in the order of their definition, and forces must be there before
        # any other acts on them (setforce, langevin ...), wherever `pair_style pet` stands: so
        # the first place is kept for it.
        if self.lmp.extract_setting("box_exist") and not self.lmp.has_id("fix", FIX_ID):
            self.lmp.command(f"fix {FIX_ID} all external pf/array 1")
        self._lammps(self._text)

    def _clear(self, _words: list[str]) -> None:
        if self.pair is not None:
            self.pair.close()
            self.pair = None
        self._lammps(self._text)

    def _read_restart(self, _words: list[str]) -> None:
        self._lammps(self._text)
        self._restarted = True

    def _run(self, _words: list[str]) -> None:
        if self.pair is None:
            if self._restarted and self.lmp.extract_global("pair_style") == "zero":
                raise PetDriverError(
                    "restart files do not hold the potential; add `pair_style pet ...` and "
                    "`pair_coeff` after read_restart"
                )
            if self.lmp.has_id("fix", FIX_ID):
                self.lmp.command(f"unfix {FIX_ID}")
            self._lammps(self._text)
            return
        text = self._text
        self.pair.start_run()
        self.lmp.command(text)
        self.pair.finish_run()


def split_branches(words: list[str]) -> tuple[list[str], list[list[str]]]:
    """Conditions of an `if` command, and the commands of its branches; the last is that of `else`.

    :param words: after `if`: a condition, `then`, commands, `elif`, a condition, commands ...
    :raises PetDriverError: if a condition or `then` is missing
    """
    rest = iter(words[2:])
    conditions, branches = words[:1], [[]]
    for word in rest:
        if word == "elif":
            conditions.append(next(rest, ""))
            branches.append([])
        elif word == "else":
            branches.append([])
        else:
            branches[-1].append(word)
    if words[1:2] != ["then"] or "" in conditions:
        raise PetDriverError(
            f"`if {' '.join(words)}` lacks a condition or `then`; write `if CONDITION then COMMAND`"
        )
    if len(branches) == len(conditions):
        branches.append([])
    return conditions, branches


def _quoted(word: str) -> str:
    return f"'{word}'" if '"' in word else f'"{word}"'


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
