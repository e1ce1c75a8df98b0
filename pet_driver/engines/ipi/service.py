"""Answers to i-PI's requests: energy, forces, virial and extras of structures."""

from __future__ import annotations

import dataclasses

import numpy as np

from ...errors import PetDriverError
from ...evaluation.prediction import Prediction
from ...graph import System, species_indices
from ..failed_structures import check_forces, write_failed
from .committee import Committee
from .messages import Floats, Reply, Request

EXTRAS = ("energies", "dipole", "committee_force", "symmetry_spread", "energy_uncertainty")


class Service:
    """One output of a committee for structures of one composition.

    :param committee: the models; energies, forces and virials are means over them
    :param template: gives the elements, in i-PI's order, and the periodicity of each direction
    :param output: see `Committee.predictions`
    :param extras: names among `EXTRAS`; the energies of a committee are always sent
    :param most_force: eV/angstrom; a larger component is refused
    :raises PetDriverError: if an output or an extra is unknown or the models lack it, or an element
        of the template is unknown to them
    """

    def __init__(
        self,
        committee: Committee,
        template: System,
        output: str = "ecse",
        extras: tuple[str, ...] = (),
        most_force: float = 1000.0,
    ) -> None:
        self.committee, self.template, self.output = committee, template, output
        self.extras, self.most_force = extras, most_force
        self._check_extras()
        for potential in committee.potentials:
            species_indices(template.numbers, potential.species)
        committee.check_output(output)

    def _check_extras(self) -> None:
        for name in self.extras:
            if name not in EXTRAS:
                raise PetDriverError(f"--extras names {name!r}; choose among {', '.join(EXTRAS)}")
        for potential in self.committee.potentials:
            if "dipole" in self.extras and "dipole" not in potential.outputs:
                raise PetDriverError(
                    f"the model {potential.name} has no dipole; leave it out of --extras"
                )
            if "energy_uncertainty" in self.extras and not potential.has_uncertainty:
                raise PetDriverError(
                    f"the model {potential.name} came without what an uncertainty needs; leave it "
                    "out of --extras"
                )

    def evaluate(self, request: Request) -> list[Reply]:
        """Evaluate all structures in one batch; one reply for each.

        :raises PetDriverError: for impossible geometries and results that are not finite or too
            large; the structures are in a file
        """
        systems = [
            dataclasses.replace(self.template, positions=x, cell=cell)
            for x, cell in zip(request.positions, request.cells, strict=True)
        ]
        try:
            by_model = self.committee.predictions(self.output, systems)
            return [
                self._reply(index, system, [predictions[index] for predictions in by_model])
                for index, system in enumerate(systems)
            ]
        except PetDriverError as error:
            raise PetDriverError(f"{error} ({write_failed(systems)})") from error

    def warm_up(self) -> None:
        """Evaluate the template: a driver that is connected and does not answer stalls i-PI."""
        self.evaluate(Request(self.template.cell[None], self.template.positions[None]))

    def _reply(self, index: int, system: System, members: list[Prediction]) -> Reply:
        """Mean of the models' predictions for one structure."""
        forces = np.mean([m.forces for m in members], axis=0)
        check_forces(forces, self.most_force, f" of structure {index}")
        return Reply(
            float(np.mean([m.energy for m in members])),
            forces,
            np.mean([m.virial for m in members], axis=0),
            self._extras(system, members),
        )

    def _extras(self, system: System, members: list[Prediction]) -> dict[str, float | Floats]:
        """Extras of one structure by name."""
        found: dict[str, float | Floats] = {}
        if len(members) > 1:
            found["committee_pot"] = np.array([m.energy for m in members])
        if "committee_force" in self.extras:
            # ffcommittee requires one list for each member, and virials beside the forces.
            found["committee_force"] = np.array([m.forces.ravel() for m in members])
            found["committee_virial"] = np.array([m.virial.ravel() for m in members])
        if "energies" in self.extras:
            found["energies"] = np.mean([m.energies for m in members], axis=0)
        if "dipole" in self.extras:
            found["dipole"] = np.mean([m.total("dipole") for m in members], axis=0)
        if "energy_uncertainty" in self.extras:
            found["energy_uncertainty"] = self.committee.uncertainty(system)
        if "symmetry_spread" in self.extras:
            found["symmetry_spread"] = self.committee.frame_deviation(system)
        return found
