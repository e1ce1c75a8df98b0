"""Edges that are exactly as long as the cutoff, boxes that are flat or very long."""

import numpy as np
import pytest
from lammps_runs import printed

from helpers import MODERN

CUTOFF = MODERN.cutoff
START = "units metal\natom_modify map array\n"
POTENTIAL = "pair_style pet {model} dtype float64 {keywords}\npair_coeff * * H O\n"
RUN = 'fix move all nve\nrun 2\nprint "ENERGY $(pe:%.12g)"\n'
# By rounding, the length of such an edge differs at its two ends.
CRYSTAL = (
    "lattice {kind} {constant} origin 0.13 0.21 0.37\nregion box block 0 3 0 3 0 3\n"
    "create_box 2 box\ncreate_atoms 2 box\nmass * 1.0\n"
)


@pytest.mark.parametrize("keywords", ["", "skin 0", "halo wide"])
@pytest.mark.parametrize(
    ("kind", "constant"), [("sc", CUTOFF), ("fcc", CUTOFF * np.sqrt(2.0))], ids=["sc", "fcc"]
)
def test_neighbors_at_the_cutoff(run_lammps, model_file, kind, constant, keywords):
    """The self-test and the ghosts suffice, and one rank and two give the same energy."""
    text = START + CRYSTAL.format(kind=kind, constant=constant)
    text += POTENTIAL.format(model=model_file, keywords=keywords) + RUN
    energies = []
    for count in (1, 2):
        result = run_lammps(text, count)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
        energies.append(printed(result.stdout, "ENERGY")[0, 0])
    assert energies[0] == pytest.approx(energies[1], rel=1e-10)


def test_two_dimensions(run_lammps, model_file):
    """LAMMPS calls the third direction periodic there, but has no images along it."""
    text = "units metal\ndimension 2\natom_modify map array\nregion box block 0 8 0 8 -0.25 0.25\n"
    text += "create_box 2 box\ncreate_atoms 1 single 1 1 0\ncreate_atoms 2 single 2 1.5 0\n"
    text += "create_atoms 1 single 3 1 0\nmass * 1.0\nfix flat all enforce2d\n"
    result = run_lammps(text + POTENTIAL.format(model=model_file, keywords="") + RUN, 1)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert "of one rank alone" in result.stdout


@pytest.mark.parametrize("halo", ["exchange", "wide"])
def test_atoms_of_one_rank_far_apart(run_lammps, model_file, halo):
    """What one rank cannot list ends all ranks, which would else wait for it."""
    text = "units metal\natom_modify map array\nboundary f f f\nregion box block 0 1e6 0 20 0 20\n"
    text += "create_box 2 box\nmass * 1.0\n"
    places = ("4 5 5", "5 5.5 5", "6 5 5", "3e5 5 5", "999995 5 5")
    text += "".join(f"create_atoms {1 + k % 2} single {x}\n" for k, x in enumerate(places))
    text += POTENTIAL.format(model=model_file, keywords=f"halo {halo}") + RUN
    result = run_lammps(text, 2)
    assert result.returncode == 2
    assert "too much for the neighbor list" in result.stderr


def test_warnings_about_atoms_of_any_rank(run_lammps):
    """Of the shipped model, which knows the shortest distances of its training data."""
    text = START + "region box block 0 24 0 12 0 12\ncreate_box 2 box\nmass * 1.0\n"
    text += "".join(
        f"create_atoms {kind} single {x} {y} 5\n"
        for left, bond in ((4.0, 0.96), (20.0, 0.6))
        for kind, x, y in ((2, left, 5), (1, left + bond, 5), (1, left - 0.24, 5.93))
    )
    text += "pair_style pet water self_test no\npair_coeff * * H O\nrun 0\n"
    result = run_lammps(text, 2)
    assert result.returncode == 0, result.stderr
    assert "rank 1: atoms H-O are 0.60 angstrom apart" in result.stderr
