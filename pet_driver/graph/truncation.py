"""Truncated graphs: only the edges within the cutoffs of their atoms, as the network needs."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..frames import in_parts
from ..model import Hyperparameters, adaptive_cutoffs
from ..runtime.table_sizes import MeasuredSizes, TableSizes
from .edge_exchange import TableExchange
from .graph import Graph
from .neighbor_table import ListedEdges, NeighborTable
from .padded import PaddedNeighbors

_PER_TRIAL = 1000  # numbers kept per neighbor where cutoffs adapt, the grid of trials included
SEEN = "neighbors within the cutoffs of their edges"  # name of the size of their table
_SHARE = 0.25  # of the memory, for the search for cutoffs


def truncate(
    graph: Graph,
    hyper: Hyperparameters,
    memory: int | None = None,
    table_sizes: TableSizes | None = None,
) -> Graph:
    """Leave out edges beyond the cutoffs of their atoms. Collective.

    Adaptive cutoffs depend on all edges of an atom and of its neighbors. Vectors and cutoffs of the
    result are differentiable functions of the vectors given.

    :param graph: with all edges within ``hyper.neighbor_cutoff``
    :param memory: bytes that may be kept for a backward pass; None: no limit
    :param table_sizes: of the table of the neighbors that are left, where the graph lists all slots
        of its table as edges; None: it is measured
    """
    if not hyper.truncates:
        return graph
    adaptive = hyper.foreign.adaptive_neighbors is not None
    lengths = torch.linalg.vector_norm(graph.vectors, dim=1)
    cutoffs = _edge_cutoffs(graph, hyper, lengths, memory) if adaptive else None
    seen = lengths < (hyper.cutoff if cutoffs is None else cutoffs)
    if graph.padded.full:
        return _narrowed(graph, seen, cutoffs, table_sizes or MeasuredSizes())
    left = graph.exchange.truncated(seen.detach())
    padded = graph.padded.restricted(left.edges, left.centres)
    structure, sizes = graph.structure, graph.sizes
    if left.centres is not None:
        structure, sizes = structure[left.centres], (len(left.centres),)
    return dataclasses.replace(
        graph,
        padded=padded,
        vectors=graph.vectors.index_select(0, left.edges),
        edge_centre=padded.centre,
        exchange=left.exchange,
        structure=structure,
        sizes=sizes,
        cutoffs=None if cutoffs is None else cutoffs.index_select(0, left.edges),
        listed=None,
    )


def _narrowed(graph: Graph, seen: Tensor, cutoffs: Tensor | None, sizes: TableSizes) -> Graph:
    """Graph of some edges of one whose slots are all listed as edges, and so are its own."""
    padded, exchange = graph.padded, graph.exchange
    if not isinstance(exchange, TableExchange):
        raise TypeError(f"a {type(exchange).__name__} cannot be narrowed")
    centre = padded.centre
    listed = ListedEdges(centre, centre * padded.n_neighbors, exchange.reverse, padded.n_centres)
    table = NeighborTable.of(listed, seen & padded.valid.view(-1), sizes, SEEN)
    species = padded.neighbor_species.view(-1)
    narrowed = PaddedNeighbors.of_table(
        table, padded.centre_species, species, padded.charge_and_spin
    )
    return dataclasses.replace(
        graph,
        padded=narrowed,
        vectors=table.laid_out(graph.vectors),
        edge_centre=narrowed.centre,
        exchange=exchange.narrowed(table),
        cutoffs=None if cutoffs is None else cutoffs.index_select(0, table.source),
        listed=None,
    )


def _edge_cutoffs(
    graph: Graph, hyper: Hyperparameters, lengths: Tensor, memory: int | None
) -> Tensor:
    """Cutoff of each edge, (n_edges,), angstrom: the mean of those of its two atoms."""
    padded, foreign = graph.padded, hyper.foreign
    per_centre = 8 * _PER_TRIAL * padded.n_neighbors
    table = padded.pad(lengths[:, None]).squeeze(-1)

    def radii_of(some: Tensor, valid: Tensor) -> Tensor:
        # Neighbors beyond the largest cutoff may be listed, for the repulsion of nuclei.
        return adaptive_cutoffs(
            some,
            valid & (some < hyper.cutoff),
            foreign.adaptive_method,
            float(foreign.adaptive_neighbors or 0.0),
            hyper.cutoff,
            foreign.adaptive_width,
        )

    chunk = None if memory is None else max(int(_SHARE * memory) // per_centre, 1)
    radii = in_parts(radii_of, chunk, table, padded.valid)
    here = radii.index_select(0, padded.centre)
    return 0.5 * (here + graph.exchange.at_neighbors(padded, radii))
