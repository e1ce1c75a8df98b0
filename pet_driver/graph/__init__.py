"""Atoms to tensors: structures, neighbor lists, and the graph that is evaluated."""

from .assembly import forces_and_virials, symmetrized
from .charge_spin import ChargeAndSpin
from .closest_pairs import closest_pairs
from .collective import Collective, SingleProcess
from .edge_buffers import NEIGHBORS, EdgeBuffers
from .edge_exchange import (
    BothEndsExchange,
    EdgeExchange,
    LocalExchange,
    ReverseEdgeExchange,
    TableExchange,
    Truncation,
    with_zero_row,
)
from .graph import Graph, graph_of_edges
from .neighbor_list import (
    TOO_CLOSE,
    Edges,
    check_distances,
    check_extent,
    check_structure,
    find_edges,
    periodic_cell,
)
from .neighbor_table import ListedEdges, NeighborTable
from .padded import PaddedNeighbors, inverse_index
from .resident_list import ResidentGraphs, ResidentList
from .structure_graphs import StructureGraphs, Structures, as_systems
from .system import CHARGE_AND_SPIN_KEYS, System, check_finite, species_indices
from .truncation import SEEN, truncate
from .verlet_cache import Listed, VerletCache

__all__ = [
    "CHARGE_AND_SPIN_KEYS",
    "NEIGHBORS",
    "SEEN",
    "TOO_CLOSE",
    "BothEndsExchange",
    "ChargeAndSpin",
    "Collective",
    "EdgeBuffers",
    "EdgeExchange",
    "Edges",
    "Graph",
    "Listed",
    "ListedEdges",
    "LocalExchange",
    "NeighborTable",
    "PaddedNeighbors",
    "ResidentGraphs",
    "ResidentList",
    "ReverseEdgeExchange",
    "SingleProcess",
    "StructureGraphs",
    "Structures",
    "System",
    "TableExchange",
    "Truncation",
    "VerletCache",
    "as_systems",
    "check_distances",
    "check_extent",
    "check_finite",
    "check_structure",
    "closest_pairs",
    "find_edges",
    "forces_and_virials",
    "graph_of_edges",
    "inverse_index",
    "periodic_cell",
    "species_indices",
    "symmetrized",
    "truncate",
    "with_zero_row",
]
