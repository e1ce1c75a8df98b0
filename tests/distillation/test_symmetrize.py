"""The whole procedure: exact, never worse than before, resumable."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import ase.io
import numpy as np
import pytest

from helpers import FOREIGN, worst_change
from pet_driver.cli.main import build_parser, main
from pet_driver.cli.symmetrize import reference_of
from pet_driver.distillation import SymmetrizeOptions, symmetrize
from pet_driver.distillation.measures import Reference
from pet_driver.distillation.student import Student
from pet_driver.distillation.tuning import Scores
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import random_rotations
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint
from plain_models import TINY, molecules, plain_model

SHORT = SymmetrizeOptions(minutes=2.0, learning_rate=1e-3, steps=60)


def test_learning_rate_of_the_command():
    """It is that of the recipe unless another is given, and the help says which."""
    words = ["symmetrize", "model", "structures.xyz", "-o", "exact.safetensors"]
    assert build_parser().parse_args(words).learning_rate is None
    symmetrize_parser = build_parser()._subparsers._group_actions[0].choices["symmetrize"]
    (told,) = re.findall(r"of the tuning \(default: ([\d.e-]+)\)", symmetrize_parser.format_help())
    assert float(told) == SymmetrizeOptions().learning_rate


def said(*lines: list[str]):
    return lambda line: lines[0].append(line)


def test_it_is_exact_and_nearer_to_the_teacher(tmp_path):
    origin = plain_model(properties=(("mu", 1),))
    systems = molecules(12)
    references = [Reference(-1.0, np.zeros((3, 3)))] * 12
    model, report = symmetrize(origin, systems, tmp_path, SHORT, references, say=str)
    assert model.hyper.scope == "layer"
    exact = Potential(model, dtype="float64")
    assert worst_change(exact, systems[0].to_atoms(), random_rotations(3)).max() < 1e-10
    assert report.tuned
    assert report.after.distance.forces["all"] < report.before.distance.forces["all"]
    assert report.after.distance.properties.keys() == {"mu"}
    # Only for the report: the labels, which are far off, have not been fitted.
    assert report.plain_error.force is not None
    assert report.structures == {"training": 8, "validation": 2, "test": 2}
    save_checkpoint(model, tmp_path / "model.safetensors")
    card = load_checkpoint(tmp_path / "model.safetensors").card
    assert card["symmetrized"]["after"]["force_rmse_meV_per_angstrom"] > 0.0
    assert "force_H_meV_per_angstrom" in card["symmetrized"]["noise_of_orientation"]
    report.draw(tmp_path / "report.png", tmp_path / "tuning" / "log.csv")
    assert (tmp_path / "report.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:the tuning ended early")
@pytest.mark.parametrize("rate", [1.0, 1e30])
def test_it_never_ends_worse(tmp_path, rate):
    """Rates that ruin the weights, or make them infinite."""
    origin, lines = plain_model(), []
    options = replace(SHORT, steps=10, learning_rate=rate)
    model, report = symmetrize(origin, molecules(6), tmp_path, options, say=said(lines))
    assert report.after.distance.forces["all"] <= report.before.distance.forces["all"]
    if not report.tuned:
        for name, weight in origin.weights.items():
            assert (model.weights[name] == weight).all()


def test_weights_that_are_good_enough_stay(tmp_path):
    """A network that knows distances alone is invariant."""
    origin, lines = plain_model(), []
    for name, weight in origin.weights.items():
        if name.endswith("edge_embedder.weight"):
            weight[:, :3] = 0.0
    model, report = symmetrize(origin, molecules(6), tmp_path, SHORT, say=said(lines))
    assert not report.tuned
    assert any("good enough" in line for line in lines)
    assert all((model.weights[name] == x).all() for name, x in origin.weights.items())
    assert not (tmp_path / "tuning" / "log.csv").exists()


def test_an_interrupted_run_resumes_with_the_same_labels(tmp_path):
    origin, systems = plain_model(), molecules(6)

    def stop(line: str) -> None:
        if line.startswith("without tuning"):
            raise KeyboardInterrupt

    short = replace(SHORT, steps=5)
    for name in "ab":
        with pytest.raises(KeyboardInterrupt):
            symmetrize(origin, systems, tmp_path / name, short, say=stop)
    files = sorted((tmp_path / "a" / "labels").iterdir())
    assert len(files) == 6
    files[2].unlink()
    kept = files[0].stat().st_mtime_ns
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert 0.65 <= plan["share of tuning"] < 0.92
    symmetrize(origin, systems, tmp_path / "a", short, say=str)
    assert files[0].stat().st_mtime_ns == kept
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / "labels" / path.name).read_bytes()
    assert json.loads((tmp_path / "a" / "plan.json").read_text()) == plan
    # Once more: the tuning is over, so only the report is made again.
    log = (tmp_path / "a" / "tuning" / "log.csv").read_text()
    symmetrize(origin, systems, tmp_path / "a", short, say=str)
    assert (tmp_path / "a" / "tuning" / "log.csv").read_text() == log
    with pytest.raises(PetDriverError, match="another set of structures; add --restart"):
        symmetrize(origin, molecules(6, seed=1), tmp_path / "a", short, say=str)
    symmetrize(origin, molecules(6, seed=1), tmp_path / "a", short, restart=True, say=str)


def test_more_time_labels_more_structures(tmp_path):
    origin, systems = plain_model(), molecules(12)
    short = replace(SHORT, minutes=1e-6, steps=2)
    _, few = symmetrize(origin, systems, tmp_path, short, say=str)
    _, more = symmetrize(origin, systems, tmp_path, replace(short, minutes=2.0), say=str)
    assert sum(few.structures.values()) < sum(more.structures.values()) == len(systems)
    with pytest.raises(PetDriverError, match="another learning rate; add --restart"):
        symmetrize(origin, systems, tmp_path, replace(short, learning_rate=2e-3), say=str)


def test_structures_that_are_given_twice_are_used_once(tmp_path):
    """Otherwise one might be tuned on and held out."""
    origin, systems, lines = plain_model(), molecules(6), []
    short = replace(SHORT, steps=2)
    _, report = symmetrize(origin, [*systems, *systems[:2]], tmp_path, short, say=said(lines))
    assert sum(report.structures.values()) == 6
    assert "2 of 8 structures repeat others: left out" in lines
    with pytest.raises(PetDriverError, match="too few to hold some out"):
        symmetrize(origin, [systems[0]] * 5, tmp_path / "same", short, say=str)


def test_a_tuning_stays_where_more_time_labels_nothing_more(tmp_path):
    """As after long dynamics, of which some structures are set aside and never used."""
    short = replace(SHORT, steps=2)
    symmetrize(plain_model(), molecules(12), tmp_path, short, say=str)
    plan = json.loads((tmp_path / "plan.json").read_text())
    before = (tmp_path / "tuning" / "log.csv").read_text()
    assert plan["labelled"] == plan["structures to use"] == 12
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "all structures": 99}))
    symmetrize(plain_model(), molecules(12), tmp_path, replace(short, minutes=3.0), say=str)
    assert (tmp_path / "tuning" / "log.csv").read_text() == before


def test_labels_of_an_earlier_version_are_not_resumed_from(tmp_path):
    origin, systems = plain_model(), molecules(6)
    symmetrize(origin, systems, tmp_path, replace(SHORT, steps=2), say=str)
    plan = json.loads((tmp_path / "plan.json").read_text())
    del plan["identity"]["kind of labels"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(PetDriverError, match="another kind of labels; add --restart"):
        symmetrize(origin, systems, tmp_path, replace(SHORT, steps=2), say=str)


def test_outputs_that_are_kept_and_left_behind():
    outputs = (("non_conservative_forces", 1), ("mu", 1), ("alpha", 2))
    modern = replace(
        random_checkpoint(replace(TINY, properties=outputs)), property_scales={"alpha": [1.0] * 3}
    )
    student = Student.of(modern)
    assert student.model.hyper.properties == outputs[1:]
    assert student.averaged == ("mu",)
    assert any("direct outputs" in line for line in student.sentences)
    assert any(line.startswith("alpha stays as it is") for line in student.sentences)
    Potential(student.model)  # its weights are those of its outputs
    foreign = random_checkpoint(replace(FOREIGN, scope="none", properties=outputs[1:]))
    student = Student.of(foreign)
    assert student.model.hyper.properties == ()
    assert any("mu, alpha is left behind" in line for line in student.sentences)


def test_better_scores():
    limits = Scores(1.0, 0.1, 0.1)
    assert not Scores(0.5, 0.1, 0.1, virial=0.2).better_than(Scores(0.6, 0.0, 0.0), limits)
    assert Scores(0.5, 0.1, 0.1).better_than(Scores(0.6, 0.0, 0.0), limits)
    assert not Scores(0.7, 0.0, 0.0).better_than(Scores(0.6, 0.1, 0.1), limits)
    assert not Scores(0.5, 0.2, 0.1).better_than(Scores(0.6, 0.1, 0.1), limits)
    assert not Scores(float("nan"), 0.0, 0.0).better_than(Scores(0.6, 0.1, 0.1), limits)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plain", "one.xyz"], "too few to hold some out"),
        (["plain", "iron.xyz"], "structure 1 (counted from 0): the structure contains Fe"),
        (["exact", "some.xyz"], "is exactly symmetric already"),
        (["plain", "some.xyz", "--sample", "300"], "such as 300K:2ps"),
        (["plain", "some.xyz", "--minutes", "0"], "--minutes is 0"),
        (["plain", "none.xyz"], "there is no file"),
        (["nothing", "some.xyz"], "there is no model"),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, capsys, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    save_checkpoint(plain_model(), tmp_path / "plain")
    save_checkpoint(plain_model(scope="layer"), tmp_path / "exact")
    some = [system.to_atoms() for system in molecules(4)]
    iron = some[0].copy()
    iron.numbers[0] = 26
    for name, atoms in {"one": some[:1], "some": some, "iron": [some[0], iron, *some]}.items():
        ase.io.write(tmp_path / f"{name}.xyz", atoms)
    assert main(["symmetrize", *words, "-o", "out.safetensors"]) == 2
    printed = capsys.readouterr().err.strip()
    assert sentence in printed
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.slow
def test_the_command_from_one_structure(tmp_path, capsys, water_box):
    """`water_plain` from one box of water: dynamics, labels, tuning, report, and the file runs."""
    ase.io.write(tmp_path / "water.xyz", water_box)
    output = tmp_path / "exact.safetensors"
    words = ["water_plain", str(tmp_path / "water.xyz"), "-o", str(output)]
    assert main(["symmetrize", *words, "--sample", "300K:0.2ps", "--minutes", "1"]) == 0
    printed = capsys.readouterr().out
    for word in ("symmetrization force", "frames per atom", "scope atom", "wrote"):
        assert word in printed
    assert output.with_suffix(".png").exists()
    exact = Potential(load_checkpoint(output), dtype="float64")
    assert exact.scope == "layer"
    assert worst_change(exact, water_box, random_rotations(2)).max() < 1e-10
    assert main(["info", str(output)]) == 0
    assert "symmetrized_by" in capsys.readouterr().out


def test_labels_that_are_no_numbers(molecule):
    molecule.info.update(energy="unknown")
    molecule.arrays["forces"] = np.full((len(molecule), 3), np.nan)
    assert reference_of(molecule) == Reference(None, None)


def test_the_plain_model_is_not_overwritten(tmp_path, capsys):
    path = tmp_path / "plain.safetensors"
    save_checkpoint(plain_model(), path)
    ase.io.write(tmp_path / "some.xyz", [x.to_atoms() for x in molecules(4)], format="extxyz")
    words = ["symmetrize", str(path), str(tmp_path / "some.xyz"), "-o", str(path)]
    assert main(words) == 2
    assert "the plain model itself" in capsys.readouterr().err
