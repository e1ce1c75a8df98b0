"""Layers with frozen weights, whose backward passes are written out, against the modules."""

from __future__ import annotations

import pytest
import torch

from pet_driver.model import PET, Hyperparameters, NetworkInput, PassOptions

N_CENTRES, N_NEIGHBORS = 90, 34  # so that there are several runs of rows, and the last is shorter
SHAPES = [
    {"radial_waves": 5},
    {"activation": "silu", "normalization": "layer", "message_layers": 3},
    {"node_width": 8, "attention_layers": 2},
    {"block": "paper", "node_width": 8},
    {"order": "post", "node_width": 8},
    {"node_width": 8, "final_norm": True, "neighbor_species": False},
    {"final_combination": True},
    {"properties": [["dipole", 1], ["polarizability", 2]]},
    {"properties": [["dipole", 1]], "final_combination": True},
]


def reversed_messages(messages: torch.Tensor) -> torch.Tensor:
    """Any map that is its own inverse will do."""
    return messages.flip(0)


def results(network: PET, inputs: NetworkInput, frozen: bool) -> list[torch.Tensor]:
    """Energies, the gradient of their weighted sum with respect to the vectors, and properties."""
    vectors = inputs.vectors.clone().requires_grad_()
    changed = NetworkInput(inputs.centre_species, inputs.neighbor_species, vectors, inputs.valid)
    output = network(changed, None, reversed_messages, PassOptions(frozen=frozen))
    weights = torch.linspace(0.5, 1.5, N_CENTRES, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weights * output.energies).sum(), vectors)
    return [output.energies.detach(), gradient, *(x.detach() for x in output.properties.values())]


@pytest.mark.parametrize("shape", SHAPES, ids=[" ".join(shape) for shape in SHAPES])
def test_the_same_energies_and_gradients_as_the_modules(shape: dict[str, object]) -> None:
    torch.manual_seed(0)
    basis = {"species": [1, 8], "width": 8, "node_width": 12, "heads": 2, "feedforward_width": 10}
    hyper = Hyperparameters.from_dict({**basis, "head_width": 6, **shape})
    network = PET(hyper).to(torch.float64).requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    inputs = NetworkInput(
        torch.randint(2, (N_CENTRES,)),
        torch.randint(2, (N_CENTRES, N_NEIGHBORS)),
        2.0 * torch.randn(N_CENTRES, N_NEIGHBORS, 3, dtype=torch.float64),
        torch.arange(N_NEIGHBORS) < torch.randint(1, N_NEIGHBORS + 1, (N_CENTRES, 1)),
    )
    for found, wanted in zip(
        results(network, inputs, True), results(network, inputs, False), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-12)
        assert wanted.abs().max() > 1e-4
