"""Atoms to tensors: systems, neighbor lists and environments."""

from .edges import Edges, check_distances, check_structure, find_edges
from .environments import Batch, Environments
from .neighbor_lists import NeighborLists
from .system import System, check_finite, species_indices

__all__ = [
    "Batch",
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
