"""What LAMMPS' ML-IAP hands to Python, made of a small structure, on the host or on the GPU."""

from __future__ import annotations

import numpy as np
import torch
from small_structures import unrolled


class Arrays:
    """Attributes and methods of LAMMPS' class, in one process.

    :param atoms: the local atoms; their periodic images are ghosts
    :param numbers: of the elements, in the order of `pair_coeff`; atoms of others are of type NULL
    :param cutoff: distance within which pairs are listed, angstrom
    :param depth: how far the ghosts reach, angstrom
    :param lists_ghosts: whether pairs of ghosts are listed too
    :param device: of the arrays; None: numpy's, on the host

    given: what `update_pair_forces` got.
    """

    # The class is asked for these names before the first step.
    nlistatoms = natomneigh = ntotal = elems = pair_i = jatoms = rij = None

    def __init__(self, atoms, numbers, cutoff, depth, lists_ghosts, device=None) -> None:
        self._owner, positions = unrolled(atoms, depth)
        self._device = device
        self.nlocal, self.ntotal = len(atoms), len(positions)
        elements = np.array([numbers.index(z) if z in numbers else -1 for z in atoms.numbers])
        elements = elements[self._owner]
        listed = np.nonzero(elements >= 0)[0]  # LAMMPS leaves atoms of type NULL out of its lists
        self.nlistatoms = int((listed < self.nlocal).sum())
        self.natomneigh = len(listed) if lists_ghosts else self.nlistatoms
        centres = listed[: self.natomneigh]
        apart = np.linalg.norm(positions[centres, None] - positions[listed][None], axis=2)
        i, j = np.nonzero((apart < cutoff) & (centres[:, None] != listed))
        i, j = centres[i], listed[j]
        # LAMMPS has no order of neighbors that could be relied on.
        order = np.random.default_rng(2).permutation(len(i))
        i, j = i[order], j[order]
        self.npairs = len(i)
        self.elems = self._placed(elements.astype(np.int32))
        self.iatoms = self._placed(centres.astype(np.int32))
        self.pair_i = self._placed(i.astype(np.int32))
        self.jatoms = self._placed(j.astype(np.int32))
        self.rij = self._placed(positions[j] - positions[i])
        self.energy = 0.0
        self.eatoms = self._placed(np.zeros(self.nlistatoms))
        self.given = None

    def _placed(self, array: np.ndarray):
        return array if self._device is None else torch.as_tensor(array, device=self._device)

    def update_pair_forces(self, forces) -> None:
        if self._device is not None:
            assert forces.device == self.rij.device
        self.given = np.array(torch.as_tensor(forces).cpu().numpy())

    def energies(self) -> np.ndarray:
        """Energies of the local atoms that are not of type NULL."""
        return np.array(torch.as_tensor(self.eatoms).cpu().numpy())

    def forces(self) -> np.ndarray:
        """Forces on the local atoms, those on their ghosts included."""
        total = np.zeros((self.nlocal, 3))
        i, j = (torch.as_tensor(x).cpu().numpy() for x in (self.pair_i, self.jatoms))
        np.add.at(total, self._owner[i], self.given)
        np.add.at(total, self._owner[j], -self.given)
        return total


class KokkosArrays(Arrays):
    """The same from `pair_style mliap/kk`, which has an exchange of values of atoms."""

    def forward_exchange(self, source, target, _columns) -> None:
        if self.ntotal:  # KOKKOS reads pointers, which are those of its own device
            assert source.device == target.device == torch.as_tensor(self.rij).device
        target.copy_(source[torch.as_tensor(self._owner, device=source.device)])


# By which the class is recognized.
KokkosArrays.__module__ = "mliap_unified_couple_kokkos"
