"""Evaluations of the same atoms step after step on a GPU, for which the host waits once each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..graph import (
    NEIGHBORS,
    SEEN,
    Listed,
    ResidentList,
    StructureGraphs,
    System,
    forces_and_virials,
)
from ..runtime.devices import release_memory
from ..runtime.recorded_kernels import RecordedKernels, can_record
from ..runtime.table_sizes import FixedSizes, MeasuredSizes, TableSizes
from .evaluation import EvaluationRequest
from .options import EvaluationOptions
from .prediction import Prediction, packed
from .rescaling import Rescaling
from .scopes import Evaluator

_MOST_KEPT = 4  # sets of atoms whose lists stay on the device
_MOST_SAMPLES = 65_535  # evaluated at a time
_FRAMES = "frames"
_FRAMES_GUESSED = 2  # per atom, before they are counted
_MORE_THAN_WANTED = 2.0  # neighbors of the atom that has most, where cutoffs adapt
_STEPS_BEFORE_RECORDING = 2
_LEAST_SLACK, _SLACK = 2, 0.04


def may_be_resident(options: EvaluationOptions, scope: str) -> bool:
    """Whether evaluations may be those of `ResidentEvaluation`.

    :param scope: the one in use
    """
    in_parts = options.chunk is not None or options.deterministic or options.direct
    return options.resident and scope in ("layer", "none") and not in_parts


@dataclass
class _Resident:
    """What is kept for one set of atoms.

    edges: their list; inputs: cells and positions, see `ResidentList.inputs`; sizes: of tables,
    None: not measured; steps: evaluations with these sizes; kernels: recorded ones, if they are;
    unsuitable: whether atoms like these are better evaluated in another way; fits: whether it is
    known that tables of these sizes fit into memory; shapes: of the covariant outputs.
    """

    edges: ResidentList
    inputs: Tensor
    sizes: dict[str, int] | None = None
    steps: int = 0
    kernels: RecordedKernels | None = None
    unsuitable: bool = False
    fits: bool = False
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


class ResidentEvaluation:
    """Evaluations in which lists stay on the device and tables have fixed sizes.

    The first evaluation of a set of atoms measures the sizes of its tables. Later ones give them a
    little more, so that neither does the host wait for a number nor does any shape change, and the
    kernels can be recorded. If a table would have needed more, which is known with the results, the
    sizes are measured again.

    :param evaluator: with the scope layer or none
    :param graphs: whose neighbor lists and species are used
    :param records: whether kernels are recorded, see `RecordedKernels`
    """

    def __init__(
        self,
        evaluator: Evaluator,
        rescaling: Rescaling,
        graphs: StructureGraphs,
        records: bool,
    ) -> None:
        self._evaluator, self._rescaling, self._graphs = evaluator, rescaling, graphs
        self._records = records and can_record(graphs.device)
        self._kept: dict[tuple[bytes, ...], _Resident] = {}

    def compute(self, systems: Sequence[System], memory: Callable[[], int]) -> Prediction | None:
        """Prediction for structures, one after another; None: evaluate them in another way.

        :param memory: gives the bytes that intermediate results may take; asked before memory is
            taken for the first time
        :raises PetDriverError: for unknown elements, charges or spins, and impossible geometries
        """
        listed = [self._graphs.lists.listed(system) for system in systems]
        kept = self._of_atoms(systems)
        if kept.unsuitable or not (kept.fits or self._fits(kept, listed, memory())):
            return None
        try:
            return self._computed(kept, listed)
        except torch.OutOfMemoryError:
            kept.kernels, kept.unsuitable = None, True
        release_memory()
        warnings.warn(
            f"out of memory on {self._graphs.device}: going on without tables of fixed sizes, in "
            "parts where needed",
            stacklevel=3,
        )
        return None

    def _of_atoms(self, systems: Sequence[System]) -> _Resident:
        """What is kept for these atoms, which were evaluated before or not."""
        key = tuple(system.numbers.tobytes() for system in systems)
        charges = self._graphs.charge_and_spin.table(systems, torch.device("cpu"))
        key = key if charges is None else (*key, charges.numpy().tobytes())
        kept = self._kept.pop(key, None)
        if kept is None:
            edges = self._graphs.resident_list(systems)
            shape = (3 * len(systems) + sum(map(len, systems)), 3)
            device = self._graphs.device
            kept = _Resident(edges, torch.zeros(shape, dtype=torch.float64, device=device))
        self._kept[key] = kept
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept

    def _fits(self, kept: _Resident, listed: Sequence[Listed], memory: int) -> bool:
        """Whether all samples can be evaluated at once; once this is known it is not asked again.

        Before sizes are measured it is a guess.
        """
        n_atoms = sum(kept.edges.sizes)
        if kept.sizes is None:
            frames = _FRAMES_GUESSED if self._evaluator.scope == "layer" else 1
            n_samples = frames * n_atoms
            n_neighbors = sum(len(x.pairs.centre) for x in listed) // max(n_atoms, 1)
            wanted = self._evaluator.network.hyper.foreign.adaptive_neighbors
            if wanted is not None:
                n_neighbors = min(n_neighbors, int(_MORE_THAN_WANTED * wanted))
        else:
            n_samples = kept.sizes.get(_FRAMES, n_atoms)
            n_neighbors = kept.sizes.get(SEEN, kept.sizes[NEIGHBORS])
        needed = n_samples * self._evaluator.bytes_per_sample(n_neighbors)
        fits = n_samples <= _MOST_SAMPLES and needed <= memory
        kept.fits = fits and kept.sizes is not None
        return fits

    def _computed(self, kept: _Resident, listed: Sequence[Listed]) -> Prediction | None:
        if kept.edges.update(listed):
            kept.kernels = None
        kept.inputs.copy_(torch.from_numpy(kept.edges.inputs(listed)))
        if kept.sizes is not None:
            found = self._with_fixed_sizes(kept)
            if found is not None:
                return found
        measured = MeasuredSizes()
        rows = self._evaluated(kept, measured).cpu().numpy()
        if measured.wrong:
            return None  # two atoms coincide, which the other way says in words
        self._take_up(kept, measured.found)
        return Prediction.unpacked(rows, kept.shapes)

    def _with_fixed_sizes(self, kept: _Resident) -> Prediction | None:
        """Prediction; None if a table would have needed more than it got."""
        assert kept.sizes is not None
        if kept.kernels is None and self._records and kept.steps >= _STEPS_BEFORE_RECORDING:
            kept.kernels = self._recorded(kept, kept.sizes)
        rows = self._fixed(kept, kept.sizes) if kept.kernels is None else kept.kernels()
        table = rows.cpu().numpy()
        kept.steps += 1
        return None if table[-1, 0] else Prediction.unpacked(table[:-1], kept.shapes)

    def _recorded(self, kept: _Resident, sizes: dict[str, int]) -> RecordedKernels | None:
        try:
            return RecordedKernels(lambda: self._fixed(kept, sizes), self._graphs.device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._records = False
            warnings.warn(
                f"the kernels could not be recorded, going on without: {error}", stacklevel=2
            )
            return None

    def _fixed(self, kept: _Resident, sizes: dict[str, int]) -> Tensor:
        """Rows of all atoms, and a last one with whether they are wrong."""
        fixed = FixedSizes(sizes, kept.inputs.device)
        rows = self._evaluated(kept, fixed)
        return torch.cat([rows, fixed.wrong.to(rows.dtype).expand(1, rows.shape[1])])

    def _evaluated(self, kept: _Resident, sizes: TableSizes) -> Tensor:
        """Results of all atoms in one table, see `packed`."""
        with self._evaluator.arithmetic.context():
            graph = kept.edges.graph(kept.inputs, sizes)
            found = self._evaluator.evaluate(graph, EvaluationRequest(sizes=sizes))
            found = self._rescaling.applied(found, graph)
            forces, virials = forces_and_virials(graph, found.gradient)
            kept.shapes = {name: tuple(x.shape[1:]) for name, x in found.properties.items()}
            return packed(found, forces, virials)

    def _take_up(self, kept: _Resident, found: dict[str, int]) -> None:
        """Fix sizes, somewhat larger than those that were found now or before."""
        kept.steps, kept.kernels, kept.fits = 0, None, False
        if found.get("environments with axial frames"):
            kept.sizes = None  # as many as they are: rare, and nothing to plan for
            return
        before = kept.sizes or {}
        kept.sizes = {
            name: max(before.get(name, 0), size + max(_LEAST_SLACK, int(np.ceil(_SLACK * size))))
            for name, size in found.items()
        }
        kept.sizes["environments with axial frames"] = 0
