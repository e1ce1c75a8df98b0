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
    # Powers are rounded from float64: in float32 their last bits differ between CPU and GPU.
    of_one, of_two = ((z.to(torch.float64) ** _POWER).to(torch.float32) for z in numbers)
    range_ = (_LENGTH / (of_one + of_two)).to(lengths.dtype)
    charge = (_COULOMB * one * two).to(lengths.dtype)
    end, slope, curvature = _screened(cutoffs, charge, range_)
    third = (cutoffs * curvature - 3.0 * slope) / cutoffs**2
    fourth = (2.0 * slope - cutoffs * curvature) / cutoffs**3
    constant = cutoffs * slope / 2.0 - cutoffs**2 * curvature / 12.0 - end
    energy = _screened(lengths, charge, range_)[0]
    energy = energy + third / 3.0 * lengths**3 + fourth / 4.0 * lengths**4 + constant
    return torch.where(lengths < cutoffs, 0.5 * energy, 0.0)


def _screened(r: Tensor, charge: Tensor, range_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Screened Coulomb energy, its first and its second derivative.

    :param r: (n_edges,), angstrom; charge: (n_edges,), eV angstrom; range_: (n_edges,), angstrom
    """
    phi, first, second = torch.zeros_like(r), torch.zeros_like(r), torch.zeros_like(r)
    for share, number in zip(_SHARES, _DECAYS, strict=True):
        decay = number / range_
        term = share * torch.exp(-r * decay)
        phi, first, second = phi + term, first - term * decay, second + term * decay**2
    return (
        charge * phi / r,
        charge / r * (first - phi / r),
        charge / r * (second - 2.0 * first / r + 2.0 * phi / r**2),
    )
