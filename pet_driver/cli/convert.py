"""`pet-driver convert`: makes a model file of a model that another program has trained."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_choice_of_frames, check_model_output, read_structures

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.frame_choice import FrameChoice
    from ..files.checkpoint import Checkpoint

_DISPLACED = 0.05  # angstrom, root mean square of each coordinate
_FEW_ATOMS = 8


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of this verb."""
    parser = verbs.add_parser(
        "convert",
        help="make a model file from a metatrain checkpoint (PET-MAD, uPET ...) or an original PET",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=Path,
        help=".ckpt file of `mtt train`, or folder written by the original code (spozdn/pet)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: SOURCE's name")
    parser.add_argument(
        "--variant",
        metavar="NAME",
        help="which energy of a checkpoint with several, or which weights of a folder",
    )
    parser.add_argument(
        "--sudden-bonds",
        action="store_true",
        help="the folder is from before April 2024, when bond energies ended at the cutoff "
        "without the cutoff factor",
    )
    add_choice_of_frames(parser)
    parser.add_argument(
        "--structure",
        metavar="FILE",
        type=Path,
        help="structure that frame constants are chosen on, with atoms displaced a little "
        "(default: a random one of the elements)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Convert a checkpoint or folder and write the model file.

    :raises PetDriverError: if the source cannot be converted, or the output not be written
    """
    from ..files.checkpoint import save_checkpoint
    from ..files.conversion import convert
    from ..frames import NAMED_CONSTANTS

    source = options.source
    name = source.resolve().name if source.is_dir() else source.stem
    output = options.output or Path(f"{name}.safetensors")
    check_model_output(output)
    if options.frames and options.structure:
        raise PetDriverError("--structure is for the choice of frames; give it or --frames")
    structure = read_structures(options.structure)[0] if options.structure else None
    checkpoint = convert(options.source, options.variant, options.sudden_bonds)
    if options.frames:
        frames = NAMED_CONSTANTS[options.frames]
        checkpoint = replace(checkpoint, hyper=replace(checkpoint.hyper, frames=frames))
        described = f"frames: {options.frames}"
    else:
        choice = _choice(checkpoint, structure)
        checkpoint, described = choice.applied(checkpoint), _described(choice)
    save_checkpoint(checkpoint, output)
    names = [name for name, _ in checkpoint.hyper.properties]
    if checkpoint.uncertainty is not None:
        names.append("uncertainty of the energy")
    print(
        f"wrote {output}: {len(checkpoint.hyper.species)} elements, "
        f"{sum(w.numel() for w in checkpoint.weights.values()):,} parameters"
        + (f", with {', '.join(names)}" if names else "")
        + "\nas trained it is not symmetric; with scope atom or structure it is, exactly,"
        + "\nand in scope layer, at a lower cost, after `pet-driver symmetrize`\n"
        + described
    )


def _choice(checkpoint: Checkpoint, structure: Atoms | None) -> FrameChoice:
    """Choose the constants of the frames.

    :param structure: None: a random one
    """
    from ..evaluation.frame_choice import CANDIDATES, choose_frames, random_structure
    from ..runtime.progress import Progress

    if structure is None:
        structure = random_structure(checkpoint.hyper.species)
    else:
        structure = _displaced(structure)
    with Progress("choosing frames", len(CANDIDATES)) as progress:
        return choose_frames(checkpoint, structure, progress.advance)


def _displaced(structure: Atoms) -> Atoms:
    """A structure without symmetry: in a perfect crystal the forces of frames vanish.

    Few atoms are repeated first, as images of one atom are displaced alike.
    """
    repeats = 2 if len(structure) < _FEW_ATOMS else 1
    copy: Atoms = structure.repeat([repeats if periodic else 1 for periodic in structure.pbc])
    copy.rattle(_DISPLACED, seed=0)
    return copy


def _described(choice: FrameChoice) -> str:
    """What was measured for each candidate, and a warning where even the best is too large."""
    lines = [f"frames: {choice.name}, chosen on {choice.structure}, scope atom:"]
    for name, x in choice.found.items():
        lines.append(
            f"  {name:10s}{x.frames:6.1f} frames per atom, symmetrization force "
            f"{1e3 * x.symmetrization:.3g} meV/A, {100 * x.share:.1f} % of the plain forces"
        )
    sentence = choice.found[choice.name].warning()
    return "\n".join(lines if sentence is None else [*lines, f"warning: {sentence}"])
