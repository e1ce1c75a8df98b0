"""One pass through the network: its options, and layers that evaluate fewer and fewer centres."""

from dataclasses import replace

import pytest
import torch

from helpers import FOREIGN, MODERN, PAPER
from pet_driver.frames import environment_frames
from pet_driver.model import PET, ForeignHyperparameters, LayerMap, NetworkInput, PassOptions

PROPERTIES = (("dipole", 1), ("tensor", 2))
FINAL = replace(MODERN, foreign=ForeignHyperparameters(final_combination=True))
MODELS = {
    "modern": replace(MODERN, properties=PROPERTIES),
    "paper": replace(PAPER, properties=PROPERTIES),
    "final combination": replace(FINAL, properties=PROPERTIES),
    "bare centre": replace(MODERN, node_width=16, foreign=ForeignHyperparameters(bare_centre=True)),
    "sudden bonds": replace(PAPER, foreign=ForeignHyperparameters(sudden_bonds=True)),
}
N = 5  # atoms, each a neighbor of each other


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def network(request):
    torch.manual_seed(0)
    return PET(request.param).double()


def all_pairs():
    """Inputs for five atoms near each other, and their neighbors' indices."""
    positions = torch.randn(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    neighbors = torch.tensor([[j for j in range(N) if j != i] for i in range(N)])
    species = torch.tensor([0, 1, 2, 0, 1])
    vectors = positions[neighbors] - positions[:, None]
    valid = torch.ones(N, N - 1, dtype=torch.bool)
    return NetworkInput(species, species[neighbors], vectors, valid), neighbors


def exchange_of(neighbors, centres):
    """Messages of all centres to those on the reversed edges of some."""
    back = torch.tensor(
        [[neighbors[j].tolist().index(i) for j in neighbors[i].tolist()] for i in centres]
    )
    return lambda messages: messages[neighbors[centres], back]


@pytest.fixture
def inputs():
    return all_pairs()[0]


@pytest.fixture
def exchange():
    return exchange_of(all_pairs()[1], list(range(N)))


@pytest.fixture
def frame_set(network, inputs):
    hyper = network.hyper
    return environment_frames(inputs.vectors, inputs.valid, hyper.cutoff, hyper.frames, True)


def test_options_add_results_and_change_none(network, inputs, exchange, frame_set):
    alone = network(inputs, frame_set, exchange)
    assert (alone.features, alone.energy_variance, alone.message_variance) == (None, None, None)
    more = PassOptions(variances=True, features=True)
    output = network(inputs, frame_set, exchange, more)
    assert torch.equal(output.energies, alone.energies)
    readouts = 1 if network.hyper.modern else 2
    assert output.features.shape == (N, 2 * readouts * network.hyper.head_width)
    assert output.energy_variance.shape == output.message_variance.shape == (N,)
    assert (output.energy_variance > 0.0).all()
    assert (output.message_variance > 0.0).all()


def test_variances_need_frames(network, inputs, exchange):
    """Plain evaluation has one sample for each centre, and no variance."""
    output = network(inputs, None, exchange, PassOptions(variances=True))
    assert output.energy_variance is None


def test_energies_are_linear_in_the_features(network, inputs, exchange, frame_set):
    """The features are the inputs of last, linear layers."""
    output = network(inputs, frame_set, exchange, PassOptions(features=True))
    last = []
    for node, edge in zip(network.node_heads, network.edge_heads, strict=True):
        last += [node.layers[-1].weight[0], edge.layers[-1].weight[0]]
        torch.nn.init.zeros_(node.layers[-1].bias)
        torch.nn.init.zeros_(edge.layers[-1].bias)
    energies = network(inputs, frame_set, exchange).energies
    torch.testing.assert_close(output.features @ torch.cat(last), energies, rtol=0, atol=1e-12)


def test_fewer_centres_in_later_layers(network, inputs, exchange):
    """Maps from layer to layer leave results and features of the kept centres as they are."""
    neighbors, kept = all_pairs()[1], [1, 3, 4]
    options = PassOptions(features=True, fade=False)
    whole = network(inputs, None, exchange, options)
    everyone = LayerMap(torch.arange(N), exchange)
    last = LayerMap(torch.tensor(kept), exchange_of(neighbors, kept))
    some = network(inputs, None, [everyone] * (network.hyper.exchanges - 1) + [last], options)
    pairs = [(whole.energies, some.energies), (whole.features, some.features)]
    pairs += [(x, some.properties[name]) for name, x in whole.properties.items()]
    for x, y in pairs:
        torch.testing.assert_close(x[kept], y, rtol=0, atol=1e-13)


def test_frames_can_be_drawn_anew_for_each_layer(network, inputs, exchange, frame_set):
    calls = []

    def draw():
        calls.append(None)
        return frame_set

    drawn = network(inputs, draw, exchange)
    assert len(calls) == network.hyper.message_layers
    assert torch.equal(drawn.energies, network(inputs, frame_set, exchange).energies)


def test_charge_and_spin_are_needed(exchange, inputs):
    network = PET(FOREIGN).double()
    with pytest.raises(ValueError, match="charge_and_spin is None"):
        network(inputs, None, exchange)
