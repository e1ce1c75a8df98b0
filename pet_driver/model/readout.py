"""Heads: from the features of a centre and of its edges to energies, vectors and tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .twice_differentiable import SiLU


class Head(nn.Module):
    """Numbers from features, two hidden layers with SiLU.

    :param outputs: so many on a last dimension of their own; 1: no such dimension
    """

    def __init__(self, width: int, hidden: int, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            SiLU(),
            nn.Linear(hidden, hidden),
            SiLU(),
            nn.Linear(hidden, outputs),
        )

    def hidden(self, x: Tensor) -> Tensor:
        """(..., hidden), what the last layer takes."""
        return self.layers[:-1](x)

    def forward(self, x: Tensor) -> Tensor:
        values = self.layers(x)
        return values.squeeze(-1) if self.outputs == 1 else values


class PropertyHead(nn.Module):
    """A vector or a rank 2 tensor of each centre, in the coordinates in which its row was
    evaluated.
    """

    def __init__(self, node_width: int, width: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.shape = (3,) * rank
        self.node = Head(node_width, hidden, 3**rank)
        self.edge = Head(width, hidden, 3**rank)

    def forward(self, node: Tensor, edges: Tensor | None, factors: Tensor) -> Tensor:
        """
        :param node: (n_rows, node_width)
        :param edges: (n_rows, n_neighbors, width); None: the share of the nodes alone
        :param factors: (n_rows, n_neighbors), cutoff factors
        :return: (n_rows, 3) or (n_rows, 3, 3)
        """
        values = self.node(node).view(-1, *self.shape)
        return values if edges is None else values + self.of_edges(edges, factors)

    def of_edges(self, edges: Tensor, factors: Tensor) -> Tensor:
        """The share of the edges."""
        return (factors[..., None] * self.edge(edges)).sum(1).view(-1, *self.shape)


def without_direction_when_alone(values: Tensor, factors: Tensor) -> Tensor:
    """Fade vectors, and all of a tensor but its trace, as the last neighbors leave.

    An atom without neighbors knows no direction, yet the axis towards its last neighbor stays sharp
    until that is gone. The share ``1 - prod(1 - f_c)`` is 1 as long as one neighbor is near.

    :param values: (n_centres, 3) or (n_centres, 3, 3)
    :param factors: (n_centres, n_neighbors), cutoff factors, 0 for padding
    """
    company = 1.0 - (1.0 - factors).prod(1)
    if values.dim() == 2:
        return company[:, None] * values
    trace = values.diagonal(dim1=1, dim2=2).sum(-1) / 3.0
    isotropic = trace[:, None, None] * torch.eye(3, dtype=values.dtype, device=values.device)
    return isotropic + company[:, None, None] * (values - isotropic)
