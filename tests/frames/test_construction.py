import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from helpers import CONTRAST, SHARED
from pet_driver.evaluation.rotation_error import random_rotations
from pet_driver.frames import FrameConstants, environment_frames
from pet_driver.frames.ensembles import Ensembles
from pet_driver.frames.neighbor_pairs import NeighborPairs
from pet_driver.frames.pruning import contrasted, power_maximum, prune, smooth_maximum
from pet_driver.graph import System, find_edges
from pet_driver.runtime.table_sizes import MeasuredSizes

REFERENCE = SHARED / "reference" / "ecse_frames" / "ecse_frames_reference.json"
CONSTANTS = FrameConstants()
SHARP_CONTRAST = replace(CONTRAST.frames, pruning_fraction=0.7, pruning_width=0.25)


def frames_of(neighbors, cutoff=4.0, constants=CONSTANTS):
    vectors = torch.tensor(np.asarray(neighbors, dtype=np.float64)).reshape(1, -1, 3)
    valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
    return environment_frames(vectors, valid, cutoff, constants)


def neighbors_of_first(atoms: Atoms, cutoff: float) -> np.ndarray:
    """Displacements from the first atom to its neighbors."""
    edges = find_edges(System.from_atoms(atoms), cutoff)
    return edges.vectors[edges.centre == 0]


@pytest.mark.skipif(not REFERENCE.exists(), reason="no reference frames of the original code here")
def test_frames_and_weights_equal_the_original_code():
    for environment in json.loads(REFERENCE.read_text())["environments"]:
        vectors = torch.tensor(environment["neighbors"], dtype=torch.float64)[None]
        valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
        cutoff = environment["r_out"] + CONSTANTS.margin
        pairs = NeighborPairs.of(vectors, valid, cutoff, CONSTANTS)
        assert pairs.neighbors.inner.item() == pytest.approx(environment["r_in"], abs=1e-10)
        _, frames, weights = pairs.kept(pairs.weights, MeasuredSizes())
        assert_same_set(frames, weights, environment["frames"], environment["weights"])
        ensembles = Ensembles(1)
        largest = smooth_maximum(ensembles, pairs.weights)
        pruned, _ = prune(ensembles, pairs.weights, largest, CONSTANTS)
        _, frames, weights = pairs.kept(pruned * (pruned > 1e-10), MeasuredSizes())
        expected = environment["pruned_frames"], environment["pruned_weights"]
        assert_same_set(frames, weights, *expected)


def assert_same_set(frames, weights, expected_frames, expected_weights):
    """The same frames with the same weights, in any order."""
    assert len(weights) == len(expected_weights)
    left = list(zip(np.array(expected_frames).reshape(-1, 9), expected_weights, strict=True))
    for frame, weight in zip(frames.numpy().reshape(-1, 9), weights.tolist(), strict=True):
        errors = [max(np.abs(f - frame).max(), abs(w - weight)) for f, w in left]
        assert min(errors) < 1e-10
        del left[int(np.argmin(errors))]


@pytest.mark.parametrize(
    "neighbors",
    [
        [],
        [[1.0, 0.2, 0.1]],
        [[1.1, 0.0, 0.0], [-1.2, 0.0, 0.0]],
        [[1.1, 0.0, 0.0], [-1.2, 1e-3, 0.0]],
        [[1.1, 0.0, 0.0], [-1.2, 0.3, 0.0], [2.0, 0.1, 0.2]],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]],
        [[3.95, 0.0, 0.0], [0.0, 3.9, 0.3]],
    ],
    ids=["none", "one", "linear", "almost linear", "bent", "square", "far"],
)
@pytest.mark.parametrize("constants", [CONSTANTS, CONTRAST.frames], ids=["paper", "contrast"])
def test_frames_are_rotations_and_weights_sum_to_one(neighbors, constants):
    frame_set = frames_of(neighbors, constants=constants)
    assert frame_set.weights.sum().item() == pytest.approx(1.0, abs=1e-14)
    assert (frame_set.weights >= 0).all()
    identity = torch.eye(3, dtype=torch.float64)
    product = frame_set.frames.transpose(1, 2) @ frame_set.frames
    torch.testing.assert_close(product, identity.expand_as(product), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        torch.linalg.det(frame_set.frames), torch.ones(len(frame_set.frames)).double()
    )


