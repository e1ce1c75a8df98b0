"""Lines of `pair_style pet` on the screen and in the log of LAMMPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI


class RunLog:
    """Prints through LAMMPS where that is possible; lines of a run reach its log file afterwards.

    :param lmp: a LAMMPS instance
    :param comm: its communicator
    :param launched: whether `pet-lmp` runs the script, and calls `flush` after each run
    """

    def __init__(self, lmp: lammps, comm: MPI.Comm, launched: bool) -> None:
        self._lmp, self._comm, self._launched = lmp, comm, launched
        self._unlogged: list[str] = []

    @property
    def partitioned(self) -> bool:
        """Whether other replicas run beside this one (`-partition`)."""
        return bool(self._lmp.extract_setting("universe_size") > self._comm.size)

    def print_between_runs(self, line: str, screen: bool = True) -> None:
        """Print a line to the log of LAMMPS, between runs. Collective.

        :param screen: whether it goes to the screen too
        """
        line = line.replace('"', "'")
        where = "yes" if screen else "no"
        self._lmp.command(f'print "pair_style pet: {line}" screen {where}')

    def print_during_run(self, line: str) -> None:
        """Print a line during a run, when LAMMPS takes no commands; `flush` logs it."""
        if self._launched:
            self._unlogged.append(line)
        if self._comm.rank == 0 and not self.partitioned:
            print(f"pair_style pet: {line}", flush=True)

    def warn(self, message: str) -> None:
        """Print a warning, on the first rank."""
        if self._comm.rank == 0:
            print(f"pet-driver: warning: {message}", flush=True)

    def warn_of_rank(self, message: str) -> None:
        """Print a warning about atoms of this rank."""
        rank = f", rank {self._comm.rank}" if self._comm.rank else ""
        print(f"pet-driver: warning{rank}: {message}", flush=True)

    def flush(self) -> None:
        """Write the lines shown in a run to the log file. Collective."""
        for line in self._unlogged:
            self.print_between_runs(line, screen=self.partitioned)
        self._unlogged.clear()
