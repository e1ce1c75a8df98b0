"""`pair_style pet`: a model that LAMMPS calls in every step through `fix external`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import PetDriverError
from ...evaluation.potential import Potential
from ...files.checkpoint import load_checkpoint
from ...parallel import agree
from ...runtime.warning_lines import warnings_as_lines
from ..rank_share import options_of_rank, use_share
from .abort import abort
from .external_fix import ExternalFix, reserve_fix
from .options import PairStyle, type_species
from .report import Tally, distribution, header_lines
from .run_log import RunLog
from .self_test import box_of, compare_with_one_rank

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

    from ...evaluation.prediction import Prediction
    from ...graph import Graph
    from ...parallel import NodePlace

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
# Commands that would go on after a step that failed, with the results of the step before.
_GOING_ON = ("rerun", "dynamical_matrix", "third_order")


class PetPair:
    """Model, domain and fix of `pair_style pet`, alone or in `pair_style hybrid/overlay`.

    Collective over the ranks of the LAMMPS instance, as all of its methods are.

    :param lmp: a LAMMPS instance
    :param comm: its communicator
    :param style: arguments of the pair style
    :param place: of this rank on its node
    :param launched: whether `pet-lmp` runs the script, and can end it with a sentence; otherwise an
        error ends the whole job at once
    :raises PetDriverError: on every rank, if the arguments are wrong or the model cannot be loaded
    """

    def __init__(
        self,
        lmp: lammps,
        comm: MPI.Comm,
        style: PairStyle,
        place: NodePlace,
        launched: bool = True,
    ) -> None:
        self.lmp, self.comm, self.style, self.launched = lmp, comm, style, launched
        self.error: PetDriverError | None = None
        self._log = RunLog(lmp, comm, launched)
        self._type_species: Integers | None = None
        self._tally: Tally | None = None
        self._test_pending = style.self_test
        self._is_first_step = True
        self._goes_on = False
        self.potential, self._fix = self._loaded(place)
        self.domain = self.potential.open_domain(comm, style.halo, style.options.skin)

    def _loaded(self, place: NodePlace) -> tuple[Potential, ExternalFix]:
        error: Exception | None = None
        try:
            fix = ExternalFix(self.lmp)
            options = options_of_rank(self.style.options, place)
            use_share(options, place)
            # LAMMPS takes no vectors and tensors of atoms.
            potential = Potential(load_checkpoint(self.style.model).with_outputs(()), options)
        except Exception as caught:  # of any kind: the other ranks must learn of it
            error = caught
        agree(self.comm, error)
        return potential, fix

    @property
    def ghost_cutoff(self) -> float:
        """Depth of the ghosts that the domain needs, angstrom."""
        return self.domain.depth * self.potential.neighbor_cutoff

    def set_coefficients(self, arguments: list[str]) -> None:
        """Read `pair_coeff * * EL1 EL2 ...`, in an overlay with `pet` first; attach to LAMMPS.

        :param arguments: words after `pair_coeff`: the element of every atom type, or NULL
        :raises PetDriverError: if a type has no element, or the model does not know it
        """
        if arguments[:2] != ["*", "*"]:
            raise PetDriverError(
                f"pair_coeff {' '.join(arguments)} names some types only; name the elements of all "
                "of them, as in `pair_coeff * * H O`"
            )
        elements = arguments[3:] if self.style.overlay else arguments[2:]
        types = self.lmp.extract_setting("ntypes")
        self._type_species = type_species(elements, types, self.potential.species)
        self.lmp.command(f"pair_coeff {self.style.stand_in_coefficients}")
        self.attach()
        for line in header_lines(self.potential, self.domain, elements):
            self._log.print_between_runs(line)

    def attach(self) -> None:
        """Give forces from here on, once the elements of the types are known."""
        if self._type_species is not None:
            self._fix.attach(self._callback)

    def detach(self) -> None:
        """Stop giving forces; the fix keeps its position among the other fixes."""
        if self._type_species is not None:
            reserve_fix(self.lmp)

    def close(self) -> None:
        """Free what the domain holds."""
        self.domain.close()

    # -- runs --

    def start_run(self, command: str) -> None:
        """Prepare for a command that runs.

        :param command: its first word
        :raises PetDriverError: if the types have no elements yet, or r-RESPA is on
        """
        if self._type_species is None:
            raise PetDriverError(
                "a run comes before the atom types have elements; add `pair_coeff * * EL1 EL2 ...` "
                "after `pair_style pet`"
            )
        self._check_run_style()
        self._goes_on = command in _GOING_ON
        self._begin()

    def _check_run_style(self) -> None:
        if self.lmp.extract_global("respa_levels"):
            raise PetDriverError(
                "run_style respa does not apply forces of fixes such as this; use run_style verlet"
            )

    def finish_run(self) -> None:
        """Print the times of a run.

        :raises PetDriverError: see `raise_error`
        """
        self.raise_error()
        self._log.flush()
        for line in self._times():
            self._log.print_between_runs(line)

    def raise_error(self) -> None:
        """Say why an evaluation failed, if one did.

        :raises PetDriverError: on every rank; the structure is kept in a file
        """
        if self.error is not None:
            step = self.lmp.extract_global("ntimestep")
            dump = f"failed_step_{step}.lammpstrj"
            try:
                self.lmp.command(f"write_dump all custom {dump} id type x y z modify sort id")
            except Exception as error:
                sentence = f"{self.error}; the structure could not be written ({error})"
                if type(error) is not Exception:  # of this rank only, as of a file
                    abort(self.comm, sentence, "pet-lmp")
                raise PetDriverError(sentence) from error
            raise PetDriverError(f"{self.error}; for the structure see {dump}")

    def report(self) -> None:
        """Print the times since the run began or since the last report, in the middle of a run."""
        for line in self._times():
            self._log.print_during_run(line)
        self._begin()

    def _begin(self) -> Tally:
        self._start = time.perf_counter()
        self._tally = Tally(self.domain)
        return self._tally

    def _times(self) -> list[str]:
        if self._tally is None:
            return []
        lines = self._tally.lines(time.perf_counter() - self._start)
        return lines if self._tally.evaluations else []

    # -- every step --

    def _callback(
        self,
        _caller: object,
        step: int,
        n_local: int,
        _ids: Integers,
        _positions: Floats,
        forces: Floats,
    ) -> None:
        # ctypes swallows exceptions, so none may leave this function: an error known to all ranks
        # stops the run after the step; any other error ends all ranks at once, or some would wait.
        try:
            if n_local:
                forces[:] = 0.0
            if not self.launched:  # nobody else has seen the command that runs
                self._check_run_style()
            tally = self._tally or self._begin()
            if self.error is None:
                with self.domain.watch.measure("model"), self._warnings():
                    self._compute(n_local, forces)
                tally.evaluations += 1
        except PetDriverError as error:
            self.error = PetDriverError(f"step {step}: {error}")
            self.lmp.force_timeout()
            # Other replicas may wait for this one, and some commands do not look at the time.
            if self._log.partitioned or not self.launched or self._goes_on:
                abort(self.comm, f"{self.error}" if self.comm.rank == 0 else "")
        except BaseException as error:
            abort(self.comm, f"rank {self.comm.rank}, step {step}: {error!r}")

    def _warnings(self) -> contextlib.AbstractContextManager[None]:
        """Print warnings as lines, unless `pet-lmp` does so already."""
        if self.launched:
            return contextlib.nullcontext()
        return warnings_as_lines(self._log.warn, self._log.warn_of_rank)

    def _compute(self, n_local: int, forces: Floats) -> None:
        assert self._type_species is not None  # the callback is set after the elements
        ids, species, positions = self._fix.atoms(n_local, self._type_species)
        mapped = species >= 0  # of a type that is not NULL
        local = mapped[:n_local]
        prediction = self._evaluate(
            ids[mapped], species[mapped], positions[mapped], int(local.sum())
        )
        if self._test_pending:
            self._test_pending = False
            atoms = species[:n_local][local], positions[:n_local][local]
            found = compare_with_one_rank(
                self.potential, self.domain, prediction, atoms, box_of(self.lmp)
            )
            self._log.print_during_run(f"self-test: {found}")
        self._fix.set_results(prediction, local, forces)

    def _evaluate(
        self, ids: Integers, species: Integers, positions: Floats, n_local: int
    ) -> Prediction:
        self.domain.follow(ids, species, positions, n_local)
        if not self._is_first_step:
            return self.potential.evaluate_share(self.domain)
        self._is_first_step = False
        graph = self.domain.graph()
        self._check_first_step(graph, len(ids) - n_local)
        return self.potential.evaluate(graph)

    def _check_first_step(self, graph: Graph, n_ghosts: int) -> None:
        """Print how the atoms are distributed, and check that ranks agree on ghosts."""
        self._log.print_during_run(distribution(self.domain, graph, n_ghosts))
        if self._test_pending:
            self._log.print_during_run(f"self-test: {self.domain.self_test(graph)}")
