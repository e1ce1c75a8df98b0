"""Energy and forces along paths across every switch of the frames, with random weights.

Along a path with parameter s the slope dE/ds follows from the forces. A jump in the slope would
stay as two neighboring points come together; a kink in its k-th derivative would make the divided
differences of order k + 1 grow without bound.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from helpers import CONTRAST, GENTLE_CONTRAST, MODERN, NEAREST
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import rotated
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames import FrameConstants

SHARP = replace(MODERN, frames=FrameConstants())  # the paper's pruning

ALL_FRAMES = {
    "gentle": MODERN,
    "nearest": NEAREST,
    "sharp": SHARP,
    "contrast": CONTRAST,
    "gentle contrast": GENTLE_CONTRAST,
}


def along(angle, length):
    """Position at an angle from the x axis, in the plane, degrees and angstrom."""
    turn = np.radians(angle)
    return [length * np.cos(turn), length * np.sin(turn), 0.0]


def cluster(symbols, positions):
    return Atoms(symbols, [[0.0, 0.0, 0.0], *positions])


def pulled(crystal, direction, s):
    """A perfect crystal of carbon whose first atom is moved by s along a direction."""
    atoms = crystal.copy()
    atoms.numbers[:] = 6
    atoms.positions[0] += s * np.array(direction) / np.linalg.norm(direction)
    return atoms


DIAMOND = bulk("C")  # 12 equal frames
FCC = bulk(
    "Cu", a=3.4, orthorhombic=True
)  # 24 equal frames, and 96 of three quarters of their weight
BCC = bulk("W", a=2.9, cubic=True)


# What moves with s, and the range of s. Cutoff 3.5, outer radius 3.35, margin 0.15 angstrom.
PATHS = {
    "a neighbor passes the inner cutoff": (
        lambda s: cluster("OHHH", [along(0, 0.97), along(104, 0.98), [0.2, 0.4 * s, s]]),
        (0.9, 1.6),
    ),
    "a neighbor passes the outer radius and the cutoff": (
        lambda s: cluster("OHO", [along(0, 0.97), along(100, s)]),
        (3.0, 3.6),
    ),
    "two atoms part": (lambda s: cluster("OH", [along(30, s)]), (3.2, 3.6)),
    "three in a line": (
        lambda s: cluster("COO", [along(0, 1.16), along(180 + s, 1.17)]),
        (-40.0, 40.0),
    ),
    "four in a line": (
        lambda s: cluster("CCHH", [along(0, 1.2), along(0.7 * s, 2.3), along(180 + s, 1.06)]),
        (-35.0, 35.0),
    ),
    "a tie of two neighbors": (
        lambda s: cluster("CHHO", [along(0, 1.1 + s), along(120, 1.1 - s), [-0.3, -0.9, 0.5]]),
        (-0.15, 0.15),
    ),
    "a proton passes from one neighbor to another": (
        lambda s: cluster("HOOC", [along(0, 1.25 + s), along(165, 1.25 - s), along(90, 2.0)]),
        (-0.45, 0.45),
    ),
    "a square loses its symmetry": (
        lambda s: cluster("COOOO", [along(90 * k, 1.3 + (s if k == 0 else 0.0)) for k in range(4)]),
        (-0.2, 0.2),
    ),
}

# An atom is pulled out of a perfect crystal: ties of 12, of 24 (and 96 lighter) and of 8 frames.
CRYSTAL_PATHS = {
    "an atom of diamond is pulled along a bond": (
        lambda s: pulled(DIAMOND, [1, 1, 1], s),
        (-0.2, 0.25),
    ),
    "an atom of diamond is pulled off all bonds": (
        lambda s: pulled(DIAMOND, [0.2, 0.5, 0.9], s),
        (-0.2, 0.25),
    ),
    "an atom of an fcc crystal is pulled out": (
        lambda s: pulled(FCC, [0.9, 0.3, 0.1], s),
        (-0.2, 0.25),
    ),
    "an atom of a bcc crystal is pulled out": (
        lambda s: pulled(BCC, [0.9, 0.3, 0.1], s),
        (-0.2, 0.25),
    ),
}


def potential_of(hyper, scope, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Potential(random_checkpoint(hyper), dtype="float64", scope=scope, **options)


def slopes(potential, path, s):
    """dE/ds from the forces; the path is differentiated numerically, exactly enough for lines."""
    step = 1e-4
    structures = [path(x) for x in s]
    moves = [(path(x + step).positions - path(x - step).positions) / (2 * step) for x in s]
    found = potential.compute(structures)
    return np.array([-(p.forces * move).sum() for p, move in zip(found, moves, strict=True)])


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("hyper", ALL_FRAMES.values(), ids=ALL_FRAMES.keys())
def test_forces_do_not_jump(hyper, path):
    assert_no_jump(potential_of(hyper, "layer"), *path)


def assert_no_jump(potential, geometry, ends):
    """Where the slope changes most, look closer, until the points are 2e-10 of the path apart."""
    start, end = ends
    changes = []
    for _ in range(6):  # 40 times nearer each time
        s = np.linspace(start, end, 41)
        values = slopes(potential, geometry, s)
        steepest = np.abs(np.diff(values)).argmax()
        changes.append(np.abs(np.diff(values)).max())
        start, end = s[steepest], s[steepest + 1]
    # A jump would stay; what is smooth shrinks with the distance, down to rounding.
    rounding = 1e-12 * max(np.abs(values).max(), 1.0)
    assert changes[-1] < max(changes[-2] / 20.0, rounding), changes


@pytest.mark.parametrize("name", ["an atom of diamond is pulled off all bonds"])
def test_forces_do_not_jump_in_a_crystal(name):
    assert_no_jump(potential_of(CONTRAST, "layer"), *CRYSTAL_PATHS[name])


@pytest.mark.slow
@pytest.mark.parametrize("path", CRYSTAL_PATHS.values(), ids=CRYSTAL_PATHS.keys())
@pytest.mark.parametrize("hyper", ALL_FRAMES.values(), ids=ALL_FRAMES.keys())
def test_forces_do_not_jump_in_crystals(hyper, path):
    assert_no_jump(potential_of(hyper, "layer"), *path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope", "hyper", "name"),
    [
        *(("layer", MODERN, name) for name in PATHS),
        *(("layer", NEAREST, name) for name in PATHS),
        *(("layer", CONTRAST, name) for name in PATHS),
        *(("layer", CONTRAST, name) for name in CRYSTAL_PATHS),
        ("layer", GENTLE_CONTRAST, "an atom of diamond is pulled off all bonds"),
        ("atom", CONTRAST, "three in a line"),
        ("atom", MODERN, "three in a line"),
    ],
)
def test_energy_is_smooth_to_fourth_order(scope, hyper, name):
    """Divided differences of the slope up to third order converge.

    Where they do not on the whole path, look closer around the largest third difference: a steep
    place is resolved at last, a derivative that jumps would double the difference of the next
    order for ever.
    """
    geometry, (start, end) = (PATHS | CRYSTAL_PATHS)[name]
    potential = potential_of(hyper, scope)
    ratios = [np.inf]
    for _ in range(4):
        s = np.linspace(start, end, 2049)
        values = slopes(potential, geometry, s)
        ratios = [
            np.abs(np.diff(values, order)).max()
            / np.abs(np.diff(values[::2], order)).max()
            * 2**order
            for order in (1, 2, 3)
        ]
        if max(ratios) < 1.3:
            return
        centre = s[np.abs(np.diff(values, 3)).argmax()]
        start, end = centre - (end - start) / 16, centre + (end - start) / 16
    pytest.fail(f"divided differences grow by {ratios} as points come together")


@pytest.mark.parametrize("scope", ["layer", "atom"])
def test_bending_of_a_linear_molecule_survives(scope):
    """The symmetrized energy follows the plain network averaged over orientations."""
    hyper = replace(MODERN, message_layers=1) if scope == "layer" else MODERN
    plain, exact = potential_of(hyper, "none"), potential_of(hyper, scope)
    turns = Rotation.random(60, random_state=2).as_matrix()
    angles = np.array([-40.0, -25.0, -10.0, -3.0, 0.0, 3.0, 10.0, 25.0, 40.0])
    geometry, _ = PATHS["three in a line"]

    def per_atom(potential, structures):
        return np.array([p.energies for p in potential.compute(structures)])

    bent = [geometry(angle) for angle in angles]
    turned = [[rotated(atoms, r) for atoms in bent] for r in turns]
    plain_curves = np.array([per_atom(plain, structures) for structures in turned])
    curve = per_atom(exact, bent)
    mean, deviation = plain_curves.mean(0), plain_curves.std(0)
    # Every atom within what its energy varies by: axial frames show it few sides, along the axis.
    assert (np.abs(curve - mean) < 3 * deviation).all()
    np.testing.assert_allclose(curve[:4].sum(1), curve[:4:-1].sum(1), rtol=1e-10)
    # The bending energy itself, likewise.
    bending = (plain_curves - plain_curves[:, 4:5]).sum(2)
    energy = (curve - curve[4]).sum(1)
    assert (np.abs(energy - bending.mean(0)) < 3 * bending.std(0) + 1e-12).all()
    assert abs(energy[0]) > 1e-3
    # From more sides, it is the mean.
    many = per_atom(potential_of(hyper, scope, extra_rotations=40), bent)
    assert (np.abs(many - mean).sum(1) < 0.5 * deviation.sum(1)).all()
