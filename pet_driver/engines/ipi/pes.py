"""A model as a PES inside i-PI or its Python driver:

    <ffdirect name='pet'> <pes>custom</pes> <pes_path>PATH</pes_path>
      <parameters>{template: init.xyz, model: water, dtype: float64}</parameters>
      <batch_size>8</batch_size> </ffdirect>

    i-pi-py_driver -m custom -P PATH -u -a pet -o template=init.xyz,model=water

PATH is what `pet-driver ipi --pes-path` prints. Parameters: template, model (several with
semicolons between), device, dtype, scope, output, extras (likewise), most_force, as of `pet-driver
ipi`.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ase.io
import numpy as np
from ipi.pes.dummy import Dummy_driver

from pet_driver.engines.ipi.service import Request, Service
from pet_driver.errors import PetDriverError
from pet_driver.graph import System

__DRIVER_NAME__ = "pet_driver"
__DRIVER_CLASS__ = "PetDriver"

_KNOWN = {"device", "dtype", "scope", "output", "most_force", "charge", "spin"}
_IGNORED = {"verbosity", "verbose"}  # i-PI adds them itself


class PetDriver(Dummy_driver):
    """Energies, forces and virials in atomic units.

    :param template: path of a structure with the elements in i-PI's order and the periodicity
    :param model: name or path; several are a committee
    """

    def __init__(self, template: str = "", model: str = "", **parameters: Any) -> None:  # noqa: ANN401 (i-PI's)
        extras = tuple(name for name in str(parameters.pop("extras", "")).split(";") if name)
        unknown = set(parameters) - _KNOWN - _IGNORED
        try:
            if unknown:
                raise PetDriverError(
                    f"the PES has no parameter {min(unknown)!r}; known are template, model, "
                    "extras, "
                    f"{', '.join(sorted(_KNOWN))}"
                )
            if not template or not model:
                raise PetDriverError("the PES needs the parameters template and model")
            options = {name: x for name, x in parameters.items() if name in _KNOWN}
            structure = System.from_atoms(ase.io.read(template, parallel=False))
            # i-PI calls from threads of its own. OpenMP stops waiting actively, and all gets twice
            # as slow, once two threads have been given helpers: one thread does all the work.
            self._thread = ThreadPoolExecutor(max_workers=1)
            self._service = Service(str(model).split(";"), structure, extras=extras, **options)
            self._thread.submit(self._service.warm_up).result()
        except (PetDriverError, OSError) as error:
            sys.exit(f"pet-driver: {error}")
        super().__init__()

    def compute(self, cell: Any, pos: Any) -> Any:  # noqa: ANN401 (one structure, or lists of several)
        """
        :param cell: (3, 3), lattice vectors as columns, bohr; pos: (n_atoms, 3), bohr
        :return: potential, forces, virial, extras; a list of these for lists
        """
        if not isinstance(cell, list):
            return self.compute([cell], [pos])[0]
        positions = np.array(pos).reshape(len(cell), -1, 3)
        try:
            request = Request.from_atomic_units(np.array(cell), positions)
            replies = self._thread.submit(self._service.evaluate, request).result()
        except PetDriverError as error:
            _stop(error)
            raise
        return [(*reply.in_atomic_units(), reply.text().decode()) for reply in replies]


def _stop(error: PetDriverError) -> None:
    """Within i-PI: an orderly end with a RESTART file; an exception in a thread would hang it."""
    simulation = sys.modules.get("ipi.engine.simulation")
    if simulation is not None:
        from ipi.utils.softexit import softexit

        softexit.trigger(status="bad", message=f"pet-driver: {error}")
