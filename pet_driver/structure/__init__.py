"""Atoms to tensors: systems, neighbor lists and environments."""

from .charge_and_spin import ChargeAndSpin
from .edges import Edges, check_distances, check_structure, find_edges
from .environments import Batch, Environments
from .neighbor_lists import NeighborLists
from .system import CHARGE_AND_SPIN_KEYS, System, check_finite, species_indices

__all__ = [
    "CHARGE_AND_SPIN_KEYS",
    "Batch",
    "ChargeAndSpin",
    "Edges",
    "Environments",
    "NeighborLists",
    "System",
    "check_distances",
    "check_finite",
    "check_structure",
    "find_edges",
    "species_indices",
]
