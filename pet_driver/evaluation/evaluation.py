"""Request for the evaluation of a graph, and the results as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ..frames import FrameSet
from ..runtime.table_sizes import TableSizes

# Given all frames of all centres, returns one for each centre.
FrameSampler = Callable[[FrameSet], FrameSet]


@dataclass(frozen=True)
class EvaluationRequest:
    """How a graph is evaluated.

    memory: bytes that intermediate results may take, None: no limit; chunk: most (centre, frame)
    samples evaluated at a time, None: as many as fit into ``memory``; gradient: whether to compute
    the gradient with respect to the edge vectors, otherwise it is zero; weights_too: keep what a
    gradient with respect to the weights needs; sampler: in scope layer, draws one frame for each
    centre, anew in each layer, None: all frames; variances: whether to compute variances over the
    frames; low_precision: run the network in bfloat16.
    """

    memory: int | None = None
    chunk: int | None = None
    gradient: bool = True
    weights_too: bool = False
    sampler: FrameSampler | None = None
    variances: bool = False
    low_precision: bool = False
    sizes: TableSizes | None = None

    @property
    def frozen(self) -> bool:
        """Whether weights need no gradient, and all is computed in the dtype of the weights."""
        return not (self.weights_too or self.low_precision or self.sizes is not None)


@dataclass(frozen=True)
class Evaluation:
    """Results for the atoms that a process owns.

    energies: (n_owned,); gradient: of the sum of the energies with respect to the edge vectors,
    (n_edges, 3); properties: (n_owned, 3) or (n_owned, 3, 3) each, by name; energy_variance,
    message_variance: (n_owned,), over frames, where asked for; symmetrization: (n_edges, 3), the
    part of the gradient that goes through frames and their weights, None without frames or without
    gradient. In units of the network, or, after `Rescaling.applied`, in eV, eV/angstrom and the
    units of the properties.
    """

    energies: Tensor
    gradient: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_variance: Tensor | None = None
    message_variance: Tensor | None = None
    symmetrization: Tensor | None = None
