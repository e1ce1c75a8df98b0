"""Lines of the log: how the potential runs, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ...evaluation.potential import Potential
from ...parallel import ExchangeDomain

if TYPE_CHECKING:
    from ...graph import Graph
    from ...parallel.base import Domain

_MEGABYTE = 1e6


def header_lines(potential: Potential, domain: Domain, elements: list[str]) -> list[str]:
    """Model, scope, ranks, devices, cutoff and halo. Collective.

    :param elements: of the atom types, in their order
    """
    comm = domain.comm
    mapping = " ".join(f"{k + 1}={element}" for k, element in enumerate(elements))
    devices = comm.allgather(str(potential.device))
    threads = comm.allgather(torch.get_num_threads())
    ranks = ", ".join(f"{devices.count(d)} on {d}" for d in dict.fromkeys(devices))
    transport = "GPU memory" if domain.transport.on_device else "host memory"
    if isinstance(domain, ExchangeDomain):
        halo = f"ghosts one cutoff deep, edge messages exchanged through {transport}"
    else:
        halo = f"ghosts {domain.depth} cutoffs deep, environments repeated, no messages exchanged"
    fewest, most = min(threads), max(threads)
    each = f"threads each: {fewest}" if fewest == most else f"threads each: {fewest} to {most}"
    return [
        f"model {potential.name} (sha256 {potential.digest[:12]}), types {mapping}",
        f"scope {potential.scope}, {potential.dtype}, route fix external, ranks: {ranks}, {each}, "
        f"MPI thread level {_thread_level()}",
        f"cutoff {potential.neighbor_cutoff:g} + skin {domain.skin:g} angstrom, {halo}",
    ]


def _thread_level() -> str:
    """From which threads MPI may be called."""
    from mpi4py import MPI

    names = ("single", "funneled", "serialized", "multiple")
    levels = {getattr(MPI, f"THREAD_{name.upper()}"): name for name in names}
    return levels.get(MPI.Query_thread(), "unknown")


def distribution(domain: Domain, graph: Graph, n_ghosts: int) -> str:
    """Fewest, mean and most atoms, ghosts and evaluated environments of the ranks. Collective.

    :param graph, n_ghosts: of this rank
    """
    counts = np.array(domain.comm.allgather((domain.n_local, n_ghosts, graph.n_centres)))
    words = [
        f"{name} {column.min()} / {column.mean():.0f} / {column.max()}"
        for name, column in zip(("atoms", "ghosts", "evaluated"), counts.T, strict=True)
    ]
    return f"per rank, fewest / mean / most: {', '.join(words)}"


class Tally:
    """Time and traffic since it was made.

    :ivar evaluations: number of steps evaluated, counted by the caller
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.evaluations = 0
        self._rebuilds, self._bytes = domain.rebuilds, domain.transport.bytes_sent
        domain.watch.reset()

    def lines(self, elapsed: float) -> list[str]:
        """Shares of the time as means over the ranks, their imbalance, and traffic. Collective.

        :param elapsed: seconds of the run
        """
        domain = self._domain
        names = ("model", "exchange", "neighbor lists")
        seconds = np.array(domain.comm.allgather([domain.watch.seconds[name] for name in names]))
        sent = domain.total(np.array([domain.transport.bytes_sent - self._bytes]))[0]
        mean = seconds.mean(axis=0)
        shares = [*zip(names, mean, strict=True), ("LAMMPS", elapsed - mean.sum())]
        text = ", ".join(f"{name} {100 * s / max(elapsed, 1e-9):.1f} %" for name, s in shares)
        imbalance = seconds[:, 0].max() / max(mean[0], 1e-9)
        steps = max(self.evaluations, 1)
        return [
            f"{self.evaluations} evaluations in {elapsed:.4g} s: {text}",
            f"model time, slowest rank over mean: {imbalance:.2f}; neighbor lists made "
            f"{domain.rebuilds - self._rebuilds} times; {sent / steps / _MEGABYTE:.3g} MB sent per "
            "step by all ranks",
        ]
