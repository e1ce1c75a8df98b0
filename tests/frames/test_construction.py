import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from helpers import SHARED
from pet_driver.frames import FrameConstants, environment_frames
from pet_driver.frames.construction import prune, smooth_maximum
from pet_driver.frames.neighbor_pairs import NeighborGeometry, inner_cutoff, pair_frames

REFERENCE = SHARED / "reference" / "ecse_frames" / "ecse_frames_reference.json"
CONSTANTS = FrameConstants()


def frames_of(neighbors, cutoff=4.0):
    vectors = torch.tensor(np.asarray(neighbors, dtype=np.float64)).reshape(1, -1, 3)
    valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
    return environment_frames(vectors, valid, cutoff, CONSTANTS)


@pytest.mark.skipif(not REFERENCE.exists(), reason="no reference frames of the original code here")
def test_frames_and_weights_equal_the_original_code():
    for environment in json.loads(REFERENCE.read_text())["environments"]:
        vectors = torch.tensor(environment["neighbors"], dtype=torch.float64)[None]
        valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
        lengths = vectors.norm(dim=-1)
        directions = vectors / lengths[..., None]
        sin2 = 1.0 - (directions @ directions.transpose(1, 2)) ** 2
        inner = inner_cutoff(lengths, sin2, valid, environment["r_out"], CONSTANTS)
        assert inner.item() == pytest.approx(environment["r_in"], abs=1e-10)
        neighbors = NeighborGeometry(lengths, directions, valid, inner)
        centre, frames, weights = pair_frames(neighbors, sin2, CONSTANTS)
        assert_same_set(frames, weights, environment["frames"], environment["weights"])
        pruned = prune(centre, weights, smooth_maximum(centre, weights, 1), CONSTANTS)
        kept = pruned > 1e-10
        expected = environment["pruned_frames"], environment["pruned_weights"]
        assert_same_set(frames[kept], pruned[kept], *expected)


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
def test_frames_are_rotations_and_weights_sum_to_one(neighbors):
    frame_set = frames_of(neighbors)
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
