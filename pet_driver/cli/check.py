"""`pet-driver check`: test a model on this machine, or report how far it is from symmetric."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PetDriverError
from .model_options import add_model_options, load, options_from, read_structures

if TYPE_CHECKING:
    import numpy.typing as npt
    from ase import Atoms

    from ..evaluation.potential import Potential

# Steps of the finite differences, angstrom: larger where energies are rounded.
_STEPS = {"float32": 1e-2, "float64": 1e-4}
_SAMPLED = 6  # force components that are compared with finite differences


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
    parser = verbs.add_parser(
        "check", help="self-test on a structure; with --symmetry, a report on rotations"
    )
    add_model_options(parser, dtype="float64")
    parser.add_argument(
        "structure", metavar="STRUCTURE", type=Path, help="any format that ASE reads; its first one"
    )
    parser.add_argument(
        "--symmetry",
        action="store_true",
        help="errors under rotation, cost and symmetrization force: plain, averaged over random "
        "rotations, exact; force errors too where STRUCTURE has forces (eV/A)",
    )
    parser.add_argument(
        "--rotations", type=int, default=8, help="random rotations to average over (default: 8)"
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="with --symmetry: draw the report (png, pdf, svg)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the self-test or print the report on symmetry; 1 if a test failed, otherwise 0.

    :raises PetDriverError: if an argument, the model or the structure is at fault
    """
    from .rotation_report import check_picture, print_report

    atoms = read_structures(arguments.structure)[0]
    if not arguments.symmetry:
        if arguments.plot:
            raise PetDriverError("--plot draws the report on symmetry; add --symmetry")
        return self_test(load(arguments), atoms)
    if arguments.rotations < 2:
        raise PetDriverError(f"--rotations is {arguments.rotations}; give at least 2")
    if arguments.plot:
        check_picture(arguments.plot)
    print_report(
        arguments.model, options_from(arguments), atoms, arguments.rotations, arguments.plot
    )
    return 0


def self_test(potential: Potential, atoms: Atoms) -> int:
    """Print each check with its value and verdict; 0 if all pass, 1 otherwise."""
    from ..evaluation.rotation_error import in_orientations, random_rotations

    single = potential.dtype == "float32"
    prediction = potential.compute(atoms)
    scale = max(np.abs(prediction.forces).max(), 1e-3)
    slope_error = _slope_error(potential, atoms, prediction.forces)
    turned = in_orientations(potential, atoms, random_rotations(4))
    energy, force = turned.largest_changes()
    exact = potential.scope != "none"
    # Name, value, and the limits in float32 and in float64; all are relative.
    checks = [
        ("forces against finite differences", slope_error / scale, 2e-2, 1e-5),
        ("sum of all forces", np.abs(prediction.forces.sum(0)).max() / scale, 1e-4, 1e-10),
    ]
    if exact:
        checks += [
            ("energy under rotation", energy / max(abs(prediction.energy), 1e-3), 1e-5, 1e-10),
            ("forces under rotation", force / scale, 1e-3, 1e-9),
        ]
    print(f"{potential.name}, scope {potential.scope}, {potential.dtype} on {potential.device}")
    print(f"{len(atoms)} atoms, {1e3 * turned.seconds:.1f} ms for energy, forces and virial")
    failed = 0
    for name, value, loose, tight in checks:
        limit = loose if single else tight
        failed += value > limit
        print(f"  {name:36s}{value:10.1e}  {'ok' if value <= limit else f'above {limit:g}'}")
    if not exact:
        print(f"  changes under rotation: {energy:.3g} eV, {force:.3g} eV/A (plain PET: no limit)")
    return int(failed > 0)


def _slope_error(potential: Potential, atoms: Atoms, forces: npt.NDArray[np.float64]) -> float:
    """Largest difference of sampled force components from finite differences, eV/angstrom.

    :param forces: (n_atoms, 3), eV/angstrom
    """
    rng, step = np.random.default_rng(0), _STEPS[potential.dtype]

    def slope(atom: int, axis: int, step: float) -> float:
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(potential.compute(moved).energy)
        return float(energies[1] - energies[0]) / (2.0 * step)

    worst = 0.0
    for atom, axis in rng.integers([len(atoms), 3], size=(_SAMPLED, 2)):
        # Two steps, so that the error of the differences falls with the fourth power of the step.
        found = (4.0 * slope(atom, axis, step) - slope(atom, axis, 2.0 * step)) / 3.0
        worst = max(worst, abs(forces[atom, axis] + found))
    return worst
