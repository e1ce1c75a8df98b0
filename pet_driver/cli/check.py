"""`pet-driver check`: does the model do on this machine what it should, and how symmetric is it."""

from __future__ import annotations

import argparse
import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PetDriverError
from .model_options import add_model_options, load, read_structures

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.potential import Potential
    from ..evaluation.rotation_error import Orientations

# Steps of the finite differences, angstrom: larger where energies are rounded.
_STEPS = {"float32": 1e-2, "float64": 1e-4}
_SAMPLED = 6  # force components that are compared with finite differences


def add_parser(verbs: argparse._SubParsersAction) -> None:
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
        help="errors under rotation and cost: plain, averaged over random rotations, exact",
    )
    parser.add_argument(
        "--rotations", type=int, default=8, help="random rotations to average over (default: 8)"
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="with --symmetry: draw the report (png, pdf, svg)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    atoms = read_structures(options.structure)[0]
    if not options.symmetry:
        if options.plot:
            raise PetDriverError("--plot draws the report on symmetry; add --symmetry")
        return self_test(load(options), atoms)
    if options.rotations < 2:
        raise PetDriverError(f"--rotations is {options.rotations}; give at least 2")
    if options.plot:
        check_picture(options.plot)
    report(options, atoms)
    return 0


# -- the self-test --


def self_test(potential: Potential, atoms: Atoms) -> int:
    """Print each check with its figure; 0 if all hold, 1 otherwise."""
    from ..evaluation.rotation_error import in_orientations, random_rotations

    single = potential.dtype == "float32"
    prediction = potential.compute(atoms)
    scale = max(np.abs(prediction.forces).max(), 1e-3)
    slope_error = _slope_error(potential, atoms, prediction.forces)
    turned = in_orientations(potential, atoms, random_rotations(4))
    energy, force = turned.largest_changes()
    exact = potential.scope != "none"
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


def _slope_error(potential: Potential, atoms: Atoms, forces: np.ndarray) -> float:
    """Largest difference of sampled force components from finite differences, eV/angstrom."""
    rng, step = np.random.default_rng(0), _STEPS[potential.dtype]
    worst = 0.0
    for atom, axis in rng.integers([len(atoms), 3], size=(_SAMPLED, 2)):
        energies = []
        for sign in (-1, 1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(potential.compute(moved).energy)
        slope = (energies[1] - energies[0]) / (2 * step)
        worst = max(worst, abs(forces[atom, axis] + slope))
    return worst


# -- the report on symmetry --


def report(options: argparse.Namespace, atoms: Atoms) -> None:
    """Errors under rotation and cost of the plain model, of averages and of the exact scope."""
    from ..evaluation.potential import load_model
    from ..evaluation.rotation_error import in_orientations, random_rotations
    from ..runtime.progress import Progress

    if options.scope == "none":
        raise PetDriverError("--symmetry compares plain PET with an exact scope; drop --scope none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = load_model(options.model, options.device, options.dtype, "none")
    scope = options.scope
    if scope is None and plain.hyper.scope == "none":
        scope = "atom"
    exact = load_model(options.model, options.device, options.dtype, scope)
    groups = 6
    rotations = random_rotations(groups * options.rotations)
    exact.compute(atoms)
    with Progress("rotating", len(rotations) + groups) as progress:
        many = in_orientations(plain, atoms, rotations, progress.advance)
        few = in_orientations(exact, atoms, rotations[:groups], progress.advance)
    counts = exact.frames(atoms).counts().cpu().numpy()
    averaged = many.averaged(options.rotations)
    rows = {
        "plain PET": many,
        f"average over {options.rotations} random rotations": averaged,
        f"ECSE, scope {exact.scope}": few,
    }
    print(f"{exact.name}: {len(atoms)} atoms, {options.dtype} on {exact.device}")
    print(f"{'':38s}{'energy, meV/atom':>18s}{'force, meV/A':>15s}{'ms':>10s}{'cost':>7s}")
    for name, result in rows.items():
        print(
            f"{name:38s}{1e3 * result.energy_error():18.2e}{1e3 * result.force_error():15.2e}"
            f"{1e3 * result.seconds:10.1f}{result.seconds / many.seconds:7.1f}"
        )
    print("errors: root-mean-square deviation over orientations; the same weights in all rows")
    print(f"frames per environment: mean {counts.mean():.2f}, largest {counts.max()}")
    edges = _histogram_edges(int(counts.max()))
    for low, high in itertools.pairwise(edges):
        share = np.mean((counts >= low) & (counts < high))
        label = f"{low}" if high == low + 1 else f"{low}-{high - 1}"
        print(f"  {label:>9s} {100 * share:5.1f} % {'#' * round(40 * share)}")
    if options.plot:
        draw(rows, counts, options.plot)
        print(f"picture: {options.plot}")


def _histogram_edges(largest: int) -> list[int]:
    """1, 2, 3, ... 8, then growing bins, up to above the largest count."""
    edges = list(range(1, min(largest, 8) + 2))
    while edges[-1] <= largest:
        edges.append(edges[-1] + max(edges[-1] // 2, 1))
    return edges


def check_picture(path: Path) -> None:
    """Before the work that it would show; makes the folder of the picture.

    :raises PetDriverError: if there is no matplotlib, it draws no such files, or the folder cannot
        be made
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise PetDriverError("--plot needs matplotlib; pip install matplotlib") from error
    if path.suffix[1:].lower() not in FigureCanvasBase.filetypes or path.is_dir():
        raise PetDriverError(f"{path} cannot be drawn; give a file that ends in .png, .pdf or .svg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PetDriverError(
            f"{path} cannot be drawn: there is no folder {path.parent} and it cannot be made "
            f"({error.strerror}); choose another"
        ) from error


def draw(rows: dict[str, Orientations], counts: np.ndarray, path: Path) -> None:
    """Errors against cost, and the histogram of frames per environment."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for name, result in rows.items():
        error = max(1e3 * result.force_error(), 1e-16)
        left.scatter(1e3 * result.seconds, error, label=name, s=60)
    left.set(xscale="log", yscale="log", xlabel="time / ms", ylabel="rotation error / (meV/Å)")
    left.set_title("forces")
    left.legend(fontsize=8)
    edges = np.arange(0.5, counts.max() + 1.5)
    right.hist(counts, bins=edges if len(edges) < 60 else 60, color="tab:gray")
    right.set(xlabel="frames", ylabel="environments", title="frames per environment")
    try:
        figure.savefig(path, dpi=150)
    except (ValueError, OSError) as error:
        raise PetDriverError(f"{path} cannot be drawn: {error}") from error
    plt.close(figure)
