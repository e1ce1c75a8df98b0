"""Atoms whose neighbors lie on one line, where scope "atom" is not exact."""

from __future__ import annotations

import torch
from torch import Tensor

from ..frames import FrameConstants
from ..graph import Graph

_MOST_ATOMS = 100  # that are looked at
_OFF = 1e-6  # sin^2 of the angle to the line, above which an atom is off it


def atom_on_a_line(seen: Graph, cutoff: float, constants: FrameConstants) -> int | None:
    """Own atom whose neighbors lie on one line, while neighbors of these do not; None: no atom.

    Its frames have no second axis of their own, so the atoms off the line are seen in orientations
    that do not turn with the structure.
    """
    found = _on_lines(seen, cutoff, constants)
    if not found.numel():
        return None
    centre, vectors = seen.edge_centre, seen.vectors.detach()
    neighbor = centre[seen.exchange.local_reverse()]
    directions = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    for atom in found[:_MOST_ATOMS].tolist():
        own = centre == atom
        beyond = directions[torch.isin(centre, neighbor[own])]
        across = torch.linalg.cross(beyond, directions[own][:1].expand_as(beyond))
        if bool((across.square().sum(1) > _OFF).any()):
            return int(atom)
    return None


def _on_lines(seen: Graph, cutoff: float, constants: FrameConstants) -> Tensor:
    """Indices of own atoms that have neighbors, all on one line."""
    vectors, valid = seen.frame_vectors(cutoff).detach(), seen.padded.valid
    vectors, valid = vectors[: seen.n_owned], valid[: seen.n_owned]
    if not valid.numel():
        return torch.zeros(0, dtype=torch.int64, device=vectors.device)
    lengths = torch.linalg.vector_norm(vectors, dim=-1).masked_fill(~valid, torch.inf)
    directions = vectors / lengths[..., None]
    nearest = directions.gather(1, lengths.argmin(1)[:, None, None].expand(-1, 1, 3))
    sin2 = 1.0 - (directions * nearest).sum(-1).square()
    off = valid & (sin2 > constants.sin2_threshold - constants.sin2_width)
    return torch.nonzero(valid.any(1) & ~off.any(1)).view(-1)
