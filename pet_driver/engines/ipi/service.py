"""What i-PI is told of a structure: plain PET, the exact energy or the difference of both; or
direct forces; of one model or of a committee; with extras as a JSON object."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from ...errors import PetDriverError
from ...evaluation.potential import Potential
from ...evaluation.prediction import Prediction
from ...files.checkpoint import load_checkpoint
from ...graph import System, species_indices
from ...units import BOHR, HARTREE

OUTPUTS = ("ecse", "plain", "difference", "direct", "direct_difference")
EXTRAS = ("energies", "dipole", "committee_force", "symmetry_spread", "energy_uncertainty")


@dataclass
class Request:
    """Structures to evaluate.

    cells: (n_structures, 3, 3), lattice vectors as rows, angstrom; positions:
    (n_structures, n_atoms, 3), angstrom.
    """

    cells: np.ndarray
    positions: np.ndarray

    @classmethod
    def from_atomic_units(cls, cells: np.ndarray, positions: np.ndarray) -> Request:
        """
        :param cells: lattice vectors as columns, bohr; positions: bohr
        """
        return cls(cells.transpose(0, 2, 1) * BOHR, positions * BOHR)


@dataclass
class Reply:
    """energy: eV; forces: (n_atoms, 3), eV/angstrom; virial: (3, 3), eV; extras: a JSON object, in
    atomic units."""

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    extras: dict[str, Any] = field(default_factory=dict)

    def in_atomic_units(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy, forces and virial."""
        return self.energy / HARTREE, self.forces * (BOHR / HARTREE), self.virial / HARTREE

    def text(self) -> bytes:
        """The extras as i-PI takes them; nothing if there are none."""
        return json.dumps(self.extras, allow_nan=False).encode() if self.extras else b""


