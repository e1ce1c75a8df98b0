"""The symmetrization force: what is left when frames and weights are held fixed, and its report."""

import warnings
from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as build_molecule

from helpers import CONTRAST, FOREIGN, MODERN
from pet_driver import PetDriverError
from pet_driver.cli.main import main
from pet_driver.evaluation.frame_choice import CANDIDATES, choose_frames, random_structure
from pet_driver.evaluation.options import FRAMES
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.symmetrization import SymmetrizationForce
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint
from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.graph import truncate

DIAMOND = bulk("C", cubic=True)


def potential_of(hyper, scope, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Potential(random_checkpoint(hyper), dtype="float64", scope=scope, **options)


def rattled(atoms: Atoms) -> Atoms:
    moved = atoms.copy()
    moved.rattle(0.08, seed=4)
    return moved


def energy_in_fixed_frames(potential, frames, atoms):
    """Energy in scope layer with given frames and weights, eV, without the energies of atoms."""
    network = potential.model.network
    seen = truncate(potential.graph([atoms]), network.hyper)
    messages = seen.exchange.messages(seen.padded)
    with torch.no_grad():
        output = network(seen.network_input(), frames, messages)
    return output.energies.sum().item() * potential.model.rescaling.energy_scale


@pytest.mark.parametrize("hyper", [MODERN, CONTRAST], ids=["gentle", "contrast"])
@pytest.mark.parametrize("atoms", [build_molecule("CH3CH2OH"), DIAMOND], ids=["ethanol", "diamond"])
def test_the_rest_of_the_force_is_that_of_fixed_frames(hyper, atoms):
    """Finite differences of the energy with frames and weights held fixed."""
    potential, atoms = potential_of(hyper, "layer"), rattled(atoms)
    (through_frames,) = potential.symmetrization_forces([atoms])
    rest = potential.compute(atoms).forces - through_frames
    assert np.abs(through_frames).max() > 1e-4 * np.abs(rest).max()
    frames, step = potential.frames(atoms), 1e-4
    for atom, axis in [(0, 0), (2, 1), (5, 2)]:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(energy_in_fixed_frames(potential, frames, moved))
        slope = (energies[0] - energies[1]) / (2 * step)
        assert rest[atom, axis] == pytest.approx(-slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("hyper", [CONTRAST, FOREIGN], ids=["contrast", "adaptive"])
def test_scopes_agree_where_their_energies_do(hyper):
    """One message layer; structures in a batch are those alone."""
    foreign = replace(hyper.foreign, final_combination=False, largest_charge=0, largest_spin=0)
    shallow = replace(hyper, message_layers=1, foreign=foreign)
    structures = [rattled(build_molecule("CH3CH2OH")), rattled(DIAMOND)]
    found = [potential_of(shallow, s).symmetrization_forces(structures) for s in ("layer", "atom")]
    for layer, atom, atoms in zip(*found, structures, strict=True):
        assert layer.shape == (len(atoms), 3)
        np.testing.assert_allclose(layer, atom, rtol=0, atol=1e-11 * np.abs(atom).max())
        (alone,) = potential_of(shallow, "layer").symmetrization_forces([atoms])
        np.testing.assert_allclose(alone, layer, rtol=0, atol=1e-11 * np.abs(atom).max())


@pytest.mark.parametrize("scope", ["layer", "atom", "structure"])
def test_it_is_zero_for_a_network_that_sees_distances_only(scope):
    checkpoint = random_checkpoint(CONTRAST)
    for name, weight in checkpoint.weights.items():
        if name.endswith("edge_embedder.weight"):
            weight[:, :3] = 0.0  # of the vector; the fourth column is that of the distance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        potential = Potential(checkpoint, dtype="float64", scope=scope)
    atoms = rattled(build_molecule("CH3CH2OH"))
    forces = potential.compute(atoms).forces
    (through_frames,) = potential.symmetrization_forces([atoms])
    assert np.abs(through_frames).max() < 1e-12 * np.abs(forces).max()


def test_plain_pet_has_none(molecule):
    (found,) = potential_of(MODERN, "none").symmetrization_forces([molecule])
    assert found.shape == (len(molecule), 3)
    assert not found.any()


def test_names_of_frame_constants():
    assert set(FRAMES) == set(NAMED_CONSTANTS)
    assert set(CANDIDATES) <= set(FRAMES) - {"paper"}
    atoms = rattled(DIAMOND)
    counts = {}
    for name in FRAMES:
        chosen = potential_of(MODERN, "layer", frames=name)
        written = potential_of(replace(MODERN, frames=NAMED_CONSTANTS[name]), "layer")
        assert chosen.compute(atoms).energy == written.compute(atoms).energy
        assert chosen.plain().compute(atoms).energy == written.plain().compute(atoms).energy
        counts[name] = len(chosen.frames(atoms).centre)
    assert counts["speed"] < counts["accuracy"]
    with pytest.raises(PetDriverError, match="frames is 'fast'; choose one of speed, accuracy"):
        potential_of(MODERN, "layer", frames="fast")


def test_warnings_compare_with_forces_and_errors():
    found = SymmetrizationForce(symmetrization=0.1, plain=1.0, frames=2.0)
    assert found.warning() is None
    assert found.share == pytest.approx(0.1)
    assert replace(found, error=0.31).warning() is None
    assert "a third of the force error (290 meV/A)" in replace(found, error=0.29).warning()
    assert "a third of the plain forces (250 meV/A)" in replace(found, plain=0.25).warning()


def test_random_structures_are_reproducible_and_not_too_close():
    for species in [(14,), (1, 8), tuple(range(1, 95))]:
        atoms = random_structure(species)
        assert atoms == random_structure(species)
        assert set(atoms.numbers) <= set(species)
        distances = atoms.get_all_distances(mic=True)
        assert distances[distances > 0].min() > 0.4
    assert random_structure((14,), seed=1) != random_structure((14,))


def test_the_cheapest_constants_with_a_small_force_are_chosen():
    """An invariant network needs few frames; for a random one the smaller force decides."""
    checkpoint = random_checkpoint(replace(MODERN, scope="none"))
    atoms = rattled(DIAMOND)
    choice = choose_frames(checkpoint, atoms)
    least = min(choice.found, key=lambda name: choice.found[name].symmetrization)
    small = [name for name in CANDIDATES if choice.found[name].share <= 0.05]
    assert choice.name == (small[0] if small else least)
    model = choice.applied(checkpoint)
    assert model.hyper.frames == NAMED_CONSTANTS[choice.name]
    assert model.card["frames"]["name"] == choice.name
    assert set(model.card["frames"]["measured"]) == set(CANDIDATES)
    for name, weight in checkpoint.weights.items():
        if name.endswith("edge_embedder.weight"):
            weight[:, :3] = 0.0
    assert choose_frames(checkpoint, atoms).name == CANDIDATES[0]


def test_check_reports_it_beside_the_error(tmp_path, capsys):
    """Labels are the forces of the model itself, all shifted by 0.2 eV/angstrom."""
    model, source = tmp_path / "model.safetensors", tmp_path / "in.xyz"
    save_checkpoint(random_checkpoint(CONTRAST), model)
    atoms = rattled(DIAMOND)
    potential = Potential(load_checkpoint(model), dtype="float64")
    found = SymmetrizationForce.of(potential, [atoms])
    arguments = ["check", str(model), str(source), "--symmetry", "--rotations", "2"]
    ase.io.write(source, atoms, format="extxyz", write_results=False)
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"symmetrization force {1e3 * found.symmetrization:.3g} meV/A" in text
    assert "force error" not in text
    atoms.arrays["forces"] = potential.compute(atoms).forces + 0.2
    ase.io.write(source, atoms, format="extxyz")
    assert main(arguments) == 0
    assert "force error 200 meV/A, of plain PET" in capsys.readouterr().out
