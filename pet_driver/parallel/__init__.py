"""MPI: a rank's share of a structure, and the communication between ranks."""

from .base import Domain
from .collectives import agree
from .exchange_domain import ExchangeDomain
from .node import NodePlace
from .pair_domain import PairDomain
from .receptive_halo import ReceptiveHalo
from .wide_domain import WideDomain

__all__ = [
    "Domain",
    "ExchangeDomain",
    "NodePlace",
    "PairDomain",
    "ReceptiveHalo",
    "WideDomain",
    "agree",
]
