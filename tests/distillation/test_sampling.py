"""Structures from dynamics, and the division of structures into parts."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from pet_driver.distillation.parts import divided
from pet_driver.distillation.sampling import SampleRun, sampled
from pet_driver.distillation.work_folder import WorkFolder
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.graph import System
from plain_models import molecules, plain_model


def test_runs_are_read():
    run = SampleRun.parse("300K:2ps")
    assert (run.kelvin, run.fs, run.pressure) == (300.0, 2000.0, None)
    assert run.segments - run.discarded == 32
    run = SampleRun.parse("1200.5K:-1.5GPa:300fs")
    assert run.kelvin == 1200.5
    assert run.pressure == pytest.approx(-1.5 * units.GPa)
    for words in ("300:2ps", "300K", "300K:2", "0K:2ps", "300K:1atm:2ps", "300K:0fs"):
        with pytest.raises(PetDriverError, match="300K:2ps"):
            SampleRun.parse(words)


def test_an_interrupted_run_gives_the_same_structures(tmp_path):
    plain = Potential(plain_model(0.01), scope="none")
    (start,) = molecules(1)
    run = SampleRun.parse("300K:100fs")
    whole = sampled(plain, start, run, tmp_path / "a", seed=1)
    assert len(whole) == 2
    assert not np.allclose(whole[0].positions, whole[1].positions, atol=1e-3)

    stops: list[int] = []

    def stop():
        stops.append(0)
        if len(stops) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sampled(plain, start, run, tmp_path / "b", 1, stop)
    assert len(list((tmp_path / "b").iterdir())) == 1
    resumed = sampled(plain, start, run, tmp_path / "b", 1)
    for one, two in zip(whole, resumed, strict=True):
        assert (one.positions == two.positions).all()


def test_a_pressure_changes_the_cell(tmp_path):
    carbon = bulk("C", "diamond", a=4.2, cubic=True)
    carbon.rattle(0.02, seed=0)
    plain = Potential(plain_model(1e-6), scope="none")
    start = System.from_atoms(carbon)
    volumes = []
    for name, words in enumerate(("300K:5GPa:50fs", "300K:-5GPa:50fs", "300K:50fs")):
        (last,) = sampled(plain, start, SampleRun.parse(words), tmp_path / str(name), 0)[-1:]
        volumes.append(np.linalg.det(last.cell))
    assert volumes[0] < volumes[2] < volumes[1]
    assert volumes[2] == pytest.approx(carbon.get_volume())
    with pytest.raises(PetDriverError, match="leave the pressure out"):
        sampled(plain, molecules(1)[0], SampleRun.parse("300K:1bar:1ps"), tmp_path / "x", 0)


def test_unstable_dynamics_is_one_sentence(tmp_path):
    plain = Potential(plain_model(1000.0), scope="none")
    with pytest.raises(PetDriverError, match="the dynamics of --sample 300K:100fs"):
        sampled(plain, molecules(1)[0], SampleRun.parse("300K:100fs"), tmp_path, 0)


def test_parts():
    parts = divided(30, [], seed=0)
    assert (len(parts.training), len(parts.validation), len(parts.test)) == (20, 5, 5)
    assert sorted(parts.all()) == list(range(30))
    many = divided(214, [], seed=0)
    assert (len(many.training), len(many.validation), len(many.test)) == (190, 12, 12)
    assert many.thinned(214) == many
    few = parts.thinned(9)
    assert (len(few.training), len(few.validation), len(few.test)) == (7, 1, 1)
    assert set(few.test) <= set(parts.test)
    # The start of dynamics is tuned on; what comes last in time is held out.
    parts = divided(1, [12, 12], seed=0)
    assert sorted(parts.test) == [11, 12, 23, 24]
    assert sorted(parts.validation) == [9, 10, 21, 22]
    assert 0 in parts.training
    assert [len(x) for x in (divided(3, [], 0).test, divided(3, [], 0).training)] == [1, 1]


def test_short_runs_beside_given_structures():
    """They are tuned on, and given structures are held out as without them."""
    assert len(divided(3, [1, 1, 1], seed=0).test) == 1
    assert len(divided(5, [2, 1], seed=0).training) == 6


@pytest.mark.parametrize(("given", "runs"), [(1, []), (2, []), (1, [1]), (1, [2])])
def test_too_few_structures(given, runs):
    with pytest.raises(PetDriverError, match="too few to hold some out"):
        divided(given, runs, 0)


def test_restart_removes_what_it_has_made(tmp_path):
    foreign = [tmp_path / name for name in ("labels", "tuning", "sampled_data", "sampled_0")]
    for folder in foreign:
        folder.mkdir()
    WorkFolder(tmp_path, {"seed": 0}, restart=True)
    assert all(folder.exists() for folder in foreign)
    WorkFolder(tmp_path, {"seed": 1}, restart=True)
    assert [folder.exists() for folder in foreign] == [False, False, True, False]
