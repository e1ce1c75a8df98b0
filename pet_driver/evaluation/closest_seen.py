"""Warnings about atoms that are closer than any in the training data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from ase.data import chemical_symbols

from ..graph import Graph
from ..model import Hyperparameters
from ..runtime.warning_lines import OwnAtomsWarning


class ClosestSeen:
    """Warns once for each pair of elements that is closer than in the training data.

    On a CPU only: elsewhere the host would wait for the distances.

    :param known: shortest distance of pairs of elements, angstrom, as of `closest_pairs`
    :param hyper: of the network; its species are those of the pairs
    """

    def __init__(self, known: Mapping[str, float], hyper: Hyperparameters) -> None:
        self._names = [chemical_symbols[z] for z in hyper.species]
        self._radii = hyper.foreign.zbl_radii or (0.0,) * len(self._names)
        self._shortest = torch.zeros(len(self._names), len(self._names), dtype=torch.float64)
        for pair, length in known.items():
            one, two = (self._names.index(name) for name in pair.split("-"))
            self._shortest[one, two] = self._shortest[two, one] = length

    def look(self, graph: Graph) -> None:
        """Warn about pairs of atoms that are closer, unless their elements were named before."""
        padded, vectors = graph.padded, graph.vectors.detach()
        if vectors.device.type != "cpu" or padded.full or not self._shortest.any():
            return
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        one = padded.centre_species.index_select(0, padded.centre)
        two = padded.neighbor_species.view(-1).index_select(0, padded.slots)
        close = torch.nonzero(lengths < self._shortest[one, two]).view(-1)
        for k in close[torch.argsort(lengths[close])].tolist():
            ends = int(one[k]), int(two[k])
            if self._shortest[ends]:
                self._warn(*ends, float(lengths[k]))

    def _warn(self, one: int, two: int, length: float) -> None:
        """Warn about a pair of species, and no more after that."""
        pair = "-".join(self._names[k] for k in sorted((one, two)))
        seen = float(self._shortest[one, two])
        self._shortest[one, two] = self._shortest[two, one] = 0.0
        repelled = length < self._radii[one] + self._radii[two]
        more = "" if repelled else ", or add a repulsion of nuclei"
        warnings.warn(
            f"atoms {pair} are {length:.2f} angstrom apart, closer than any in the training data "
            f"({seen:.2f}): forces there are extrapolated; check the structure{more}",
            OwnAtomsWarning,
            stacklevel=2,
        )
