"""MPI: one rank's share of a structure, and what ranks tell each other."""

from .domain import Domain
from .narrowing import Narrowing
from .node import NodePlace
from .pair_domain import PairDomain
from .ranks import agree
from .wide_halo import WideHaloDomain

__all__ = ["Domain", "Narrowing", "NodePlace", "PairDomain", "WideHaloDomain", "agree"]