class Service:
    """
    :param models: names or paths; several are a committee: energies, forces and virials are means
    :param template: gives the elements, in i-PI's order, and the periodicity of each direction
    :param output: "ecse", exact as trained; "plain": the same weights without frames;
        "difference": the former less the latter; "direct": plain, with the forces that the model
        reads out instead of the gradient's, which conserve no energy; "direct_difference": ecse
        less direct
    :param extras: of `EXTRAS`; committee energies go with every committee
    :param most_force: eV/angstrom; a larger component is refused
    :param options: device, dtype, scope, parity, extra_rotations as in `Potential`
    :raises PetDriverError: for what is unknown, to us or to the models
    """

    def __init__(
        self,
        models: list[str],
        template: System,
        output: str = "ecse",
        extras: tuple[str, ...] = (),
        most_force: float = 1000.0,
        **options: Any,  # noqa: ANN401 (passed on)
    ) -> None:
        checkpoints = [load_checkpoint(model) for model in models]
        potentials = [Potential(checkpoint, **options) for checkpoint in checkpoints]
        self._setup(potentials, template, extras, most_force)
        self._plain = [potential.plain() for potential in potentials]
        self.choose(output)

    def _setup(
        self,
        potentials: list[Potential],
        template: System,
        extras: tuple[str, ...],
        most_force: float,
    ) -> None:
        for name in extras:
            if name not in EXTRAS:
                raise PetDriverError(f"--extras names {name!r}; choose among {', '.join(EXTRAS)}")
        self.potentials, self.template = potentials, template
        self.extras, self.most_force = extras, most_force
        for potential in potentials:
            species_indices(template.numbers, potential.species)
            names = [name for name, _ in potential.hyper.properties]
            if "dipole" in extras and "dipole" not in names:
                raise PetDriverError(
                    f"the model {potential.name} has no dipole; leave it out of --extras"
                )
            if "energy_uncertainty" in extras and not potential.knows_uncertainty:
                raise PetDriverError(
                    f"the model {potential.name} came without what an uncertainty needs; leave it "
                    "out of --extras"
                )

    def choose(self, output: str) -> None:
        """
        :raises PetDriverError: if there is no such output
        """
        if output not in OUTPUTS:
            raise PetDriverError(f"--output is {output!r}; choose one of {', '.join(OUTPUTS)}")
        if output.startswith("direct"):
            self._direct = [potential.direct() for potential in self.potentials]
        self.output = output

    def with_output(self, output: str) -> Service:
        """Another output of the same models, which are shared."""
        other = Service.__new__(Service)
        other.__dict__.update(self.__dict__)
        other.choose(output)
        return other

    def evaluate(self, request: Request) -> list[Reply]:
        """All structures in one batch.

        :raises PetDriverError: for impossible geometries and results that are not finite or absurd;
            the structures are in a file
        """
        systems = [
            dataclasses.replace(self.template, positions=x, cell=cell)
            for x, cell in zip(request.positions, request.cells, strict=True)
        ]
        try:
            members = [self._member(k, systems) for k in range(len(self.potentials))]
            return [
                self._reply(k, systems[k], [m[k] for m in members]) for k in range(len(systems))
            ]
        except PetDriverError as error:
            path = _dump(systems)
            raise PetDriverError(f"{error} (the structures are in {path})") from error

    def warm_up(self) -> None:
        """Evaluate the template: a driver that is connected and does not answer stalls i-PI."""
        self.evaluate(Request(self.template.cell[None], self.template.positions[None]))

    def _member(self, k: int, systems: list[System]) -> list[Prediction]:
        if self.output == "plain":
            return self._plain[k].compute(systems)
        if self.output == "direct":
            return self._direct[k].compute(systems)
        exact = self.potentials[k].compute(systems)
        if self.output == "ecse":
            return exact
        fast = self._plain[k] if self.output == "difference" else self._direct[k]
        return [a.minus(b) for a, b in zip(exact, fast.compute(systems), strict=True)]

    def _reply(self, index: int, system: System, members: list[Prediction]) -> Reply:
        forces = np.mean([m.forces for m in members], axis=0)
        largest = np.abs(forces).max(initial=0.0)
        if largest > self.most_force:
            raise PetDriverError(
                f"a force on atom {int(np.abs(forces).max(axis=1).argmax())} (counted from 0) of "
                f"structure {index} is {largest:.3g} eV/angstrom, more than {self.most_force:g}; "
                "look at the geometry, or raise --most-force"
            )
        reply = Reply(
            float(np.mean([m.energy for m in members])),
            forces,
            np.mean([m.virial for m in members], axis=0),
        )
        reply.extras.update(self._extras(system, members))
        return reply

    def _extras(self, system: System, members: list[Prediction]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if len(members) > 1:
            found["committee_pot"] = [m.energy / HARTREE for m in members]
        if "committee_force" in self.extras:
            # ffcommittee wants them nested, and virials with them.
            unit = HARTREE / BOHR
            found["committee_force"] = [(m.forces.ravel() / unit).tolist() for m in members]
            found["committee_virial"] = [(m.virial.ravel() / HARTREE).tolist() for m in members]
        if "energies" in self.extras:
            energies = np.mean([m.energies for m in members], axis=0)
            found["energies"] = (energies / HARTREE).tolist()
        if "dipole" in self.extras:
            found["dipole"] = np.mean([m.total("dipole") for m in members], axis=0).tolist()
            found["dipole"] = [x / BOHR for x in found["dipole"]]
        if "energy_uncertainty" in self.extras:
            values = [p.energy_uncertainty([system])[0] for p in self.potentials]
            found["energy_uncertainty"] = float(np.mean(values)) / HARTREE
        if "symmetry_spread" in self.extras:
            spreads = [potential.frame_spread(system) for potential in self.potentials]
            found["symmetry_spread"] = (np.mean(spreads, axis=0) / HARTREE).tolist()
        return found


def _dump(systems: list[System]) -> Path:
    path = Path("pet_driver_failed.xyz").resolve()
    # With mpi4py about, ASE would have the ranks of the world wait for each other.
    structures = [system.to_atoms() for system in systems]
    ase.io.write(path, structures, format="extxyz", parallel=False)
    return path
