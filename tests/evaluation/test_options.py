"""Options of an evaluation: one declaration for Python, flags, and the input of engines."""

import argparse
import subprocess
import sys

import pytest

from helpers import environment
from pet_driver import PetDriverError, load_model
from pet_driver.cli.model_options import add_model_options, options_from
from pet_driver.engines.lammps.options import PairStyle
from pet_driver.evaluation.options import FLAGS, KEYWORDS, OPTIONS, EvaluationOptions

WORDS = {
    "scope": ("atom", "atom"),
    "frames": ("speed", "speed"),
    "parity": ("yes", True),
    "extra_rotations": ("3", 3),
    "charge": ("-1", -1),
    "spin": ("2", 2),
    "device": ("cuda:1", "cuda:1"),
    "dtype": ("float64", "float64"),
    "precision": ("tf32", "tf32"),
    "deterministic": ("yes", True),
    "resident": ("no", False),
    "cuda_graph": ("no", False),
    "chunk": ("100", 100),
    "memory_share": ("0.25", 0.25),
    "skin": ("1e-1", 0.1),
}
EXPECTED = {name: value for name, (_, value) in WORDS.items()}


def test_words_become_values():
    options = EvaluationOptions.from_keywords(**{name: word for name, (word, _) in WORDS.items()})
    assert options == EvaluationOptions(**EXPECTED)
    assert options.changed() == EXPECTED
    assert EvaluationOptions.from_keywords(**options.changed()) == options
    assert {type(x) for x in (options.parity, options.chunk, options.skin)} == {bool, int, float}


def test_every_option_that_engines_offer_is_a_keyword_of_the_pair_style():
    assert set(WORDS) == set(KEYWORDS) == set(OPTIONS) - {"direct"}
    words = [x for name, (word, _) in WORDS.items() for x in (name, word)]
    style = PairStyle.parse(["pet", "water", *words, "self_test", "no", "halo", "wide"])
    assert style.options == EvaluationOptions(**EXPECTED)
    assert (style.halo, style.self_test) == ("wide", False)
    assert PairStyle.parse(["pet", "water"]) == PairStyle("water")


def test_every_flag_makes_its_option():
    parser = argparse.ArgumentParser()
    add_model_options(parser, dtype="float64")
    assert options_from(parser.parse_args(["water"])) == EvaluationOptions(dtype="float64")
    arguments = ["water"]
    for name, option in FLAGS.items():
        arguments.append(f"--{name.replace('_', '-')}")
        arguments += [WORDS[name][0]] if option.metavar else []
    expected = {name: value for name, value in EXPECTED.items() if name in FLAGS}
    assert options_from(parser.parse_args(arguments)) == EvaluationOptions(**expected)
    text = " ".join(parser.format_help().split())
    assert "--scope SCOPE what is averaged over frames" in text
    assert "(default: as trained)" in text
    assert "(default: float64)" in text


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("scope", "globe", "scope is 'globe'; choose one of layer, atom, structure, none"),
        ("parity", "perhaps", "parity is 'perhaps'; give yes or no"),
        ("parity", 2, "parity is 2; give yes or no"),
        ("extra_rotations", -1, "extra_rotations is -1; give an integer, 0 or more"),
        ("extra_rotations", "-1", "extra_rotations is -1; give an integer, 0 or more"),
        ("charge", 0.5, "charge is 0.5; give an integer, in units of e"),
        ("spin", 0, "spin is 0; give a multiplicity: an integer, 1 or more"),
        ("device", "abacus", "device is 'abacus'; choose cpu, cuda or cuda:N"),
        ("dtype", "half", "dtype is 'half'; choose one of float32, float64"),
        ("chunk", "many", "chunk is 'many'; give an integer, 1 or more"),
        ("chunk", True, "chunk is True; give an integer, 1 or more"),
        ("memory_share", 0, "memory_share is 0; give a fraction above 0, at most 1"),
        ("skin", float("nan"), "skin is nan; give a length in angstrom, 0 or more"),
        ("skin", None, "skin is None; give a length in angstrom, 0 or more"),
    ],
)
def test_wrong_values(name, value, sentence):
    with pytest.raises(PetDriverError) as caught:
        EvaluationOptions.from_keywords(**{name: value})
    assert str(caught.value) == sentence


def test_unknown_names_are_answered_with_the_known_ones():
    known = f"known are {', '.join(OPTIONS)}"
    for call in (EvaluationOptions.from_keywords, lambda **x: load_model("water", **x)):
        with pytest.raises(PetDriverError, match=f"there is no option 'sope'; {known}"):
            call(sope="atom")
    with pytest.raises(PetDriverError, match="has no keyword 'direct'; known are scope, frames"):
        PairStyle.parse(["pet", "water", "direct", "yes"])


def test_direct_forces_are_those_of_plain_pet():
    with pytest.raises(PetDriverError, match="scope is 'layer', but direct forces"):
        EvaluationOptions(direct=True, scope="layer")


def test_parsers_are_built_without_torch():
    code = "import sys; from pet_driver.cli.main import build_parser; build_parser()\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
