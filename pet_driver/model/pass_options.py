"""Options of one pass through the network."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.table_sizes import TableSizes


@dataclass(frozen=True)
class PassOptions:
    """What a pass computes besides energies and properties, and in parts of which size.

    chunk: with more samples (centres times frames) than this, evaluate so many at a time and
    recompute them in the backward pass; None keeps all activations. variances: also return the
    variances over frames. fade: switch vectors and tensors of an atom off smoothly as its last
    neighbor leaves. features: also return the inputs of the last layers of the energy's heads.
    frozen: weights need no gradient, and gradients with respect to positions none of their own, so
    that layers with their backward passes written out may be used (`frozen_blocks`).
    sizes: all samples at once in tables of these sizes, so that the host waits for nothing.
    """

    chunk: int | None = None
    variances: bool = False
    fade: bool = True
    features: bool = False
    frozen: bool = False
    sizes: TableSizes | None = None
