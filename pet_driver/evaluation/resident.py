"""Evaluations on a GPU that keep the neighbor lists of the atoms that come again there."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..graph import Graph, ResidentList, StructureGraphs, System
from ..parallel import ExchangeDomain, ListedPairs, PairDomain, ResidentDomain, ResidentPairs
from ..runtime.devices import release_memory
from .options import EvaluationOptions
from .prediction import Prediction
from .resident_steps import ResidentSteps, StepRecipe

_MOST_KEPT = 4  # sets of atoms, and domains, whose lists stay on the device


class ResidentEvaluation:
    """The sets of atoms that were evaluated last, each with its `ResidentSteps`.

    :param recipe: of their steps
    :param graphs: whose neighbor lists and species are used
    :param memory: gives the bytes that intermediate results may take
    """

    def __init__(
        self, recipe: StepRecipe, graphs: StructureGraphs, memory: Callable[[], int]
    ) -> None:
        self._recipe, self._graphs, self._memory = recipe, graphs, memory
        self._forget()

    def _forget(self) -> None:
        """Begin with nothing kept."""
        # None: evaluated once
        self._kept: dict[tuple[bytes, ...], tuple[ResidentList, ResidentSteps] | None] = {}
        self._domains: list[tuple[ResidentDomain, ResidentSteps]] = []
        self._pairs: tuple[ResidentPairs, ResidentSteps] | None = None
        # One thread at a time writes positions where the kernels read them.
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[Any, ...]:
        """Copies and pickles hold nothing of what is kept: recorded kernels cannot be copied."""
        return self._recipe, self._graphs, self._memory

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._recipe, self._graphs, self._memory = state
        self._forget()

    @classmethod
    def chosen(
        cls,
        options: EvaluationOptions,
        recipe: StepRecipe,
        graphs: StructureGraphs,
        memory: Callable[[], int],
    ) -> ResidentEvaluation | None:
        """Evaluation for a GPU; None where the options or the device want another one."""
        wanted = options.resident and graphs.device.type == "cuda"
        in_parts = options.chunk is not None or options.deterministic or options.direct
        if not wanted or in_parts or recipe.evaluator.scope not in ("layer", "none"):
            return None
        return cls(recipe, graphs, memory)

    def compute(self, systems: Sequence[System]) -> list[Prediction] | Graph | None:
        """Predictions for structures; or their graph, to be evaluated in parts; or None.

        None is for atoms that were not evaluated before: most of those that come once do not come
        again, and tables of fixed sizes have more padding. So it is while another thread evaluates,
        and where memory is short.

        :raises PetDriverError: for unknown elements, charges or spins, impossible geometries, and
            results that are not finite
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._computed(systems)
        finally:
            self._lock.release()

    def _computed(self, systems: Sequence[System]) -> list[Prediction] | Graph | None:
        kept = self._of_atoms(systems)
        if kept is None:
            return None
        edges, steps = kept
        several, lists = len(systems) > 1, self._graphs.lists
        listed = [lists.listed(system, n == 0 and several) for n, system in enumerate(systems)]
        try:
            if edges.update(listed):
                steps.allocated_anew()
        except torch.OutOfMemoryError:
            del edges, steps, kept
            self._kept.clear()
        else:
            return self._evaluated(edges, steps)
        # Not within `except`: its traceback holds what is to be released.
        release_memory()
        return None

    def _evaluated(
        self, edges: ResidentList, steps: ResidentSteps
    ) -> list[Prediction] | Graph | None:
        """Predictions of structures whose lists are on the device."""
        found = steps.prediction(self._memory)
        if found is None:
            return steps.graph()
        parts = found.split(edges.sizes)
        for part in parts:
            part.check()
        return parts

    def compute_share(self, domain: ExchangeDomain | PairDomain) -> Prediction | Graph:
        """Prediction for one rank's share of a structure, which `domain` has followed. Collective.

        :return: with ``edge_gradients`` if an engine lists the edges; or the graph, to be evaluated
            in parts
        :raises PetDriverError: on every rank, if results are not finite or any rank failed
        """
        graphs, steps = self._of_domain(domain)
        try:
            if domain.update_resident(graphs):
                steps.allocated_anew()
        except torch.OutOfMemoryError:  # on every rank
            del graphs, steps
            self._domains.clear()
        else:
            return self._evaluated_share(domain, graphs, steps)
        release_memory()
        return domain.graph()

    def _evaluated_share(
        self, domain: ExchangeDomain | PairDomain, graphs: ResidentDomain, steps: ResidentSteps
    ) -> Prediction | Graph:
        """Prediction for a share whose edges are on the device."""
        found = steps.prediction(self._memory)
        if found is None:
            return steps.graph() or domain.graph()
        with domain.agreement():
            found.check(domain.local_ids)
        return dataclasses.replace(found, edge_gradients=graphs.edge_gradients(steps.gradient))

    def compute_pairs(self, listed: ListedPairs) -> Prediction | None:
        """Prediction for the pairs of a step that an engine has listed, all atoms on this rank.

        :return: ``edge_gradients`` are those of the pairs; None: they have to be evaluated in
            another way
        :raises PetDriverError: if results are not finite
        """
        kept, n_atoms = self._pairs, len(listed.species)
        if kept is None or kept[0].sizes != (n_atoms,):
            device = self._graphs.device
            charge_and_spin = self._graphs.charge_and_spin.default(device)
            pairs = ResidentPairs(n_atoms, self._graphs.lists.cutoff, device, charge_and_spin)
            kept = self._pairs = pairs, ResidentSteps(self._recipe, pairs, device)
        pairs, steps = kept
        if pairs.update(listed):
            steps.allocated_anew()
        found = steps.prediction(self._memory)
        if found is None:
            return None
        found.check()
        return dataclasses.replace(found, edge_gradients=pairs.edge_gradients(steps.gradient))

    def _of_domain(
        self, domain: ExchangeDomain | PairDomain
    ) -> tuple[ResidentDomain, ResidentSteps]:
        """What is kept for the present atoms of a domain. Collective."""
        kept = next((x for x in self._domains if x[0].collective is domain), None)
        others = [x for x in self._domains if x is not kept]
        if kept is not None and domain.has_atoms_of(kept[0]):
            self._domains = [*others, kept]  # used last
            return kept
        charge_and_spin = self._graphs.charge_and_spin.default(self._graphs.device)
        graphs = domain.resident(charge_and_spin)
        steps = ResidentSteps(self._recipe, graphs, self._graphs.device)
        if kept is not None:
            steps.sizes = kept[1].sizes  # a guess, as any other
        self._domains = [*others, (graphs, steps)][-_MOST_KEPT:]
        return graphs, steps

    def _of_atoms(self, systems: Sequence[System]) -> tuple[ResidentList, ResidentSteps] | None:
        """What is kept for these atoms; None if they were not evaluated before."""
        key = tuple(system.numbers.tobytes() for system in systems)
        charges = self._graphs.charge_and_spin.table(systems, torch.device("cpu"))
        key = key if charges is None else (*key, charges.numpy().tobytes())
        known = key in self._kept
        kept = self._kept.pop(key, None)
        if known and kept is None:
            edges = self._graphs.resident_list(systems)
            kept = edges, ResidentSteps(self._recipe, edges, self._graphs.device)
        self._kept[key] = kept
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept
