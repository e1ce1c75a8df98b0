"""A model that answers the commands of an MDI driver.

Energies are in hartree, lengths in bohr, as everywhere in MDI. <STRESS is the virial divided by the
volume, (3, 3): positive where the atoms push outwards, as LAMMPS takes it, so minus the stress of
ASE.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from ...errors import PetDriverError
from ...evaluation.potential import Potential
from ...evaluation.prediction import Prediction
from ...graph import System, species_indices
from ..failed_structures import check_forces, write_failed
from .address import Address
from .connection import NODE, Connection, Floats
from .received import Received, check_units


class Engine:
    """Answers a driver's commands until it sends EXIT.

    :param potential: the model
    :param elements: atomic number of each type, for drivers that send types instead of elements
    :param most_force: eV/angstrom; a larger component is refused
    :raises PetDriverError: if one of the elements is unknown to the model
    """

    def __init__(
        self,
        potential: Potential,
        elements: tuple[int, ...] | None = None,
        most_force: float = 1000.0,
    ) -> None:
        if elements is not None:
            species_indices(np.array(elements, dtype=np.int64), potential.species)
        self.potential, self.most_force = potential, most_force
        self._received = Received(elements)
        self._prediction: Prediction | None = None
        self._evaluations, self._in_model = 0, 0.0
        self._answers: dict[str, Callable[[Connection], object]] = {
            ">NATOMS": self._take_count,
            ">ELEMENTS": self._take_elements,
            ">TYPES": self._take_types,
            ">COORDS": self._take_positions,
            ">CELL": self._take_cell,
            ">CELL_DISPL": self._take_origin,
            "<NATOMS": lambda to: to.send(np.array([self._received.count("<NATOMS")], np.int32)),
            "<ELEMENTS": lambda to: to.send(self._received.atomic_numbers()),
            "<COORDS": self._send_positions,
            "<CELL": self._send_cell,
            "<CELL_DISPL": lambda to: to.send(self._received.origin / self._bohr),
            "<ENERGY": self._send_energy,
            "<PE": self._send_energy,
            "<FORCES": self._send_forces,
            "<STRESS": self._send_stress,
            "<@": lambda to: to.send_text(NODE),
            NODE: lambda _: None,  # the node where all commands are answered
        }

    def run(self, address: Address, wait: float = 60.0) -> None:
        """Connect to a driver and serve it until EXIT.

        :param wait: seconds to wait for the driver
        :raises PetDriverError: if no driver answers, it leaves without EXIT or breaks the protocol,
            or there is no valid result; the connection is closed then
        """
        connection = Connection(address, [*self._answers, "EXIT"], wait)
        self._bohr = connection.factor("bohr", "angstrom")
        self._hartree = connection.factor("hartree", "electron_volt")
        _print(f"connected to {address}")
        before = time.monotonic()
        try:
            while (command := connection.command()) != "EXIT":
                if command not in self._answers:
                    raise PetDriverError(
                        f"the driver sent {command!r}, which is not supported; the commands are "
                        f"{', '.join(self._answers)}, EXIT"
                    )
                self._answers[command](connection)
        finally:
            connection.close()
        seconds = max(time.monotonic() - before, 1e-9)
        _print(
            f"served {self._evaluations} structures, {self._evaluations / seconds:.2f}/s, "
            f"{self._in_model / seconds:.0%} of the time in the model"
        )

    # -- what the driver sends --

    def _take_count(self, source: Connection) -> None:
        self._prediction = None
        self._received.begin(int(source.integers(">NATOMS", 1)[0]))

    def _take_elements(self, source: Connection) -> None:
        self._prediction = None
        self._received.numbers = source.integers(">ELEMENTS", self._received.count(">ELEMENTS"))

    def _take_types(self, source: Connection) -> None:
        self._prediction = None
        self._received.types = source.integers(">TYPES", self._received.count(">TYPES"))

    def _take_positions(self, source: Connection) -> None:
        self._prediction = None
        positions = source.floats(">COORDS", 3 * self._received.count(">COORDS"))
        self._received.positions = positions.reshape(-1, 3) * self._bohr

    def _take_cell(self, source: Connection) -> None:
        self._prediction = None
        self._received.place_cell(source.floats(">CELL", 9).reshape(3, 3) * self._bohr)

    def _take_origin(self, source: Connection) -> None:
        self._received.origin = source.floats(">CELL_DISPL", 3) * self._bohr

    # -- what it asks for --

    def _send_positions(self, target: Connection) -> None:
        target.send(self._received.system().positions / self._bohr)

    def _send_cell(self, target: Connection) -> None:
        target.send(self._periodic("<CELL").cell / self._bohr)

    def _send_energy(self, target: Connection) -> None:
        target.send(np.array([self._result().energy / self._hartree]))

    def _send_forces(self, target: Connection) -> None:
        target.send(self._result().forces * (self._bohr / self._hartree))

    def _send_stress(self, target: Connection) -> None:
        volume = abs(np.linalg.det(self._periodic("<STRESS").cell))
        stress: Floats = self._result().virial / volume
        target.send(stress * (self._bohr**3 / self._hartree))

    def _periodic(self, command: str) -> System:
        """The structure, for a command that needs a cell."""
        system = self._received.system()
        if not system.pbc.all():
            raise PetDriverError(
                f"the driver asked for {command} without having sent >CELL; in LAMMPS leave out "
                "`virial yes` where the box is not periodic"
            )
        return system

    def _result(self) -> Prediction:
        """Result for the structure as it is now, evaluated once.

        Errors of the structure are raised here, when the driver waits and nothing that it sent is
        unread.
        """
        if self._prediction is None:
            system, before = self._received.system(), time.monotonic()
            try:
                found = self.potential.compute(system)
                if not self._evaluations:
                    check_units(system)
                check_forces(found.forces, self.most_force)
            except PetDriverError as error:
                raise PetDriverError(f"{error} ({write_failed([system])})") from error
            self._prediction = found
            self._evaluations += 1
            self._in_model += time.monotonic() - before
        return self._prediction


def _print(message: str) -> None:
    print(f"pet-driver mdi: {message}", file=sys.stderr, flush=True)
