import numpy as np
import pytest
from ase import Atoms

from pet_driver.evaluation.evaluation import EvaluationRequest
from pet_driver.evaluation.potential import Potential
from pet_driver.model import PET


def test_padding_never_changes_a_result(any_checkpoint, molecule, small_box):
    for scope in ("layer", "none"):
        potential = quiet(any_checkpoint, scope)
        alone = potential.compute(molecule)
        among, _ = potential.compute([molecule, small_box])
        assert among.energy == pytest.approx(alone.energy, rel=1e-12)
        np.testing.assert_allclose(among.forces, alone.forces, rtol=0, atol=1e-12)
        np.testing.assert_allclose(among.virial, alone.virial, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms("O", [[0, 0, 0]]),
        Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]),
        Atoms("OCO", [[0, 0, -1.16], [0, 0, 0], [0, 0, 1.16]]),
        Atoms("OH", [[0, 0, 0], [0, 0, 9.0]]),
    ],
    ids=["one atom", "two", "three in a line", "two far apart"],
)
def test_few_neighbors(any_checkpoint, atoms):
    for scope in ("layer", "none"):
        prediction = quiet(any_checkpoint, scope).compute(atoms)
        assert np.isfinite(prediction.energies).all()
        np.testing.assert_allclose(prediction.forces.sum(0), 0.0, atol=1e-12)


def test_energy_is_continuous_as_a_neighbor_leaves(any_checkpoint, molecule):
    """Just inside and just outside of the cutoff a far atom makes no difference."""
    potential = quiet(any_checkpoint, "layer")
    cutoff = potential.cutoff
    far = [molecule + Atoms("C", [[0.0, -(cutoff + shift), 0.0]]) for shift in (-1e-7, 1e-7)]
    inside, outside = potential.compute(far)
    assert inside.energy == pytest.approx(outside.energy, abs=1e-10)


def test_chunks_give_the_same_numbers(checkpoint, small_box):
    whole = Potential(checkpoint, dtype="float64").compute(small_box)
    parts = Potential(checkpoint, dtype="float64", chunk=5).compute(small_box)
    assert parts.energy == pytest.approx(whole.energy, rel=1e-13)
    np.testing.assert_allclose(parts.forces, whole.forces, rtol=0, atol=1e-12)


def test_all_weights_are_used(checkpoint, small_box):
    """Every parameter has a gradient: nothing is registered and forgotten."""
    from pet_driver import Potential
    from pet_driver.training.loss import predict

    network = PET(checkpoint.hyper).double()
    graph = Potential(checkpoint).graph([small_box])
    predict(network, graph, EvaluationRequest(weights_too=True)).forces.square().sum().backward()
    unused = {name for name, p in network.named_parameters() if p.grad is None}
    # A constant shifts the energy and leaves the forces alone.
    assert unused <= {"node_heads.0.layers.4.bias", "edge_heads.0.layers.4.bias"}


@pytest.mark.filterwarnings("ignore:.*was trained with scope")
def quiet(checkpoint, scope):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Potential(checkpoint, dtype="float64", scope=scope)
