"""Evaluations with lists on the device and tables of fixed sizes: the numbers of all others.

They are for GPUs; here they run on the CPU, where they give the same.
"""

import copy
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as build_molecule

from helpers import CONTRAST, FOREIGN, FOREIGN_PAPER, MODERN, PAPER
from pet_driver import PetDriverError
from pet_driver.evaluation import resident
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.resident import ResidentEvaluation
from pet_driver.evaluation.resident_steps import StepRecipe
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames.whole_average import CLASSES
from pet_driver.graph import EdgeBuffers, Graph, as_systems


def resident_of(potential, memory=10**12):
    recipe = StepRecipe(potential._evaluator, potential.model.rescaling, records=False)
    return EvaluatedBefore(recipe, potential._graphs, lambda: memory)


class EvaluatedBefore(ResidentEvaluation):
    """Takes all atoms for such that were evaluated before."""

    def compute(self, systems):
        found = super().compute(systems)
        return super().compute(systems) if found is None else found


def steps_of(evaluation):
    """Steps of the only set of atoms that was evaluated."""
    ((_, steps),) = evaluation._kept.values()
    return steps


def compared(potential, found, structures):
    """Check a prediction of several structures against that of the potential."""
    assert found is not None
    for part, expected in zip(found, potential.compute(structures), strict=True):
        for name in ("energies", "forces", "virials"):
            scale = np.abs(getattr(expected, name)).max()
            difference = np.abs(getattr(part, name) - getattr(expected, name)).max()
            assert difference <= 1e-12 * scale, name
        for name, values in {**expected.vectors, **expected.tensors}.items():
            part_values = {**part.vectors, **part.tensors}[name]
            np.testing.assert_allclose(part_values, values, atol=1e-11 * np.abs(values).max())


def shaken(atoms, seed, size=0.02):
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).uniform(-size, size, moved.positions.shape)
    return moved


@pytest.fixture(scope="module")
def counted(water_box):
    """A potential, its evaluation with fixed sizes, and how often sizes were measured."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    evaluation = resident_of(potential)
    counts = []
    evaluation.compute(as_systems([water_box]))
    steps = steps_of(evaluation)
    take_up = steps._take_up
    steps._take_up = lambda *given: (counts.append(1), take_up(*given))
    return potential, evaluation, counts


@pytest.mark.parametrize("scope", ["layer", "none"])
@pytest.mark.parametrize(
    "hyper",
    [MODERN, CONTRAST, PAPER, FOREIGN, FOREIGN_PAPER],
    ids=["modern", "contrast", "paper", "foreign", "foreign paper"],
)
@pytest.mark.filterwarnings("ignore:.*was trained with scope")
def test_the_same_numbers(hyper, scope, molecule):
    potential = Potential(random_checkpoint(hyper), dtype="float64", scope=scope)
    evaluation = resident_of(potential)
    ethanol = build_molecule("CH3CH2OH")
    for seed in range(4):
        structures = [shaken(ethanol, seed), shaken(molecule, seed)]
        found = evaluation.compute(as_systems(structures))
        compared(potential, found, structures)
    kept = steps_of(evaluation)
    assert kept.steps > 0


def test_covariant_outputs():
    hyper = replace(MODERN, properties=(("dipole", 1), ("quadrupole", 2)))
    potential = Potential(random_checkpoint(hyper), dtype="float64", extra_rotations=2)
    evaluation = resident_of(potential)
    for seed in range(3):
        structures = [shaken(build_molecule("CH3CH2OH"), seed)]
        compared(potential, evaluation.compute(as_systems(structures)), structures)


def test_steps_of_dynamics(counted, water_box):
    """Atoms move, are wrapped, lists are made anew and the cell changes: sizes stay."""
    potential, evaluation, counts = counted
    before = len(counts)
    atoms = water_box.copy()
    for step in range(12):
        atoms = shaken(atoms, step, 0.07)
        if step == 3:
            atoms.wrap()
        if step == 4:
            atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
        compared(potential, evaluation.compute(as_systems([atoms])), [atoms])
    assert potential._graphs.lists.searches > 1
    assert len(counts) - before < 6


def test_beads_whose_lists_are_made_at_different_times(water_box):
    """One structure stays as it is, one moves, one is compressed so that its list needs room."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    evaluation = resident_of(potential)
    moving, compressed = water_box.copy(), water_box.copy()
    for step in range(5):
        moving = shaken(moving, step, 0.25)
        compressed.set_cell(compressed.cell.array * 0.97, scale_atoms=True)
        structures = [water_box, moving, compressed]
        compared(potential, evaluation.compute(as_systems(structures)), structures)
    assert potential._graphs.lists.searches > 4


