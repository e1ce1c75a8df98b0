"""Screened repulsion of nuclei at short distances (Ziegler, Biersack and Littmark)."""

from __future__ import annotations

import torch
from torch import Tensor

# Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Matter (1985); as in LAMMPS
# (pair_style zbl, https://docs.lammps.org/pair_zbl.html) and metatrain.
_SHARES = (0.02817, 0.28022, 0.50986, 0.18175)
_DECAYS = (0.20162, 0.40290, 0.94229, 3.19980)
_LENGTH = 0.46850  # angstrom
_POWER = 0.23
_COULOMB = 14.399645478425668  # eV angstrom


def zbl_energies(lengths: Tensor, numbers: tuple[Tensor, Tensor], cutoffs: Tensor) -> Tensor:
    """Half of the repulsion energy of each pair, switched off smoothly up to the cutoff.

    A cubic and a quartic term and a constant make energy, slope and curvature vanish at the cutoff:
    LAMMPS's switching function with the inner cutoff at 0.

    :param lengths: (n_edges,), angstrom, float64
    :param numbers: (n_edges,) each, atomic numbers of the two ends
    :param cutoffs: (n_edges,), of each pair, angstrom
    :return: (n_edges,), eV
    """
    # In float32, as metatrain does it: its networks were trained together with this repulsion.
    one, two = (z.to(torch.float32) for z in numbers)
    range_ = (_LENGTH / (one**_POWER + two**_POWER)).to(lengths.dtype)
    decays = lengths.new_tensor(_DECAYS) / range_[:, None]
    charge = (_COULOMB * one * two).to(lengths.dtype)
    end, slope, curvature = _screened(cutoffs, charge, decays)
    third = (cutoffs * curvature - 3.0 * slope) / cutoffs**2
    fourth = (2.0 * slope - cutoffs * curvature) / cutoffs**3
    constant = cutoffs * slope / 2.0 - cutoffs**2 * curvature / 12.0 - end
    energy = _screened(lengths, charge, decays)[0]
    energy = energy + third / 3.0 * lengths**3 + fourth / 4.0 * lengths**4 + constant
    return torch.where(lengths < cutoffs, 0.5 * energy, 0.0)


def _screened(r: Tensor, charge: Tensor, decays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Screened Coulomb energy, its first and its second derivative."""
    terms = r.new_tensor(_SHARES) * torch.exp(-r[:, None] * decays)
    phi, first, second = terms.sum(1), -(terms * decays).sum(1), (terms * decays**2).sum(1)
    return (
        charge * phi / r,
        charge / r * (first - phi / r),
        charge / r * (second - 2.0 * first / r + 2.0 * phi / r**2),
    )
