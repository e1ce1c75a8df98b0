"""What TF32 does to forces, symmetry and dynamics, emulated on a CPU.

python benchmarks/tf32.py [--model water] [--steps 2000]

A GPU with ``precision=tf32`` rounds the factors of each matrix product to 10 bits behind the point
and adds in float32. Here the same is done to the factors of every product, forward and backward.
Prints errors of energy and forces against float64, the rotation error, and for NVE dynamics of
water at 300 K the drift and the largest distance from it; writes results/tf32.json.
"""

from __future__ import annotations

import argparse
import contextlib
import warnings
from typing import Any

import numpy as np
import torch
from ase import Atoms
from conservation import nve, thermal, water
from results_file import write_results
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import in_orientations, random_rotations
from pet_driver.files.checkpoint import load_checkpoint

_PRODUCTS = (
    *("aten::mm", "aten::bmm", "aten::mv"),
    *("aten::addmm", "aten::addmm_", "aten::baddbmm", "aten::baddbmm_", "aten::addmv"),
)
_DROPPED = 13  # bits of the 23 behind the point of float32


class RoundedProducts(TorchDispatchMode):
    """Context in which matrix products of float32 take factors rounded as TF32."""

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Do one operation, its factors rounded if it is a product."""
        if func._schema.name in _PRODUCTS:
            # The last two are the factors; what is added to their product is not rounded.
            args = (*args[:-2], *(rounded(x) for x in args[-2:]))
        return func(*args, **(kwargs or {}))


def rounded(factor: Tensor) -> Tensor:
    """Nearest numbers of TF32."""
    if factor.dtype != torch.float32:
        return factor
    bits = factor.contiguous().view(torch.int32)
    half = 1 << (_DROPPED - 1)
    return ((bits + half) >> _DROPPED << _DROPPED).view(torch.float32)


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="water")
    parser.add_argument("--steps", type=int, default=2000)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    checkpoint = load_checkpoint(chosen.model)
    case = water()
    exact = Potential(checkpoint, dtype="float64")
    start = thermal(exact, case)
    found = {}
    for name in ("float32", "tf32"):
        with RoundedProducts() if name == "tf32" else contextlib.nullcontext():
            found[name] = against_float64(Potential(checkpoint), exact, start)
            found[name] |= conserved(Potential(checkpoint), start, case.time_step, chosen.steps)
        print(name, {key: f"{value:.3g}" for key, value in found[name].items()}, flush=True)
        content = {"model": chosen.model, "atoms": len(start), "steps": chosen.steps, **found}
        write_results("tf32", content)


def against_float64(potential: Potential, exact: Potential, start: Atoms) -> dict[str, float]:
    """Errors of energy and forces, and how much they change as the box is turned."""
    here, there = potential.compute(start), exact.compute(start)
    turned = in_orientations(potential, start, random_rotations(5))
    return {
        "energy, meV/atom": 1e3 * abs(here.energy - there.energy) / len(start),
        "forces, meV/A": 1e3 * float(np.sqrt(np.mean((here.forces - there.forces) ** 2))),
        "rotation error of energy, meV/atom": 1e3 * turned.energy_error(),
        "rotation error of forces, meV/A": 1e3 * turned.force_error(),
    }


def conserved(potential: Potential, start: Atoms, time_step: float, steps: int) -> dict[str, float]:
    """Drift of the total energy, and its largest distance from the drift.

    :param time_step: fs
    """
    motion = nve(potential, start.copy(), time_step, steps, "NVE")
    return {name: motion[name] for name in ("drift, meV/atom/ns", "farthest, meV/atom")}


if __name__ == "__main__":
    main()
