"""Blocks of code in documents do what they say: Python runs, commands and options are read."""

from __future__ import annotations

import importlib.util
import re
import shlex
import warnings

import pytest
import yaml
from documents import EXAMPLES, PAGES, Block, blocks, name_of

from helpers import ROOT
from pet_driver.cli.main import build_parser
from pet_driver.engines.lammps.launcher import _split, _take_library
from pet_driver.engines.lammps.options import PairStyle

# What a page needs beyond the tests' environment.
OPTIONAL = ("torch_sim", "openmm", "openmmml")
# Pages whose blocks run for more than some seconds.
SLOW = ("docs/tutorials/own_model.md",)


def pages_with(*languages: str, marked: bool = False) -> list:
    """Pages that have such blocks, as parameters of a test."""
    return [
        pytest.param(
            page,
            id=name_of(page),
            marks=[pytest.mark.slow] if marked and name_of(page) in SLOW else [],
        )
        for page in [*PAGES, *EXAMPLES]
        if blocks(page, *languages)
    ]


@pytest.mark.parametrize("page", pages_with("python", marked=True))
def test_python_runs(page, tmp_path, monkeypatch):
    """All blocks of a page, one after the other, in one namespace and an empty folder."""
    found = blocks(page, "python")
    for name in OPTIONAL:
        used = any(re.search(rf"^(?:import|from) {name}\b", b.text, re.MULTILINE) for b in found)
        if used and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in found:
            text = "\n" * (block.line - 1) + block.text  # so that a traceback has the right line
            exec(compile(text, str(page), "exec"), namespace)


def commands(block: Block) -> list[list[str]]:
    """Words of each command of ours in a block: of `pet-driver` and `pet-lmp`."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for name in ("pet-driver", "pet-lmp"):
            if name in words:
                rest = words[words.index(name) :]
                end = [k for k, word in enumerate(rest) if word in ("&", ":")]
                found.append(rest[: end[0]] if end else rest)
    return found


@pytest.mark.parametrize("page", pages_with("bash"))
def test_commands_are_read(page):
    """By the parsers of the programs; scripts and files of this repository are there."""
    parser = build_parser()
    for block in blocks(page, "bash"):
        for name, *words in commands(block):
            if name == "pet-driver":
                parser.parse_args([word for word in words if word != "..."])
            else:
                script, _ = _split(_take_library(words)[1])
                assert "/" not in script or (ROOT / script).is_file(), script
        for script in re.findall(r"^python (\S+\.py)", block.text, re.MULTILINE):
            assert (ROOT / script).is_file() or (page.parent / script).is_file(), script


def test_a_wrong_flag_is_found(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(commands(Block("bash", "pet-driver info water --jsn", 1))[0][1:])
    assert "--jsn" in capsys.readouterr().err


@pytest.mark.parametrize("page", pages_with("text"))
def test_pair_styles_are_read(page):
    """Lines of LAMMPS that name the potential."""
    for block in blocks(page, "text"):
        for words in re.findall(r"^pair_style\s+(.*?\bpet [^#\n]*)", block.text, re.MULTILINE):
            assert PairStyle.parse(words.split()) is not None


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_options_files_are_read(page, tmp_path):
    from pet_driver.training.options_file import read_options

    for block in blocks(page, "yaml"):
        content = yaml.safe_load(block.text)
        if "fit" in content:
            path = tmp_path / "options.yaml"
            path.write_text(block.text)
            read_options(path)
