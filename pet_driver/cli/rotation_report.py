"""Report of `pet-driver check --symmetry`: errors under rotation and what exactness costs.

Exactness costs time, and forces: the symmetrization force is the part that stems from frames.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import PetDriverError

if TYPE_CHECKING:
    import numpy.typing as npt
    from ase import Atoms

    from ..evaluation.options import EvaluationOptions
    from ..evaluation.potential import Potential
    from ..evaluation.rotation_error import Orientations

_GROUPS = 6  # averages over random rotations, each over rotations of its own


def print_report(
    model: str,
    options: EvaluationOptions,
    atoms: Atoms,
    rotations: int,
    picture: Path | None = None,
) -> None:
    """Compare plain PET, its average over random rotations, and the exact scope.

    :param model: name of a shipped model or path of a model file
    :param rotations: number of random rotations in an average
    :param picture: file to draw the report into
    :raises PetDriverError: if the scope is "none", or the model or the structure is at fault
    """
    if options.scope == "none":
        raise PetDriverError("--symmetry compares plain PET with an exact scope; drop --scope none")
    plain, exact = _plain_and_exact(model, options)
    results = _orientations(plain, exact, atoms, rotations)
    counts = exact.frames(atoms).counts().cpu().numpy()
    print(f"{exact.name}: {len(atoms)} atoms, {options.dtype} on {exact.device}")
    _print_errors(results)
    _print_symmetrization(exact, plain, atoms)
    _print_histogram(counts)
    if picture:
        draw(results, counts, picture)
        print(f"picture: {picture}")


def _plain_and_exact(model: str, options: EvaluationOptions) -> tuple[Potential, Potential]:
    from ..evaluation.potential import Potential
    from ..files.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model)
    scope = options.scope
    if scope is None and checkpoint.hyper.scope == "none":
        scope = "atom"
    exact = Potential(checkpoint, options.replace(scope=scope))
    return exact.plain(), exact


def _orientations(
    plain: Potential, exact: Potential, atoms: Atoms, rotations: int
) -> dict[str, Orientations]:
    """Evaluate the structure in many orientations; results by name of the method."""
    from ..evaluation.rotation_error import in_orientations, random_rotations
    from ..runtime.progress import Progress

    matrices = random_rotations(_GROUPS * rotations)
    exact.compute(atoms)
    with Progress("rotating", len(matrices) + _GROUPS) as progress:
        many = in_orientations(plain, atoms, matrices, progress.advance)
        few = in_orientations(exact, atoms, matrices[:_GROUPS], progress.advance)
    return {
        "plain PET": many,
        f"average over {rotations} random rotations": many.averaged(rotations),
        f"ECSE, scope {exact.scope}": few,
    }


def _print_errors(results: dict[str, Orientations]) -> None:
    """Print errors and cost of each method; the first one costs 1."""
    print(f"{'':38s}{'energy, meV/atom':>18s}{'force, meV/A':>15s}{'ms':>10s}{'cost':>7s}")
    unit = results["plain PET"].seconds
    for name, result in results.items():
        print(
            f"{name:38s}{1e3 * result.energy_error():18.2e}{1e3 * result.force_error():15.2e}"
            f"{1e3 * result.seconds:10.1f}{result.seconds / unit:7.1f}"
        )
    print("errors: root-mean-square deviation over orientations; the same weights in all rows")


def _print_symmetrization(exact: Potential, plain: Potential, atoms: Atoms) -> None:
    """Print the symmetrization force beside the plain forces, and beside errors where known."""
    from ..evaluation.symmetrization import SymmetrizationForce, root_mean_square

    labels = _labelled_forces(atoms)
    error = None
    if labels is not None:
        error = root_mean_square(exact.compute(atoms).forces - labels)
    found = SymmetrizationForce.of(exact, [atoms], error)
    print(
        f"symmetrization force {1e3 * found.symmetrization:.3g} meV/A, root-mean-square, "
        f"{100 * found.share:.1f} % of the plain forces ({1e3 * found.plain:.4g} meV/A)"
    )
    if labels is not None and error is not None:
        plain_error = root_mean_square(plain.compute(atoms).forces - labels)
        print(f"force error {1e3 * error:.3g} meV/A, of plain PET {1e3 * plain_error:.3g} meV/A")
    sentence = found.warning()
    if sentence is not None:
        print(f"warning: {sentence}")


def _labelled_forces(atoms: Atoms) -> npt.NDArray[np.float64] | None:
    """Forces that the file of the structure gives, eV/angstrom; None: it has none."""
    found = atoms.arrays.get("forces")
    if found is None and atoms.calc is not None:
        found = atoms.calc.results.get("forces")
    if found is None or np.shape(found) != (len(atoms), 3):
        return None
    return np.asarray(found, dtype=np.float64)


def _print_histogram(counts: npt.NDArray[np.int64]) -> None:
    """Print the distribution of the number of frames per atom.

    :param counts: (n_atoms,), number of frames of each atom
    """
    print(f"frames per atom: mean {counts.mean():.2f}, largest {counts.max()}")
    edges = _histogram_edges(int(counts.max()))
    for low, high in itertools.pairwise(edges):
        share = np.mean((counts >= low) & (counts < high))
        label = f"{low}" if high == low + 1 else f"{low}-{high - 1}"
        print(f"  {label:>9s} {100 * share:5.1f} % {'#' * round(40 * share)}")


def _histogram_edges(largest: int) -> list[int]:
    """Edges of bins: 1, 2, ... 8, then growing bins, up to above the largest count."""
    edges = list(range(1, min(largest, 8) + 2))
    while edges[-1] <= largest:
        edges.append(edges[-1] + max(edges[-1] // 2, 1))
    return edges


def check_picture(path: Path) -> None:
    """Check that a picture can be drawn into a file, and make its folder.

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


def draw(results: dict[str, Orientations], counts: npt.NDArray[np.int64], path: Path) -> None:
    """Draw errors against cost, and the histogram of frames per atom.

    :param counts: (n_atoms,), number of frames of each atom
    :raises PetDriverError: if the file cannot be written
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for name, result in results.items():
        error = max(1e3 * result.force_error(), 1e-16)
        left.scatter(1e3 * result.seconds, error, label=name, s=60)
    left.set(xscale="log", yscale="log", xlabel="time / ms", ylabel="rotation error / (meV/Å)")
    left.set_title("forces")
    left.legend(fontsize=8)
    edges = np.arange(0.5, counts.max() + 1.5)
    right.hist(counts, bins=edges if len(edges) < 60 else 60, color="tab:gray")
    right.set(xlabel="frames", ylabel="atoms", title="frames per atom")
    try:
        figure.savefig(path, dpi=150)
    except (ValueError, OSError) as error:
        raise PetDriverError(f"{path} cannot be drawn: {error}") from error
    plt.close(figure)
