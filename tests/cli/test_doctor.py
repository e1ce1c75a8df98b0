"""`pet-driver doctor` on this machine, and on what is wrong with others."""

import json

import numpy as np
import pytest
import torch

from pet_driver.cli.main import main
from pet_driver.diagnosis import describe_machine
from pet_driver.diagnosis.probe import try_python
from pet_driver.diagnosis.speed import (
    Speed,
    compared,
    expected_milliseconds,
    measure_speed,
    water_box,
)


def test_all_that_is_installed_here_works(tmp_path, capsys):
    pytest.importorskip("mpi4py", exc_type=ImportError)
    path = tmp_path / "found.json"
    assert main(["doctor", "--no-timing", "--json", str(path)]) == 0
    output = capsys.readouterr().out
    assert "problem:" not in output
    assert torch.__version__ in output
    found = {row["name"]: row["value"] for row in json.loads(path.read_text())["software"]}
    assert "MPICH" in found["two MPI ranks"]
    assert found["LAMMPS starts"].startswith("version 20")


@pytest.mark.slow
def test_times_are_compared_with_recorded_ones(capsys):
    assert main(["doctor", "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    for n_atoms in (192, 648):
        line = next(line for line in output.splitlines() if f"{n_atoms} atoms of water" in line)
        assert "expected:" in line


def test_bad_input_is_one_sentence(tmp_path, capsys):
    assert main(["doctor", "--no-timing", "--json", str(tmp_path / "no" / "where.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["doctor", "--device", "gpu", "--no-timing"]) == 2
    assert "choose cpu, cuda or cuda:N" in capsys.readouterr().err


def test_too_many_threads_are_noticed():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        threads = {finding.name: finding for finding in describe_machine()}["threads"]
        assert "cores, which then wait" not in threads.problem
        torch.set_num_threads(512)
        threads = {finding.name: finding for finding in describe_machine()}["threads"]
        assert "torch uses 512 threads" in threads.problem
        assert threads.only_slow
    finally:
        torch.set_num_threads(before)


def test_what_fails_or_does_not_start_is_told_in_one_line():
    assert try_python("print(6 * 7)") == ("42", "")
    assert try_python("raise ValueError('torn')") == ("", "ValueError: torn")
    assert try_python("", ["/nowhere/mpiexec", "-n", "2"])[1]
    assert try_python("raise SystemExit(3)") == ("", "exit code 3")


def test_box_has_the_density_of_water():
    box = water_box(4)
    grams = box.get_masses().sum() / 6.02214076e23
    assert grams / (box.get_volume() * 1e-24) == pytest.approx(1.0, rel=0.01)
    assert box.get_all_distances(mic=True)[~np.eye(192, dtype=bool)].min() > 0.9


def test_expected_times_scale_with_the_rate_of_matrix_products():
    fast, slow = Speed("cpu", 1, 80.0, {}), Speed("cpu", 1, 40.0, {})
    assert expected_milliseconds(slow, 192) == pytest.approx(2 * expected_milliseconds(fast, 192))
    assert expected_milliseconds(fast, 193) is None
    assert expected_milliseconds(Speed("NVIDIA H200", 1, 1e4, {}), 5184) > 10


def test_another_card_is_shown_beside_the_recorded_one_and_is_no_problem():
    found = compared(Speed("another card", 1, 1e4, {}), 5184, 1e4)
    assert "NVIDIA H200: " in found.value
    assert not found.problem
    same = compared(Speed("NVIDIA H200", 1, 1e4, {}), 5184, 1e4)
    assert same.only_slow
    assert "recorded on another such GPU" in same.problem


@pytest.mark.slow
def test_speed_is_measured_in_the_right_units():
    speed = measure_speed("cpu")
    assert set(speed.milliseconds) == {192, 648}
    assert 1 < speed.gigaflops < 1e5
    assert speed.milliseconds[192] < speed.milliseconds[648]
