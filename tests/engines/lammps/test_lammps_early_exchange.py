"""Messages travel while centres far from other ranks are evaluated, in both passes."""

from dataclasses import replace

import numpy as np
import pytest
from ase.io.lammpsdata import read_lammps_data
from lammps_runs import DATA, dumped, script, succeeded

from helpers import MODERN, PAPER
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint

# 37 angstrom long: two ranks have 11 angstrom each in which no atom sees the other rank.
BOX = f"read_data {DATA}\nreplicate 1 1 3"


@pytest.mark.parametrize(
    ("hyper", "scope"),
    [
        (replace(MODERN, message_layers=3), "layer"),
        (replace(MODERN, message_layers=2), "none"),
        (replace(PAPER, order="pre"), "layer"),
    ],
    ids=["layer", "plain", "paper"],
)
def test_same_numbers_as_in_one_process(run_with, tmp_path, hyper, scope):
    path = tmp_path / "model.safetensors"
    save_checkpoint(random_checkpoint(hyper), path)
    potential = Potential(load_checkpoint(path), dtype="float64", scope=scope)
    atoms = read_lammps_data(DATA, units="metal", atom_style="atomic").repeat((1, 1, 3))
    expected = potential.compute(atoms)
    text = script(f"{path} scope {scope}", box=BOX, steps=0)
    energies = succeeded(run_with("recording_ranks.py", text, 2))[:, 2]
    forces = dumped(tmp_path, 0)
    order = np.lexsort(np.round(forces[:, 1:4], 6).T)
    places = np.lexsort(np.round(atoms.get_positions(wrap=True), 6).T)
    assert energies[0] == pytest.approx(expected.energy, rel=1e-11)
    np.testing.assert_allclose(
        forces[order, 4:], expected.forces[places], atol=1e-9 * np.abs(expected.forces).max()
    )
    for rank in range(2):
        events = (tmp_path / f"events.{rank}.txt").read_text().split("\n")
        check_overlap(events, hyper.message_layers - 1)


def check_overlap(events, exchanges):
    """Samples are evaluated between the beginning and the end of every exchange of messages."""
    meanwhile, of_exchange = [], None
    for event in events:
        if event == "begin":
            of_exchange = []
        elif event == "finish":
            meanwhile.append(of_exchange)
            of_exchange = None
        elif of_exchange is not None:
            of_exchange.append(event)
    busy = [set(x) for x in meanwhile if x]
    assert busy == [{"forward"}] * exchanges + [{"backward"}] * exchanges


# Both are in the part that is evaluated while messages travel.
@pytest.mark.parametrize("how", ["error", "backward"])
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_while_messages_travel_stops_all_ranks(run_with, model_file, how, rank):
    text = script(model_file, box=BOX, steps=3)
    result = run_with("failing_rank.py", text, 2, how, rank, 2)
    assert result.returncode == 2, result.stderr
    assert f"rank {rank}: ValueError: injected" in result.stderr
    assert result.stderr.count("pet-lmp:") == 1
    assert "Traceback" not in result.stdout + result.stderr


def test_a_shortage_while_messages_travel_makes_all_go_on(run_with, run_lammps, model_file):
    text = script(model_file, box=BOX, steps=2, timestep="0.0001")
    expected = succeeded(run_lammps(text, 2))
    result = run_with("failing_rank.py", text, 2, "memory", 1, 2)
    np.testing.assert_allclose(succeeded(result), expected, rtol=1e-9, atol=1e-6)
    assert result.stderr.count("out of memory on cpu: going on with chunks of") == 1
