"""Checkpoints written by metatrain: converted models against the results of metatrain itself."""

from __future__ import annotations

import os
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from scipy.spatial.transform import Rotation

from helpers import SHARED, worst_change
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.prediction import Prediction
from pet_driver.files.checkpoint import load_checkpoint, save_checkpoint
from pet_driver.files.conversion import convert
from pet_driver.files.metatrain_contents import output_name, read_contents
from pet_driver.files.metatrain_weights import scales, uncertainty
from pet_driver.files.output_names import DIRECT_UNITS
from pet_driver.files.pickled import read_pickled

WRITTEN = sorted((Path(__file__).parents[1] / "data" / "metatrain").glob("*.ckpt"))
WRITER = Path(__file__).with_name("write_metatrain_checkpoints.py")
REFERENCES = ("paper_style_silicon", "modern_adaptive_25_elements")


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-8), ("float32", 1e-5)])
def test_reference(name: str, dtype: str, tolerance: float) -> None:
    """Energies, energies of atoms, forces and stress of all reference structures."""
    folder = SHARED / "reference" / "metatrain_pet"
    if not folder.is_dir():
        pytest.skip(f"the reference numbers are not at {folder}")
    potential = Potential(convert(folder / f"{name}.ckpt"), dtype=dtype)
    frames = ase.io.read(folder / f"{name}_reference.xyz", ":")
    assert len(frames) >= 5
    for atoms in frames:
        found = potential.compute(atoms)
        close(found.energy, atoms.info["ref_energy"], tolerance)
        # The file has eight decimals.
        close(found.energies, atoms.arrays["ref_energies"], tolerance, 6e-9)
        close(found.forces, atoms.arrays["ref_forces"], tolerance, 6e-9)
        if "ref_stress" in atoms.info:
            stress = found.stress(atoms.get_volume())
            close(
                stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atoms.info["ref_stress"], tolerance
            )


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_written(path: Path) -> None:
    agrees(path)


@pytest.mark.slow
def test_a_hundred_random_checkpoints(tmp_path: Path) -> None:
    python = os.environ.get("METATRAIN_PYTHON")
    if python is None:
        pytest.skip("METATRAIN_PYTHON does not name a Python that has metatrain")
    subprocess.run([python, WRITER, tmp_path, "--count", "100"], check=True, timeout=1800)
    paths = sorted(tmp_path.glob("*.ckpt"))
    assert len(paths) >= 100
    for path in paths:
        agrees(path)