def test_tables_that_are_too_small_are_noticed(counted, water_box):
    """Wherever one size is too small, the evaluation is done again with measured sizes."""
    potential, evaluation, counts = counted
    evaluation.compute(as_systems([water_box]))
    kept = steps_of(evaluation)
    sizes = dict(kept.sizes)
    for name, size in sizes.items():
        if not size or name == CLASSES:
            continue
        kept.sizes = {**sizes, name: 1 if name != "frames" else len(water_box)}
        before = len(counts)
        found = evaluation.compute(as_systems([water_box]))
        compared(potential, found, [water_box])
        assert len(counts) == before + 1, name
        assert kept.sizes[name] > 1


def test_frames_of_atoms_on_a_line_are_not_planned(molecule):
    """Where axial frames are needed, sizes are measured in every step."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    evaluation = resident_of(potential)
    for _ in range(3):
        structures = [build_molecule("CO2"), molecule]
        compared(potential, evaluation.compute(as_systems(structures)), structures)
    kept = steps_of(evaluation)
    assert kept.sizes is None
    # An atom that leaves for the line in the middle of a run.
    bent = Atoms("OCO", [[-1.16, 0, 0], [0, 0.5, 0], [1.17, 0, 0]])
    for offset in (0.5, 0.5, 0.0, 0.5):
        bent.positions[1, 1] = offset
        compared(potential, evaluation.compute(as_systems([bent])), [bent])


def test_atoms_without_neighbors():
    potential = Potential(random_checkpoint(MODERN), dtype="float64", scope="none")
    evaluation = resident_of(potential)
    for _ in range(3):
        structures = [Atoms("O"), Atoms("OH", [[0, 0, 0], [0, 0, 9.0]])]
        compared(potential, evaluation.compute(as_systems(structures)), structures)


@pytest.mark.parametrize("hyper", [MODERN, FOREIGN], ids=["modern", "foreign"])
def test_what_does_not_fit_is_a_graph_for_parts(hyper, water_box):
    checkpoint = random_checkpoint(hyper)
    potential = Potential(checkpoint, dtype="float64", memory_share=1e-9)
    evaluation = resident_of(potential, memory=1000)
    for seed in range(2):
        atoms = shaken(water_box, seed)
        graph = evaluation.compute(as_systems([atoms]))
        compared(Potential(checkpoint, dtype="float64"), [potential.evaluate(graph)], [atoms])


def test_atoms_that_come_once_are_left_to_others(molecule):
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    recipe = StepRecipe(potential._evaluator, potential.model.rescaling, records=False)
    evaluation = ResidentEvaluation(recipe, potential._graphs, lambda: 10**12)
    for atoms in (molecule, build_molecule("CH4"), build_molecule("CH3CH2OH")):
        assert evaluation.compute(as_systems([atoms])) is None
    compared(potential, evaluation.compute(as_systems([molecule])), [molecule])


def test_few_sets_of_atoms_are_kept():
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    evaluation = resident_of(potential)
    for count in range(1, 9):
        atoms = bulk("C", cubic=True).repeat((count, 1, 1))
        assert evaluation.compute(as_systems([atoms])) is not None
    assert len(evaluation._kept) == resident._MOST_KEPT


def test_atoms_that_coincide(molecule):
    """They are noticed before and after sizes are fixed; the other way says which."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    evaluation = resident_of(potential)
    wrong = molecule.copy()
    wrong.positions[1] = wrong.positions[0] + [0.02, 0.0, 0.0]
    assert evaluation.compute(as_systems([wrong])) is None
    for _ in range(2):
        compared(potential, evaluation.compute(as_systems([molecule])), [molecule])
    assert evaluation.compute(as_systems([wrong])) is None
    with pytest.raises(PetDriverError, match="angstrom apart"):
        potential.compute(wrong)


