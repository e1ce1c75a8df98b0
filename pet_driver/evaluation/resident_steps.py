"""Steps of the same atoms with tables of fixed sizes, for which the host waits once each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..frames.whole_average import CLASSES, WIDTHS
from ..graph import NEIGHBORS, SEEN, Graph, ResidentGraphs, forces_and_virials
from ..runtime.devices import release_memory
from ..runtime.recorded_kernels import RecordedKernels, can_record
from ..runtime.table_sizes import FixedSizes, MeasuredSizes, TableSizes
from .evaluation import EvaluationRequest
from .prediction import Prediction, packed
from .rescaling import Rescaling
from .scopes import Evaluator

_MOST_SAMPLES = 65_535  # evaluated at a time
_FRAMES, _AXIAL = "frames", "environments with axial frames"
_FRAMES_GUESSED = 2  # per atom, before they are counted
_MORE_THAN_WANTED = 2.0  # neighbors of the atom that has most, where cutoffs adapt
_STEPS_BEFORE_RECORDING = 2
_LEAST_SLACK, _SLACK = 2, 0.04
_SLACK_OF_CLASSES = 1  # what most of many samples need hardly changes
_ROOM = 1.1  # for the inputs of later steps
_MEASURED, _GUESSED, _UNFIT = 0, 1, 2


@dataclass(frozen=True)
class StepRecipe:
    """How the graph of a step becomes a prediction.

    records: whether kernels may be recorded.
    """

    evaluator: Evaluator
    rescaling: Rescaling
    records: bool


class ResidentSteps:
    """Evaluations of the same atoms in which tables have fixed sizes.

    The first one measures the sizes. Later ones give the tables a little more, so that neither does
    the host wait for a number nor does any shape change, and the kernels can be recorded. If a
    table would have needed more, which is known with the results, the sizes are measured again.
    Collective over the processes that share the graphs.

    :param graphs: whose lists stay on the device

    sizes: of the tables, None: not measured; steps: evaluations since they were fixed; kernels:
    recorded ones, if there are; gradient: (n_slots, 3), dE/dr_ij of the slots of the last graph,
    eV/angstrom, on the device, until the next step.
    """

    def __init__(self, recipe: StepRecipe, graphs: ResidentGraphs, device: torch.device) -> None:
        self.graphs = graphs
        self.sizes: dict[str, int] | None = None
        self.steps = 0
        self.kernels: RecordedKernels | None = None
        self._recipe, self._device = recipe, device
        self._inputs = torch.zeros(0, 3, dtype=torch.float64, device=device)
        self.gradient = self._inputs
        self._records = recipe.records and graphs.local and can_record(device)
        self._unsuitable = False
        self._fits = False  # whether all processes have fixed sizes for which memory suffices
        self._shapes: dict[str, tuple[int, ...]] = {}

    def allocated_anew(self) -> None:
        """Say that the graphs read other memory than the recorded kernels."""
        self.kernels = None

    def prediction(self, memory: Callable[[], int]) -> Prediction | None:
        """Prediction of a step; None: it has to be evaluated in another way.

        Energy and virial are those of the whole system.

        :param memory: gives the bytes that intermediate results may take
        :raises PetDriverError: on every process, if one has failed
        """
        if self._unsuitable or not self._all_fit(memory):
            return None
        try:
            return self._predicted()
        except torch.OutOfMemoryError:
            self.kernels, self._unsuitable = None, True
        release_memory()
        warnings.warn(
            f"out of memory on {self._device}: going on without tables of fixed sizes, in parts "
            "where needed",
            stacklevel=4,
        )
        return None

    def graph(self) -> Graph | None:
        """Graph of a step, made on the device, to be evaluated in parts.

        :return: None: it has to be made in another way
        """
        n_atoms = sum(self.graphs.sizes)
        if not self.graphs.local or n_atoms == 0:
            return None
        sizes = MeasuredSizes()
        try:
            self._upload(self.graphs.inputs())
            graph = self.graphs.graph(self._inputs, sizes)
        except torch.OutOfMemoryError:
            graph = None
        return None if sizes.wrong else graph

    def _predicted(self) -> Prediction | None:
        collective = self.graphs.collective
        with collective.evaluation():
            self._upload(self.graphs.inputs())
            rows, wrong = self._measured() if self.sizes is None else self._with_fixed_sizes()
        if collective.largest(int(wrong)):
            self._fits = False
            with collective.evaluation():
                rows, wrong = self._measured()
            if collective.largest(int(wrong)):
                return None  # two atoms coincide, which the other way says in words
        return Prediction.unpacked(rows, self._shapes).of_all(collective)

    def _all_fit(self, memory: Callable[[], int]) -> bool:
        """Whether there are samples on every process, and all of them can be evaluated at once.

        It is a guess before sizes are measured, and not asked again once all processes have fixed
        theirs.
        """
        if self._fits:
            return True
        n_samples, n_neighbors = self._expected()
        needed = n_samples * self._recipe.evaluator.memory.per_sample(n_neighbors)
        state = _MEASURED if self.sizes else _GUESSED
        if not 0 < n_samples <= _MOST_SAMPLES or needed > memory():
            state = _UNFIT
        worst = self.graphs.collective.largest(state)
        self._fits = worst == _MEASURED
        return worst != _UNFIT

    def _expected(self) -> tuple[int, int]:
        """Number of samples and of the neighbors of each, measured or guessed."""
        n_atoms = sum(self.graphs.sizes)
        evaluator = self._recipe.evaluator
        if self.sizes is not None:
            n_neighbors = self.sizes.get(SEEN, self.sizes[NEIGHBORS])
            n_frames = self.sizes.get(_FRAMES)
            return n_atoms if n_frames is None else n_frames * evaluator.n_rotations, n_neighbors
        n_neighbors = math.ceil(self.graphs.mean_neighbors)
        wanted = evaluator.network.hyper.foreign.adaptive_neighbors
        if wanted is not None:
            n_neighbors = min(n_neighbors, math.ceil(_MORE_THAN_WANTED * wanted))
        per_atom = _FRAMES_GUESSED * evaluator.n_rotations if evaluator.scope == "layer" else 1
        return n_atoms * per_atom, n_neighbors

    def _upload(self, inputs: NDArray[np.float64]) -> None:
        if len(inputs) > len(self._inputs):
            self.kernels = None
            shape = (int(_ROOM * len(inputs)), 3)
            self._inputs = torch.zeros(shape, dtype=torch.float64, device=self._device)
        if len(inputs):
            self._inputs[: len(inputs)].copy_(torch.from_numpy(inputs))

    def _measured(self) -> tuple[NDArray[np.float64], bool]:
        """Rows of all atoms, and whether they are of no use."""
        sizes = MeasuredSizes()
        rows = self._evaluated(sizes).cpu().numpy()
        self._take_up(sizes.found)
        return rows, sizes.wrong

    def _with_fixed_sizes(self) -> tuple[NDArray[np.float64], bool]:
        """The same, also of no use if a table would have needed more than it got."""
        assert self.sizes is not None
        if self.kernels is None and self._records and self.steps >= _STEPS_BEFORE_RECORDING:
            self.kernels = self._recorded()
        rows = self._fixed() if self.kernels is None else self.kernels()
        table = rows.cpu().numpy()
        self.steps += 1
        return table[:-1], bool(table[-1, 0])

    def _recorded(self) -> RecordedKernels | None:
        try:
            return RecordedKernels(self._fixed, self._device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._records = False
            warnings.warn(
                f"the kernels could not be recorded, going on without: {error}", stacklevel=6
            )
            return None

    def _fixed(self) -> Tensor:
        """Rows of all atoms, and a last one with whether they are of no use."""
        fixed = FixedSizes(self.sizes or {}, self._device)
        rows = self._evaluated(fixed)
        return torch.cat([rows, fixed.wrong.to(rows.dtype).expand(1, rows.shape[1])])

    def _evaluated(self, sizes: TableSizes) -> Tensor:
        """Results of all atoms in one table, see `packed`."""
        recipe = self._recipe
        with recipe.evaluator.arithmetic.context():
            graph = self.graphs.graph(self._inputs, sizes)
            found = recipe.evaluator.evaluate(graph, EvaluationRequest(sizes=sizes))
            found = recipe.rescaling.applied(found, graph)
            forces, virials = forces_and_virials(graph, found.gradient)
            self.gradient = found.gradient
            self._shapes = {name: tuple(x.shape[1:]) for name, x in found.properties.items()}
            return packed(found, forces, virials)

    def _take_up(self, found: dict[str, int]) -> None:
        """Fix sizes, somewhat larger than those that were found now or before."""
        self.steps, self.kernels = 0, None
        if found.get(_AXIAL):
            self.sizes = None  # as many as they are: rare, and nothing to plan for
            return
        before = self.sizes or {}
        if before.get(CLASSES) != found[CLASSES]:
            before = {name: x for name, x in before.items() if not name.startswith(WIDTHS)}
        self.sizes = {
            name: max(before.get(name, 0), size + _slack(name, size))
            for name, size in found.items()
        }
        self.sizes[_AXIAL] = 0
        self.sizes[CLASSES] = found[CLASSES]


def _slack(name: str, size: int) -> int:
    """What a table gets besides the size that was found."""
    if name.startswith(WIDTHS):
        return _SLACK_OF_CLASSES
    return max(_LEAST_SLACK, math.ceil(_SLACK * size))
