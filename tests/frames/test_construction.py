import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from helpers import SHARED
from pet_driver.frames import FrameConstants, environment_frames
from pet_driver.frames.construction import _smooth_largest, inner_cutoff, pair_frames, prune

REFERENCE = SHARED / "reference" / "ecse_frames" / "ecse_frames_reference.json"
HYPER = FrameConstants()


def frames_of(neighbors, cutoff=4.0):
    vectors = torch.tensor(np.asarray(neighbors, dtype=np.float64)).reshape(1, -1, 3)
    valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
    return environment_frames(vectors, valid, cutoff, HYPER)


@pytest.mark.skipif(not REFERENCE.exists(), reason="no reference frames of the original code here")
def test_frames_and_weights_equal_the_original_code():
    for environment in json.loads(REFERENCE.read_text())["environments"]:
        vectors = torch.tensor(environment["neighbors"], dtype=torch.float64)[None]
        valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
        lengths = vectors.norm(dim=-1)
        directions = vectors / lengths[..., None]
        sin2 = 1.0 - (directions @ directions.transpose(1, 2)) ** 2
        inner = inner_cutoff(lengths, sin2, valid, environment["r_out"], HYPER)
        assert inner.item() == pytest.approx(environment["r_in"], abs=1e-10)
        centre, frames, weights = pair_frames(lengths, directions, sin2, valid, inner, HYPER)
        assert_same_set(frames, weights, environment["frames"], environment["weights"])
        pruned = prune(centre, weights, _smooth_largest(centre, weights, 1), HYPER)
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
    rows = frames_of(neighbors)
    assert rows.weights.sum().item() == pytest.approx(1.0, abs=1e-14)
    assert (rows.weights >= 0).all()
    identity = torch.eye(3, dtype=torch.float64)
    product = rows.frames.transpose(1, 2) @ rows.frames
    torch.testing.assert_close(product, identity.expand_as(product), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.linalg.det(rows.frames), torch.ones(len(rows.frames)).double())


def test_first_axes_are_near_neighbors():
    """Bonds at 1 angstrom are axes, contacts at 1.8 are not, though they lie within R_in."""
    vectors = torch.tensor([[[1.0, 0, 0], [0.2, 1.0, 0], [-1.2, 0.2, 1.3], [0.1, -1.2, 1.3]]])
    valid = torch.ones(vectors.shape[:2], dtype=torch.bool)
    hyper = replace(HYPER, margin=1.0, pruning_rounds=0)
    rows = environment_frames(vectors.double(), valid, 4.0, hyper)
    fewer = environment_frames(vectors.double(), valid, 4.0, replace(hyper, axis_margin=0.4))
    directions = torch.nn.functional.normalize(vectors[0].double(), dim=1)

    def axes(found):
        return {int((directions @ frame[:, 0]).argmax()) for frame in found.frames}

    assert axes(rows) == {0, 1, 2, 3}
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
    alone, among = frames_of(neighbors), environment_frames(padded, valid, 4.0, HYPER)
    torch.testing.assert_close(alone.weights, among.weights, rtol=0, atol=0)
    torch.testing.assert_close(alone.frames, among.frames, rtol=0, atol=0)


def test_drawn_frames_follow_the_weights():
    rows = frames_of([[1.0, 0.0, 0.1], [0.2, 1.1, 0.0], [0.1, 0.3, 1.05]])
    generator = torch.Generator().manual_seed(0)
    chosen = [rows.sample(generator).frames[0] for _ in range(4000)]
    for frame, weight in zip(rows.frames, rows.weights.tolist(), strict=True):
        share = np.mean([torch.equal(frame, other) for other in chosen])
        assert share == pytest.approx(weight, abs=0.03)
