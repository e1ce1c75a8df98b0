"""Atoms to tensors: structures, neighbor lists, and the graph that is evaluated."""

from .assembly import forces_and_virials, symmetrized
from .charge_spin import ChargeAndSpin
from .collective import Collective, SingleProcess
from .edge_exchange import (
    BothEndsExchange,
    EdgeExchange,
    LocalExchange,
    ReverseEdgeExchange,
    Truncation,
)
from .graph import Graph, graph_of_edges
from .neighbor_list import Edges, check_distances, check_structure, find_edges
from .padded import PaddedNeighbors, inverse_index
from .resident_list import NEIGHBORS, ResidentList
from .structure_graphs import StructureGraphs, as_systems
from .system import CHARGE_AND_SPIN_KEYS, System, check_finite, species_indices
from .truncation import SEEN, truncate
from .verlet_cache import Listed, VerletCache

__all__ = [
    "CHARGE_AND_SPIN_KEYS",
    "NEIGHBORS",
    "SEEN",
    "BothEndsExchange",
    "ChargeAndSpin",
    "Collective",
    "EdgeExchange",
    "Edges",
    "Graph",
    "Listed",
    "LocalExchange",
    "PaddedNeighbors",
    "ResidentList",
    "ReverseEdgeExchange",
    "SingleProcess",
    "StructureGraphs",
    "System",
    "Truncation",
    "VerletCache",
    "as_systems",
    "check_distances",
    "check_finite",
    "check_structure",
    "find_edges",
    "forces_and_virials",
    "graph_of_edges",
    "inverse_index",
    "species_indices",
    "symmetrized",
    "truncate",
]
