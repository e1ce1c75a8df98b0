"""Pages that are made from the code and from files have all that they should have."""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("matplotlib")

from documents import EXAMPLES
from figures import RESULTS
from generators import cards, commands, examples, options, plots, results, tables, writing

from helpers import ROOT
from pet_driver.cli.main import build_parser
from pet_driver.evaluation.options import OPTIONS
from pet_driver.files.checkpoint import shipped_models
from pet_driver.training.options import FitOptions

PICTURE_BYTES = 60_000
# An example that is no run.
WITHOUT_PICTURE = ("cluster",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the generators write, but for drawings and messages."""
    made = tmp_path_factory.mktemp("generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "GENERATED", made)
        for maker in (commands, options, cards, results, examples):
            maker.make(writing.Writer())
    return made


def test_commands_and_their_flags(folder):
    text = (folder / "parts" / "commands.md").read_text()
    for name, verb in commands.verbs(build_parser()).items():
        assert f"## pet-driver {name}\n" in text
        for action in verb._actions:
            assert action.dest == "help" or all(flag in text for flag in action.option_strings)
    assert "## pet-lmp" in text


def test_options(folder):
    text = (folder / "parts" / "evaluation_options.md").read_text()
    assert all(f"| `{name}` |" in text for name in OPTIONS)
    training = (folder / "parts" / "training_options.md").read_text()
    assert all(f"| `{name}` |" in training for name in FitOptions.__dataclass_fields__)


def test_cards_results_and_examples(folder):
    assert all((folder / "models" / f"{name}.md").is_file() for name in shipped_models())
    for path in RESULTS.glob("*.json"):
        assert path.stem == "gpu_trial" or (folder / "benchmarks" / f"{path.stem}.md").is_file()
    assert len(list((folder / "examples").glob("*.md"))) >= len(EXAMPLES)


def test_table_and_plot_of_the_experiments_of_the_paper(tmp_path):
    """They are made before all experiments are done: means, spreads and ratios of those there."""
    kinds = ("force_rmse_meV_per_angstrom", "energy_rmse_meV_per_atom")

    def named(*errors):
        return dict(zip(kinds[-len(errors) :], errors, strict=True))

    def training(scope, seed, frames, *errors, **more):
        found = {"scope": scope, "seed": seed, "frames": frames, "minutes": 10.0}
        return {**found, "errors": named(*errors), **more}

    averaged = {"errors": {"plain": named(100.0, 2.0), "averaged": named(97.0, 1.0)}}

    content = {
        "ratios of the paper": {"HME21": 1.01},
        "experiments": {
            "silicon": {
                "study": "solids",
                "trainings": [
                    training("plain", 1, None, 100.0, 2.0, **{"same weights": averaged}),
                    training("plain", 2, None, 120.0, 4.0),
                    training("exact", 1, None, 121.0, 3.0),
                ],
            },
            "methane, energies, 100 frames": {
                "study": "methane, energies",
                "trainings": [training("plain", 1, 100, 200.0), training("exact", 1, 100, 150.0)],
            },
        },
    }
    lines = tables.TABLES["paper"](content)
    assert "| silicon | forces, meV/Å | 110 ± 14.1 | 121 | 1.10 | 0.97 |" in lines
    assert "| methane, energies, 100 frames | energies, meV/atom | 200 | 150 | 0.75 |  |" in lines
    assert plots.draw("paper", content, tmp_path / "paper.png").startswith("Error of energies")
    assert (tmp_path / "paper.png").stat().st_size > 1000


def test_table_of_a_learning_curve():
    errors = {
        "training": {"force_rmse_meV_per_angstrom": 90.0, "energy_rmse_meV_per_atom": 1.0},
        "test": {"force_rmse_meV_per_angstrom": 130.0, "energy_rmse_meV_per_atom": 4.0},
    }
    row = {"structures": 164, "minutes": 30.0, "steps": 4000, "epochs": 24.4, "errors": errors}
    lines = tables.TABLES["learning_curve_"]({"trainings": [row]})
    assert "| 164 | 30 | 4000 | 90 | 130 | 4 |" in lines


@pytest.mark.parametrize("readme", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_have_a_picture_and_what_draws_it(readme):
    case = readme.parent
    if case.name not in WITHOUT_PICTURE:
        assert (case / "picture.py").is_file()
        assert (case / "picture.png").stat().st_size < PICTURE_BYTES
        assert "picture.py" in readme.read_text()


def test_picture_of_readme_is_drawn_from_what_is_there(monkeypatch):
    """If not: python docs/pictures/exactness.py."""
    image = pytest.importorskip("PIL.Image")
    monkeypatch.syspath_prepend(ROOT / "docs" / "pictures")
    exactness = importlib.import_module("exactness")
    picture = ROOT / "docs" / "pictures" / "exactness.png"
    assert image.open(picture).text["Description"] == exactness.source()


def test_what_the_generators_do_not_know_gets_a_page_too():
    content = {"model": "a", "rows": [{"atoms": 1, "ms": 2.5}], "deep": {"b": {"c": 1.0}}}
    text = "\n".join(results.generic(content))
    assert "| atoms | ms |" in text
    assert "| 1 | 2.5 |" in text
