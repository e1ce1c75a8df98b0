"""What the tuning of a student takes from its structures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.build import bulk

from pet_driver.distillation.student import Student
from pet_driver.distillation.teacher import Teacher
from pet_driver.distillation.tuning import Tuning, TuningOptions, labelled_frame
from pet_driver.evaluation.potential import Potential
from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.graph import System
from pet_driver.training.frame_drawing import frames_per_atom
from plain_models import molecules, plain_model


def crystals(count: int) -> list[System]:
    """Distorted crystals of oxygen atoms, whose neighborhoods have many frames."""
    systems = []
    for k in range(count):
        atoms = bulk("O", "diamond", 3.6, cubic=True)
        atoms.rattle(0.1, seed=k)
        systems.append(System.from_atoms(atoms))
    return systems


@pytest.mark.parametrize(("structures", "share"), [(molecules, 0.0), (crystals, 0.6)])
def test_frames_are_drawn_where_atoms_have_many(structures, share, tmp_path):
    origin = plain_model()
    student = Student.of(origin).model
    hyper = replace(student.hyper, frames=NAMED_CONSTANTS["accuracy"])
    student, teacher = replace(student, hyper=hyper), Teacher(Potential(origin), 1)
    frames = [labelled_frame(x, teacher.label(x, k), k) for k, x in enumerate(structures(4))]
    tuning = Tuning(student, frames[1:], frames[:1], (), TuningOptions(1.0, steps=2), tmp_path)
    made = tuning._training
    count = frames_per_atom(made.state.network, made.batches, frames[1:])
    assert (count > 3.0) == (share > 0.0)
    assert tuning._fit().sampled_share == share
