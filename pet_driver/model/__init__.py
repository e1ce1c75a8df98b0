"""The network: tensors in, tensors out; no files, engines or MPI."""

from .adaptive_cutoff import adaptive_cutoffs
from .foreign import ForeignHyperparameters
from .hyperparameters import RESERVED_NAMES, Hyperparameters, flat_fields
from .network_input import (
    BegunExchange,
    EarlyExchange,
    LayerMap,
    MessageExchange,
    NetworkInput,
)
from .output import Output
from .pass_options import PassOptions
from .pet import PET
from .zbl import zbl_energies

__all__ = [
    "PET",
    "RESERVED_NAMES",
    "BegunExchange",
    "EarlyExchange",
    "ForeignHyperparameters",
    "Hyperparameters",
    "LayerMap",
    "MessageExchange",
    "NetworkInput",
    "Output",
    "PassOptions",
    "adaptive_cutoffs",
    "flat_fields",
    "zbl_energies",
]
