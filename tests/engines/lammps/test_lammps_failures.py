"""A rank that fails ends the run on all ranks, with its message, and no rank waits for ever."""

import functools
import re

import numpy as np
import psutil
import pytest
from lammps_runs import script, succeeded


@pytest.fixture
def run_failing(run_with):
    """`run_failing(text, ranks, how, rank, call)`, see failing_rank.py."""
    return functools.partial(run_with, "failing_rank.py")


# A step of two layers calls each layer in two parts or more: these calls are in the first layer,
# in the second, and in later steps.
@pytest.mark.parametrize("call", [1, pytest.param(4, marks=pytest.mark.slow), 9])
@pytest.mark.parametrize("how", ["error", "backward"])
def test_an_error_in_the_model_stops_all_ranks(run_failing, model_file, how, call):
    result = run_failing(script(model_file, steps=30), 3, how, 1, call)
    assert result.returncode == 2
    assert "rank 1: ValueError: injected" in result.stderr
    assert result.stderr.count("pet-lmp:") == 1
    assert "Traceback" not in result.stdout + result.stderr


def test_an_error_in_a_wide_halo_stops_all_ranks(run_failing, model_file):
    """There only forces on ghosts are exchanged, at the end, and some ranks only receive."""
    text = script(model_file, steps=30).replace("dtype float64", "dtype float64 halo wide")
    result = run_failing(text, 3, "error", 1, 9)
    assert result.returncode == 2
    assert "rank 1: ValueError: injected" in result.stderr
    assert result.stderr.count("pet-lmp:") == 1


def test_numbers_that_are_not_finite_stop_all_ranks(run_failing, model_file, tmp_path):
    result = run_failing(script(model_file, steps=30), 2, "nan", 1, 30)
    assert result.returncode == 2
    step, atom, dump = re.search(
        r"step (\d+): rank \d: the result for atom (\d+) is not finite.*see (\S+)", result.stderr
    ).groups()
    lines = (tmp_path / dump).read_text().splitlines()
    assert lines[1] == step
    assert any(line.split()[0] == atom for line in lines[9:])
    assert len(lines) == 9 + 192


def test_an_error_outside_of_the_model_stops_all_ranks(run_failing, model_file):
    result = run_failing(script(model_file, steps=30), 2, "listing", 1, 3)
    assert result.returncode != 0
    assert "rank 1, step 2: ValueError('injected')" in result.stdout + result.stderr


def test_a_killed_rank_leaves_nobody_behind(run_failing, model_file, tmp_path):
    result = run_failing(script(model_file, steps=1000), 2, "killed", 1, 12)
    assert result.returncode != 0
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    assert not left


def test_out_of_memory_on_one_rank_makes_all_go_on_in_smaller_parts(
    run_failing, run_lammps, model_file
):
    text = script(model_file, steps=5, timestep="0.0001")
    expected = succeeded(run_lammps(text, 2))
    result = run_failing(text, 2, "memory", 1, 4)
    np.testing.assert_allclose(succeeded(result), expected, rtol=1e-9, atol=1e-6)
    assert result.stderr.count("out of memory on cpu: going on with chunks of") == 1
