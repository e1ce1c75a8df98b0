"""One rank's share of a structure, and the communication between ranks by MPI."""

from .base import Domain
from .collectives import agree
from .exchange_domain import ExchangeDomain
from .node import NodePlace
from .pair_domain import PairDomain
from .rank_group import RankGroup
from .receptive_halo import ReceptiveHalo, receptive_graph
from .resident_domain import ResidentDomain
from .resident_pairs import ListedPairs, ResidentPairs
from .wide_domain import WideDomain

__all__ = [
    "Domain",
    "ExchangeDomain",
    "ListedPairs",
    "NodePlace",
    "PairDomain",
    "RankGroup",
    "ReceptiveHalo",
    "ResidentDomain",
    "ResidentPairs",
    "WideDomain",
    "agree",
    "receptive_graph",
]
