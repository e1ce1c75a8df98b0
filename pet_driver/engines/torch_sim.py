"""TorchSim: many systems in one batch.

>>> import torch_sim as ts
>>> from ase.build import molecule
>>> first, second = ts.static([molecule("H2O"), molecule("H2O2")], PETModel("water"))
>>> second["forces"].shape
torch.Size([4, 3])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PetDriverError
from ..evaluation.potential import Potential
from ..evaluation.prediction import Prediction
from ..graph import System
from .given_model import open_potential
from .required import require

require("torch-sim-atomistic", "0.6.2", "torch-sim", python="3.12")

from torch_sim.models.interface import ModelInterface  # noqa: E402 (after the check of its release)
from torch_sim.state import SimState  # noqa: E402


class PETModel(ModelInterface):  # type: ignore[misc]  # TorchSim is not there when types are checked
    """Model of TorchSim that evaluates all systems of a state in one batch.

    Positions, energies, forces and stresses of the state are tensors of ``state_dtype``, TorchSim's
    ``model.dtype``. It is float64 also where the network is float32, since the energy of a box
    rounded to float32 fluctuates by more than an integrator's error.

    The model evaluates large batches in parts that fit into memory, so TorchSim's search for the
    largest batch (``autobatcher=True``) has nothing to find; give an autobatcher a
    ``max_memory_scaler``, or none.

    :param model: name of a shipped model, path of a model file, or a loaded `Potential`, which has
        its options already, so that None means these
    :param device: "cpu", "cuda" or "cuda:N", or a `torch.device`; None: the CPU
    :param dtype: "float32" or "float64", or a `torch.dtype`, of the network; None: float32
    :param scope: "layer", "atom", "structure", "none", or None for the scope of training
    :param state_dtype: of the states; `torch.float32` where another model of a sum needs it
    :param compute_stress: whether stresses are among the results
    :param options: the other ones of `EvaluationOptions`, by name
    :raises PetDriverError: if the model or the device is not there, an option is wrong, or a loaded
        potential has other options than given

    potential: evaluates the systems.
    """

    def __init__(
        self,
        model: str | Path | Potential,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        scope: str | None = None,
        state_dtype: torch.dtype = torch.float64,
        compute_stress: bool = True,
        **options: Any,  # noqa: ANN401 (of many types; checked by EvaluationOptions)
    ) -> None:
        super().__init__()
        if state_dtype not in (torch.float32, torch.float64):
            raise PetDriverError(
                f"state_dtype is {state_dtype}; choose torch.float32 or torch.float64"
            )
        if isinstance(dtype, torch.dtype):
            dtype = str(dtype).removeprefix("torch.")
        self.potential = open_potential(
            model,
            device=None if device is None else str(device),
            dtype=dtype,
            scope=scope,
            **options,
        )
        # A tensor's device has an index, "cuda" has none; states are compared with this.
        self._device = torch.empty(0, device=self.potential.device).device
        self._dtype = state_dtype
        self._compute_stress, self._compute_forces = compute_stress, True

    @property
    def compute_stress(self) -> bool:
        """Whether stresses are among the results."""
        return self._compute_stress

    @compute_stress.setter
    def compute_stress(self, wanted: bool) -> None:
        self._compute_stress = wanted

    @property
    def compute_forces(self) -> bool:
        """Whether forces are among the results; they are computed in any case."""
        return self._compute_forces

    @compute_forces.setter
    def compute_forces(self, wanted: bool) -> None:
        self._compute_forces = wanted

    def forward(self, state: SimState, **_ignored: object) -> dict[str, Tensor]:
        """Evaluate all systems of a state.

        Charge and spin multiplicity of a system are read from the state's extras ``charge`` or
        ``total_charge``, and ``spin`` or ``total_spin``; they matter to models that depend on them.

        :param state: of `model.device` and `model.dtype`; lengths in angstrom
        :return: ``energy``, (n_systems,), eV; ``forces``, (n_atoms, 3), eV/angstrom; ``stress``,
            (n_systems, 3, 3), eV/angstrom^3, with the sign of ASE, NaN where not all directions are
            periodic; ``energies``, (n_atoms,), eV, of atoms; covariant outputs of the model under
            their names, (n_systems, 3) or (n_systems, 3, 3), and those of atoms with ``atomic_``
            before it
        :raises PetDriverError: if the state has another device or dtype; for what else, see
            `Potential.compute`
        """
        has, wanted = (state.device, state.dtype), (self._device, self._dtype)
        if has != wanted:
            raise PetDriverError(
                f"the state is {has[1]} on {has[0]}, but the model expects {wanted[1]} on "
                f"{wanted[0]}; make it with ts.initialize_state(atoms, model.device, model.dtype)"
            )
        systems = systems_of(state)
        predictions = self.potential.compute(systems)
        found = {"energy": np.array([one.energy for one in predictions])}
        found["energies"] = np.concatenate([one.energies for one in predictions])
        if self._compute_forces:
            found["forces"] = np.concatenate([one.forces for one in predictions])
        if self._compute_stress:
            pairs = zip(systems, predictions, strict=True)
            found["stress"] = np.stack([_stress(*pair) for pair in pairs])
        for name in self.potential.outputs:
            found[name] = np.stack([one.total(name) for one in predictions])
            found[f"atomic_{name}"] = np.concatenate(
                [{**one.vectors, **one.tensors}[name] for one in predictions]
            )
        return {
            name: torch.from_numpy(values).to(self._device, self._dtype)
            for name, values in found.items()
        }


def systems_of(state: SimState) -> list[System]:
    """Systems of a state, copied from its device at once.

    :param state: cells have lattice vectors as columns
    :return: cells have them as rows; positions are not wrapped
    """
    n_atoms, n_systems = len(state.positions), len(state.cell)
    pbc = state.pbc.expand(n_systems, 3)
    parts = (state.positions, state.cell.mT, pbc, state.atomic_numbers, state.system_idx)
    table = torch.cat([part.detach().to(torch.float64).flatten() for part in parts]).cpu().numpy()
    ends = np.cumsum([3 * n_atoms, 9 * n_systems, 3 * n_systems, n_atoms])
    positions, cells, periodic, numbers, index = np.split(table, ends)
    sizes = np.bincount(index.astype(np.int64), minlength=n_systems)
    starts = np.cumsum(sizes)[:-1]
    charges, spins = _extra(state, "charge"), _extra(state, "spin")
    columns = zip(
        np.split(numbers.astype(np.int64), starts),
        np.split(positions.reshape(-1, 3), starts),
        cells.reshape(-1, 3, 3),
        periodic.reshape(-1, 3).astype(bool),
        charges,
        spins,
        strict=True,
    )
    return [System(*values) for values in columns]


def _extra(state: SimState, name: str) -> list[Any]:
    """Charge or spin of each system, where the state has it; None each where it has not."""
    for key in (name, f"total_{name}"):
        if key in state.system_extras:
            return list(state.system_extras[key].detach().cpu().numpy())
    return [None] * len(state.cell)


def _stress(system: System, prediction: Prediction) -> NDArray[np.float64]:
    """Stress, (3, 3), eV/angstrom^3; NaN where the volume is not defined."""
    if not system.pbc.all():
        return np.full((3, 3), np.nan)
    return prediction.stress(float(np.linalg.det(system.cell)))
