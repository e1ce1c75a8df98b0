"""Weights of the loss during a training."""

import pytest

from pet_driver.training.options import FitOptions
from pet_driver.training.schedule import Schedule


def test_weights_of_energies_and_stresses_grow_with_the_share_that_is_done():
    fit = FitOptions(
        steps=100,
        energy_weight=8.0,
        energy_ramp=2.0,
        stress_weight=4.0,
        stress_ramp=1.0,
        final_share=0.2,
        final_energy_weight=5.0,
    )
    schedule = Schedule(fit)
    for step, energy, stress in ((0, 0.0, 0.0), (50, 2.0, 2.0), (80, 5.0, 3.2), (100, 5.0, 4.0)):
        weighted = schedule.weighted(step, 0.0)
        assert weighted.energy_weight == pytest.approx(energy)
        assert weighted.stress_weight == pytest.approx(stress)
        assert weighted.force_weight == fit.force_weight


def test_the_weight_of_the_energies_of_atoms_falls_to_zero():
    schedule = Schedule(FitOptions(steps=100, atom_energy_weight=4.0))
    weights = [schedule.weighted(step, 0.0).atom_energy_weight for step in (0, 50, 100)]
    assert weights == pytest.approx([4.0, 2.0, 0.0])


def test_without_a_ramp_the_weight_of_stresses_is_constant():
    schedule = Schedule(FitOptions(steps=100, stress_weight=4.0))
    assert {schedule.weighted(step, 0.0).stress_weight for step in (0, 50, 100)} == {4.0}


def test_the_share_that_is_done_is_that_of_the_time_in_a_schedule_by_time():
    fit = FitOptions(steps=10**9, schedule="time", max_time=40.0, energy_weight=8.0)
    assert Schedule(fit).weighted(1, 20.0).energy_weight == pytest.approx(2.0)
