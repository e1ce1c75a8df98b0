"""Atoms to tensors: structures, neighbor lists, graphs of atoms and edges."""

from .charge_spin import ChargeAndSpin
from .edge_exchange import EdgeExchange, LocalExchange, ReverseEdgeExchange
from .neighbor_list import Edges, check_distances, check_structure, find_edges
from .padded import Batch, PaddedNeighbors
from .system import CHARGE_AND_SPIN_KEYS, System, check_finite, species_indices
from .truncation import TruncatedGraph
from .verlet_cache import VerletCache

__all__ = [
    "CHARGE_AND_SPIN_KEYS",
    "Batch",
    "ChargeAndSpin",
    "EdgeExchange",
    "Edges",
    "LocalExchange",
    "PaddedNeighbors",
    "ReverseEdgeExchange",
    "System",
    "TruncatedGraph",
    "VerletCache",
    "check_distances",
    "check_finite",
    "check_structure",
    "find_edges",
    "species_indices",
]
