"""Step (b): every case of the rehearsal on the card, beside the CPU in float64."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from cases import CASES, MOLECULES  # of tests/rehearsal
from numpy.typing import NDArray
from record import NotMetError, Record
from settings import Settings
from systems import PRECISIONS, SHAPES, check_precision, checkpoint, water

from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.prediction import Prediction
from pet_driver.files.checkpoint import Checkpoint, random_checkpoint

_LIMIT = 1e-9  # of float64, relative; float32 and tf32 are recorded only
_TIMES = 6
_QUICK = ("layer", "foreign", "tensors")


def run(settings: Settings, record: Record) -> None:
    """A row for each case and precision; the reference is computed once for each case."""
    for name in _QUICK if settings.quick else CASES:
        hyper, options = CASES[name]
        compare(settings, record, name, random_checkpoint(hyper), MOLECULES, options)
    for shape in SHAPES[: 1 if settings.quick else None]:
        atoms = [water(24 if settings.quick else 192)]
        name = f"{shape}, {len(atoms[0])} atoms of water"
        compare(settings, record, name, checkpoint(shape), atoms, {})


def compare(
    settings: Settings,
    record: Record,
    name: str,
    model: Checkpoint,
    structures: Sequence[Atoms],
    options: dict[str, Any],
) -> None:
    """Rows of one case."""
    expected: list[Prediction] = []
    baselines = [baseline(model, atoms) for atoms in structures]

    def work(precision: str) -> dict[str, float]:
        check_precision(precision, settings.device)
        if not expected:
            reference = Potential(model, dtype="float64", **options)
            expected.extend(reference.compute(structures))
        chosen = {**PRECISIONS[precision], **options}
        potential = Potential(model, device=settings.device, **chosen)
        # The first times in parts and with measured sizes, then with fixed ones, then recorded.
        found = [potential.compute(structures) for _ in range(_TIMES)]
        numbers = [differences(each, expected, baselines) for each in found]
        numbers = {key: max(each[key] for each in numbers) for key in numbers[0]}
        worst = max(numbers, key=lambda key: numbers[key])
        if precision == "float64" and not numbers[worst] <= _LIMIT:
            sentence = f"{worst} differ by {numbers[worst]:.1e}, more than {_LIMIT:.0e}"
            raise NotMetError(sentence, numbers)
        if not all(map(np.isfinite, numbers.values())):
            raise NotMetError("a number is not finite", numbers)
        return numbers

    for precision in PRECISIONS:
        record.row(f"{name}, {precision}", partial(work, precision))


def baseline(model: Checkpoint, atoms: Atoms) -> NDArray[np.float64]:
    """Energies of isolated atoms, which are no result of the network, (n_atoms,), eV."""
    energies = dict(zip(model.hyper.species, model.baseline, strict=True))
    return np.array([energies[number] for number in atoms.numbers])


def differences(
    found: Sequence[Prediction],
    expected: Sequence[Prediction],
    baselines: Sequence[NDArray[np.float64]],
) -> dict[str, float]:
    """Largest differences by quantity, relative to the largest value of each."""
    pairs = list(zip(found, expected, strict=True))
    above = zip(pairs, baselines, strict=True)
    numbers = {
        "energies": largest([(x.energies - zero, y.energies - zero) for (x, y), zero in above]),
        "forces": largest([(x.forces, y.forces) for x, y in pairs]),
        "virials": largest([(x.virial, y.virial) for x, y in pairs]),
    }
    covariant = [
        (values, getattr(x, kind)[key])
        for x, y in pairs
        for kind in ("vectors", "tensors")
        for key, values in getattr(y, kind).items()
    ]
    return {**numbers, "covariant outputs": largest(covariant)} if covariant else numbers


def largest(pairs: Sequence[tuple[Any, Any]]) -> float:
    """Largest difference over the largest value of all pairs."""
    difference = max(float(np.abs(np.subtract(x, y)).max()) for x, y in pairs)
    return difference / max(max(float(np.abs(y).max()) for _, y in pairs), 1e-300)
