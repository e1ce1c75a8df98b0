"""The network: tensors in, tensors out. Knows nothing of files, engines or MPI."""

from .adaptive_cutoff import adaptive_cutoffs
from .hyperparameters import Hyperparameters
from .network_input import LayerMap, MessageExchange, NetworkInput
from .pet import PET
from .zbl import zbl_energies

__all__ = [
    "PET",
    "Hyperparameters",
    "LayerMap",
    "MessageExchange",
    "NetworkInput",
    "adaptive_cutoffs",
    "zbl_energies",
]