def test_first_axes_are_near_neighbors():
    """Bonds at 1 angstrom are axes, contacts at 1.8 are not, though they lie within R_in."""
    vectors = torch.tensor([[[1.0, 0, 0], [0.2, 1.0, 0], [-1.2, 0.2, 1.3], [0.1, -1.2, 1.3]]])
    valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
    constants = replace(CONSTANTS, margin=1.0, pruning_rounds=0)
    frame_set = environment_frames(vectors.double(), valid, 4.0, constants)
    fewer = environment_frames(vectors.double(), valid, 4.0, replace(constants, axis_margin=0.4))
    directions = torch.nn.functional.normalize(vectors[0].double(), dim=1)

    def axes(found):
        return {int((directions @ frame[:, 0]).argmax()) for frame in found.frames}

    assert axes(frame_set) == {0, 1, 2, 3}
    assert axes(fewer) == {0, 1}
    assert fewer.weights.sum().item() == pytest.approx(1.0, abs=1e-14)


def test_neighbors_beyond_the_outer_radius_form_pairs():
    """Where there are no others: R_in is then up to a margin larger than R_out."""
    neighbors = torch.tensor([[3.87, 0, 0], [0, 3.87, 0], [0, 0, 3.88]], dtype=torch.float64)
    for constants in (CONSTANTS, replace(CONTRAST.frames, margin=0.15)):
        found = frames_of(neighbors, constants=constants)
        pairs = found.frames[(found.frames[:, :, 0] @ neighbors.T).amax(1) > 3.86]
        assert len(pairs) >= 3
        axes = {int(axis.argmax()) for axis in pairs[:, :, 0]}
        assert axes == {0, 1, 2}


def test_local_coordinates_do_not_know_the_orientation():
    neighbors = np.random.default_rng(1).normal(size=(6, 3)) * 1.5
    turned = neighbors @ Rotation.random(random_state=2).as_matrix().T
    first, second = frames_of(neighbors), frames_of(turned)
    torch.testing.assert_close(first.weights, second.weights, rtol=0, atol=1e-12)
    a = torch.tensor(neighbors) @ first.frames
    b = torch.tensor(turned) @ second.frames
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_padding_is_invisible():
    neighbors = np.random.default_rng(3).normal(size=(5, 3)) * 1.5
    padded = torch.zeros(1, 9, 3, dtype=torch.float64)
    padded[0, :5] = torch.tensor(neighbors)
    valid = torch.arange(9)[None] < 5
    alone, among = frames_of(neighbors), environment_frames(padded, valid, 4.0, CONSTANTS)
    torch.testing.assert_close(alone.weights, among.weights, rtol=0, atol=0)
    torch.testing.assert_close(alone.frames, among.frames, rtol=0, atol=0)


def test_drawn_frames_follow_the_weights():
    frame_set = frames_of([[1.0, 0.0, 0.1], [0.2, 1.1, 0.0], [0.1, 0.3, 1.05]])
    generator = torch.Generator().manual_seed(0)
    chosen = [frame_set.sample(generator).frames[0] for _ in range(4000)]
    for frame, weight in zip(frame_set.frames, frame_set.weights.tolist(), strict=True):
        share = np.mean([torch.equal(frame, other) for other in chosen])
        assert share == pytest.approx(weight, abs=0.03)