def test_another_thread_takes_another_way(counted, water_box):
    """While one evaluates, its positions must stay where they are."""
    potential, evaluation, _ = counted
    systems = as_systems([water_box])
    with evaluation._lock:
        assert ResidentEvaluation.compute(evaluation, systems) is None
    compared(potential, evaluation.compute(systems), [water_box])


def test_threads(water_box):
    """All results are those of the thread's own atoms, whichever way they were evaluated."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    structures = [shaken(water_box[:30], seed, 0.05) for seed in (1, 2)]
    expected = [x.energy for x in potential.compute(structures)]
    potential.resident = resident_of(potential)
    found = {0: [], 1: []}

    def run(k):
        found[k] += [potential.compute(structures[k]).energy for _ in range(15)]

    threads = [threading.Thread(target=run, args=(k,)) for k in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, energies in found.items():
        np.testing.assert_allclose(energies, [expected[k]] * 15, rtol=1e-12)


def test_copies_keep_nothing(water_box):
    """Recorded kernels and locks cannot be copied; the copy begins anew."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    atoms = water_box[:30]
    expected = potential.compute(atoms).energy
    potential.resident = resident_of(potential)
    potential.compute(atoms)
    copied = copy.deepcopy(potential)
    assert copied.resident._kept == {}
    assert copied.compute(atoms).energy == pytest.approx(expected, rel=1e-12)


def test_shortage_while_lists_are_made(water_box, monkeypatch):
    """That step goes another way, and later ones are right."""
    potential = Potential(random_checkpoint(MODERN), dtype="float64")
    reference = Potential(random_checkpoint(MODERN), dtype="float64")
    potential.resident = resident_of(potential)
    dense = water_box[:60]
    dense.set_cell(0.85 * dense.cell.array, scale_atoms=True)  # needs more room
    allocate = EdgeBuffers.allocate
    for atoms in (water_box[:60], dense):
        short = []

        def scarce(*arguments, short=short):
            if not short:
                short.append(arguments)
                raise torch.OutOfMemoryError
            allocate(*arguments)

        monkeypatch.setattr(EdgeBuffers, "allocate", scarce)
        for prediction in (potential.compute(atoms), potential.compute(atoms)):
            assert prediction.energy == pytest.approx(reference.compute(atoms).energy)
        assert short


def test_no_room_is_counted_that_there_is_not():
    """Memory that could not be had leaves what was there as it was."""
    buffers = EdgeBuffers(torch.zeros(3, dtype=torch.int64), (3,), 2.0)
    buffers.allocate([4])
    room = buffers.room
    with pytest.raises(RuntimeError):
        buffers.allocate([2**58])
    assert buffers.room == room == buffers.centre.shape[0]


def test_rotations_count_as_samples(water_box):
    potential = Potential(random_checkpoint(CONTRAST), parity=True, extra_rotations=3)
    systems = as_systems([water_box])
    n_frames = len(potential.frames([water_box]).centre)
    per_sample = potential._evaluator.memory.per_sample(12)
    assert isinstance(resident_of(potential, n_frames * per_sample).compute(systems), Graph)
    evaluation = resident_of(potential)
    evaluation.compute(systems)
    n_samples, _ = steps_of(evaluation)._expected()
    assert n_samples >= n_frames