def agrees(path: Path) -> None:
    """The results of a converted model are those of metatrain, in both precisions."""
    reference = np.load(path.with_suffix(".npz"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = convert(path, str(reference["variant"]) or None)
    # With random weights single precision is a few 1e-6, at worst 3e-5, from double.
    for dtype, tolerance in (("float64", 1e-8), ("float32", 1e-4)):
        if dtype == "float32" and checkpoint.hyper.width == 1:
            continue  # metatrain's own examples: the norm of one number, an ill-conditioned sign
        potential = Potential(checkpoint, dtype=dtype)
        for k in range(int(reference["count"])):
            wanted = {
                key.removeprefix(f"{k}_"): reference[key]
                for key in reference.files
                if key.startswith(f"{k}_")
            }
            atoms = structure(wanted)
            compare(potential.compute(atoms), wanted, tolerance)
            if "uncertainty" in wanted:
                found = potential.energy_uncertainty([atoms])
                close(found, wanted["uncertainty"].ravel(), tolerance)


def structure(wanted: dict[str, np.ndarray]) -> Atoms:
    atoms = Atoms(wanted["numbers"], wanted["positions"], cell=wanted["cell"], pbc=wanted["pbc"])
    for key in ("charge", "spin"):
        if key in wanted:
            atoms.info[key] = int(wanted[key])
    return atoms


def compare(found: Prediction, wanted: dict[str, np.ndarray], tolerance: float) -> None:
    close(found.energy, wanted["energy"], tolerance)
    close(found.energies, wanted["energies"], tolerance)
    close(found.forces, wanted["forces"], tolerance, 1e-9)
    if "stress" in wanted:
        volume = abs(np.linalg.det(wanted["cell"]))
        close(found.stress(volume), wanted["stress"], tolerance, 1e-9)
    if "non_conservative_forces" in wanted:
        vectors = found.vectors["non_conservative_forces"]
        close(vectors, wanted["non_conservative_forces"], tolerance, 1e-9)
    if "non_conservative_stress" in wanted and wanted["pbc"].all():
        if "non_conservative_stress" in found.tensors:
            stress = found.total("non_conservative_stress")
        else:
            virial = found.total("non_conservative_virial")
            stress = -0.5 * (virial + virial.T) / abs(np.linalg.det(wanted["cell"]))
        close(stress, wanted["non_conservative_stress"][0], tolerance, 1e-9)


def close(found: object, wanted: object, relative: float, absolute: float = 0.0) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    allowed = relative * max(float(np.abs(wanted).max(initial=0.0)), 1e-3) + absolute
    assert np.abs(found - wanted).max(initial=0.0) <= allowed


@pytest.mark.parametrize("name", ["010", "017", "uncertain-006"])
def test_exact_in_scope_atom(name: str) -> None:
    """With scope "atom" the same weights are symmetric that are not without."""
    path = WRITTEN[0].with_name(f"{name}.ckpt")
    reference = np.load(path.with_suffix(".npz"))
    atoms = structure({k[2:]: reference[k] for k in reference.files if k.startswith("0_")})
    rotations = Rotation.random(3, random_state=1).as_matrix()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = convert(path)
        plain, exact = (Potential(checkpoint, dtype="float64", scope=s) for s in ("none", "atom"))
    assert worst_change(exact, atoms, rotations).max() < 1e-9
    assert worst_change(plain, atoms, rotations).max() > 1e-5


def test_direct_forces_in_other_units() -> None:
    path = WRITTEN[0].with_name("004.ckpt")
    contents = read_contents(path, read_pickled(path))
    direct = {name for name in contents.targets if output_name(name) in DIRECT_UNITS}
    assert direct
    for name in direct:
        wanted = np.array(scales(contents, name))
        target = {"unit": "meV/A"}
        changed = replace(contents, targets={**contents.targets, name: target})
        np.testing.assert_allclose(np.array(scales(changed, name)), 1e-3 * wanted)
        target = {"unit": "Hartree/Bohr"}
        changed = replace(contents, targets={**contents.targets, name: target})
        with pytest.raises(PetDriverError, match="only models in eV or meV can be converted"):
            scales(changed, name)


def test_uncertainties_in_other_units_and_layouts() -> None:
    """Energies in meV; the covariance alone, as before version 4 of LLPR; and a newer layout."""
    path = WRITTEN[0].with_name("uncertain-006.ckpt")
    contents = read_contents(path, read_pickled(path))
    wanted = uncertainty(contents, "energy")
    assert wanted is not None
    targets = {**contents.targets, "energy": {"unit": "meV"}}
    thousandth = uncertainty(replace(contents, targets=targets), "energy")
    torch.testing.assert_close(thousandth, 1e-3 * wanted)
    key = "energy_uncertainty"
    llpr = dict(contents.llpr)
    lower = llpr.pop(f"cholesky_{key}").double()
    llpr.pop(f"covariance_{key}", None)
    before = replace(contents, llpr={**llpr, f"covariance_{key}": lower @ lower.T})
    found = uncertainty(before, "energy")
    # Both give the same lengths of features, through which alone they matter.
    torch.testing.assert_close(found.T @ found, wanted.T @ wanted)
    unknown = replace(contents, llpr={**llpr, f"cholesky_{key}_block": lower})
    with pytest.warns(UserWarning, match="no uncertainty of energy in a layout"):
        assert uncertainty(unknown, "energy") is None


@pytest.mark.parametrize("path", WRITTEN[:3], ids=lambda path: path.stem)
def test_round_trip(path: Path, tmp_path: Path) -> None:
    """Saved and loaded, the same bits."""
    reference = np.load(path.with_suffix(".npz"))
    converted = convert(path, str(reference["variant"]) or None)
    save_checkpoint(converted, tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded.hyper == converted.hyper
    assert all(torch.equal(loaded.weights[key], x) for key, x in converted.weights.items())
    atoms = structure({k[2:]: reference[k] for k in reference.files if k.startswith("0_")})
    one, two = (Potential(c, dtype="float64").compute(atoms) for c in (converted, loaded))
    assert one.energy == two.energy
    assert np.array_equal(one.forces, two.forces)
