"""A model as a PES inside i-PI or its Python driver.

    <ffdirect name='pet'> <pes>custom</pes> <pes_path>PATH</pes_path>
      <parameters>{template: init.xyz, model: water, dtype: float64}</parameters>
      <batch_size>8</batch_size> </ffdirect>

    i-pi-py_driver -m custom -P PATH -u -a pet -o template=init.xyz,model=water

PATH is what `pet-driver ipi --pes-path` prints. Parameters: template, model (several with
semicolons between), output, extras (likewise), most_force, as of `pet-driver ipi`, and the options
of an evaluation (scope, parity, extra_rotations, device, dtype ...), by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ipi.pes.dummy import Dummy_driver

from pet_driver.engines.ipi.committee import Committee
from pet_driver.engines.ipi.messages import Request
from pet_driver.engines.ipi.service import Service
from pet_driver.engines.ipi.template import read_template
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.option import unknown
from pet_driver.evaluation.options import KEYWORDS, EvaluationOptions

__DRIVER_NAME__ = "pet_driver"
__DRIVER_CLASS__ = "PetDriver"

_OWN: dict[str, Callable[[Any], Any]] = {
    "output": str,
    "extras": lambda text: tuple(name for name in str(text).split(";") if name),
    "most_force": float,
}
_KNOWN = ("template", "model", *_OWN, *KEYWORDS)
_IGNORED = ("verbosity", "verbose")  # i-PI adds them itself
Numbers = Any  # one array, or a list of one for each structure


class PetDriver(Dummy_driver):  # type: ignore[misc]  # i-PI is not typed
    """Energies, forces and virials in atomic units.

    :param template: path of a structure with the elements in i-PI's order and the periodicity
    :param model: name or path; several are a committee
    :param parameters: see above; words or numbers

    Ends i-PI with one sentence if a parameter is wrong.
    """

    def __init__(self, template: str = "", model: str = "", **parameters: object) -> None:
        try:
            if not template or not model:
                raise PetDriverError("the PES needs the parameters template and model")
            committee, own = _committee(model, parameters)
            structure = read_template(Path(template))
            # i-PI calls from several threads. Once two threads have OpenMP teams of their own, the
            # teams no longer spin while they wait, and each evaluation takes twice as long: one
            # thread makes all evaluations.
            self._thread = ThreadPoolExecutor(max_workers=1)
            self._service = Service(committee, structure, **own)
            self._thread.submit(self._service.warm_up).result()
        except PetDriverError as error:
            sys.exit(f"pet-driver: {error}")
        super().__init__()

    def compute(self, cell: Numbers, pos: Numbers) -> Any:  # noqa: ANN401 (as the arguments)
        """Evaluate one structure, or several in one batch.

        :param cell: (3, 3), lattice vectors as columns, bohr, or a list
        :param pos: (n_atoms, 3), bohr, or a list
        :return: potential, forces, virial, extras; a list of these for lists
        """
        if not isinstance(cell, list):
            return self.compute([cell], [pos])[0]
        positions = np.array(pos).reshape(len(cell), -1, 3)
        try:
            request = Request.from_atomic_units(np.array(cell), positions)
            replies = self._thread.submit(self._service.evaluate, request).result()
        except Exception as error:  # of any kind: in a thread of i-PI it would be lost
            _stop(error)
            raise
        return [(*reply.in_atomic_units(), reply.text().decode()) for reply in replies]


def _committee(model: str, parameters: dict[str, object]) -> tuple[Committee, dict[str, Any]]:
    """The models, and the arguments of the service.

    :raises PetDriverError: if a parameter is unknown or wrong
    """
    given = {name: value for name, value in parameters.items() if name not in _IGNORED}
    for name in given:
        if name not in _KNOWN:
            raise PetDriverError(unknown(f"the PES has no parameter {name!r}", _KNOWN))
    own = {}
    for name in _OWN.keys() & given.keys():
        value = given.pop(name)
        try:
            own[name] = _OWN[name](value)
        except ValueError as error:
            raise PetDriverError(f"{name} is {value!r}; give a number") from error
    return Committee(str(model).split(";"), EvaluationOptions.from_keywords(**given)), own


def _stop(error: Exception) -> None:
    """Stop i-PI in order, with a RESTART file; an exception in a thread would hang it."""
    simulation = sys.modules.get("ipi.engine.simulation")
    if simulation is not None:
        from ipi.utils.softexit import softexit

        kind = "" if isinstance(error, PetDriverError) else f"{type(error).__name__}: "
        softexit.trigger(status="bad", message=f"pet-driver: {kind}{error}")