def test_several_frames_are_drawn_of_each_centre():
    """Their mean is that of all frames; with turns, they point everywhere."""
    neighbors = [[1.0, 0.0, 0.1], [0.2, 1.1, 0.0], [0.1, 0.3, 1.05]]
    frame_set = frames_of(neighbors)
    draw = torch.rand(1, 4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = frame_set.sample(draw=draw)
    assert (drawn.centre == 0).all()
    assert drawn.weights.sum().item() == pytest.approx(1.0)
    expected = (frame_set.weights[:, None, None] * frame_set.frames).sum(0)
    torch.testing.assert_close(drawn.frames.mean(0), expected, rtol=0, atol=0.05)
    turned = drawn.turned_each(torch.as_tensor(random_rotations(4000)))
    assert turned.frames.mean(0).abs().max() < 0.05
    product = turned.frames.transpose(1, 2) @ turned.frames
    torch.testing.assert_close(product, torch.eye(3).double().expand_as(product))


def test_constants_keep_the_keys_of_files():
    """Files write "spread" and "spread_width"; the names of the attributes are read too."""
    constants = FrameConstants(margin=0.8, sin2_threshold=0.3, sin2_width=0.1)
    written = constants.to_dict()
    assert written["spread"] == 0.3
    assert written["spread_width"] == 0.1
    assert set(written) & {"sin2_threshold", "sin2_width"} == set()
    assert FrameConstants.from_dict(written) == constants
    renamed = {"margin": 0.8, "sin2_threshold": 0.3, "sin2_width": 0.1}
    assert FrameConstants.from_dict(renamed) == constants


def test_constants_are_checked():
    with pytest.raises(ValueError, match="axial_copies is 5; it must be even"):
        FrameConstants(axial_copies=5)
    with pytest.raises(ValueError, match="unknown frame constant 'margn'; known are"):
        FrameConstants.from_dict({"margn": 0.2})
    with pytest.raises(ValueError, match="spread and sin2_threshold are two names"):
        FrameConstants.from_dict({"spread": 0.2, "sin2_threshold": 0.2})
    with pytest.raises(ValueError, match=r"sin2_width is 0\.3; it must be above 0 and not above"):
        FrameConstants(sin2_width=0.3)
    with pytest.raises(ValueError, match=r"beta is 1 and margin 0\.15; their product must be"):
        FrameConstants(beta=1.0)


def test_constants_of_contrast_are_checked_and_kept():
    constants = replace(CONTRAST.frames, contrast=[0.2, 0.3])
    assert constants.contrast == (0.2, 0.3)
    assert FrameConstants.from_dict(json.loads(json.dumps(constants.to_dict()))) == constants
    assert "contrast" not in CONSTANTS.to_dict()
    for wrong in ([0.1], [0.1, 0.01], 0.3, "ab", [0.1, float("nan")]):
        with pytest.raises(ValueError, match=r"at least 0\.02 angstrom"):
            replace(CONTRAST.frames, contrast=wrong)
    with pytest.raises(ValueError, match="pruning ends at 1 of the largest weight"):
        replace(CONTRAST.frames, pruning_width=0.7)
    with pytest.raises(ValueError, match=r"maximum_power is 0\.5; it must"):
        replace(CONTRAST.frames, maximum_power=0.5)
    with pytest.raises(ValueError, match=r"axial_width is 0\.5 and axial_threshold 0\.4"):
        replace(CONTRAST.frames, axial_threshold=0.4)


@pytest.mark.parametrize("power", [1.0, 8.0, 30.0])
def test_maximum_is_a_mean_that_scales_with_the_weights(power):
    """Equal to the weights of a tie of any size, never above the largest."""
    one = Ensembles(1)
    tie = torch.full((1, 7, 12), 0.37, dtype=torch.float64)
    assert power_maximum(one, tie, power).item() == pytest.approx(0.37, rel=1e-14)
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(1, 7, 12, dtype=torch.float64, generator=generator)
    found = power_maximum(one, weights, power).item()
    assert weights.mean() <= found <= weights.max()
    scaled = power_maximum(one, 0.01 * weights, power).item()
    assert scaled == pytest.approx(0.01 * found, rel=1e-12)


def test_only_ratios_of_contrasted_weights_count():
    """Not even factors of 1e-40 and e^-300, common to all pairs, change anything."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(3, 4, 5, dtype=torch.float64, generator=generator)
    contrast = -5.0 * torch.rand(3, 4, 5, dtype=torch.float64, generator=generator)
    found = contrasted(Ensembles(3), weights, contrast, CONTRAST.frames)
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3).double())
    assert 3 <= (found > 0).sum() < 30
    same = contrasted(Ensembles(3), 1e-40 * weights, contrast - 300.0, CONTRAST.frames)
    torch.testing.assert_close(same, found, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("constants", [CONTRAST.frames, SHARP_CONTRAST], ids=["gentle", "sharp"])
@pytest.mark.parametrize(
    ("atoms", "cutoff", "count"),
    [
        (bulk("Si", cubic=True), 4.75, 12),
        (bulk("Cu", cubic=True), 4.5, 24),
        (bulk("W", cubic=True), 5.0, 8),
    ],
    ids=["diamond", "fcc", "bcc"],
)
def test_frames_of_a_perfect_crystal_are_all_kept(constants, atoms, cutoff, count):
    """No frame of a tie is pruned, and equal frames have equal weights."""
    frame_set = frames_of(neighbors_of_first(atoms, cutoff), cutoff, constants)
    assert frame_set.weights.sum().item() == pytest.approx(1.0, abs=1e-14)
    heaviest = frame_set.weights.max()
    assert (frame_set.weights > 0.999 * heaviest).sum().item() >= count


def test_contrast_leaves_fewer_frames_of_near_neighbors():
    neighbors = [[1.0, 0.0, 0.1], [0.2, 1.1, 0.0], [0.1, 0.3, 1.25], [-1.1, -0.4, 0.2]]
    gentle = replace(CONTRAST.frames, contrast=None, pruning_width=0.7)
    many, few = (frames_of(neighbors, constants=c) for c in (gentle, CONTRAST.frames))
    assert len(few.weights) < len(many.weights)
    direction = torch.nn.functional.normalize(
        torch.tensor(neighbors, dtype=torch.float64)[0], dim=0
    )
    heaviest = few.frames[few.weights.argmax()]
    torch.testing.assert_close(heaviest[:, 0], direction)
