"""What LAMMPS offers around a potential works with `pair_style pet` too."""

import numpy as np
import pytest
from ase.io.lammpsdata import read_lammps_data, write_lammps_data
from lammps_runs import dumped, printed, script, succeeded

HEADER = """
units metal
atom_modify map array
read_data box.data
timestep 0.00002
velocity all create 300.0 7 mom yes rot no dist gaussian loop all
"""
PET = """
pair_style pet {model} dtype float64 self_test no
pair_coeff * * H O
"""
ENERGY = 'run 0 post no\nprint "ENERGY $(pe:%.17g) $(pxx:%.17g)"\n'


@pytest.fixture(autouse=True)
def box(small_box, tmp_path):
    """Eight molecules in a triclinic cell, as LAMMPS reads it."""
    path = tmp_path / "box.data"
    write_lammps_data(path, small_box, specorder=["H", "O"], masses=True, atom_style="atomic")
    atoms = read_lammps_data(path, units="metal", atom_style="atomic")
    atoms.pbc = True
    return atoms


def output_of(result):
    """What it printed, if it ended well."""
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.parametrize("barostat", ["iso", "aniso", "tri"])
def test_npt_conserves_its_quantity_on_two_ranks(run_lammps, model_file, barostat):
    keywords = f"{barostat} 0.0 0.0 0.05"
    text = HEADER + PET.format(model=model_file)
    text += f"""fix integrate all npt temp 300.0 300.0 0.02 {keywords}
thermo 1
thermo_style custom step temp pe etotal econserve vol xy ly
thermo_modify format float %.15g
run 40
"""
    table = succeeded(run_lammps(text, 2))
    volume, conserved, potential = table[:, 5], table[:, 4], table[:, 2]
    assert np.ptp(volume) > 1e-3
    assert np.ptp(conserved) < 2e-2 * np.ptp(potential)
    # Without "tri" the tilt scales with the box.
    assert (np.ptp(table[:, 6] / table[:, 7]) > 1e-6) == (barostat == "tri")


def test_minimize_and_box_relax(run_lammps, model_file):
    text = HEADER + PET.format(model=model_file)
    text += """thermo_style custom step pe press fmax
minimize 0.0 0.0 10 50
print "ATOMS $(pe:%.15g)"
fix relax all box/relax tri 0.0 vmax 0.01
minimize 0.0 0.0 10 50
print "BOX $(pe:%.15g)"
"""
    found = {}
    for ranks in (1, 2):
        output = output_of(run_lammps(text + ENERGY, ranks))
        atoms, relaxed = printed(output, "ATOMS")[0], printed(output, "BOX")[0]
        first = float(output.split("Energy initial, next-to-last, final =")[1].split()[0])
        assert relaxed[0] < atoms[0] < first
        found[ranks] = atoms[0]
    assert found[2] == pytest.approx(found[1], rel=1e-6)


def test_rerun_reproduces_energies(run_lammps, model_file):
    text = HEADER + PET.format(model=model_file)
    text += """fix integrate all nve
thermo 5
thermo_style custom step pe
thermo_modify format float %.15g
dump positions all custom 5 positions.txt id type x y z
dump_modify positions format float %.17g sort id
run 10
undump positions
print "AGAIN"
rerun positions.txt dump x y z
"""
    first, again = output_of(run_lammps(text, 2)).split("AGAIN")
    np.testing.assert_allclose(_energies(again), _energies(first), rtol=1e-10)


def _energies(output):
    """Step and energy of every thermo line."""
    rows = []
    for line in output.splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and words[1].startswith("-"):
            rows.append([float(word) for word in words])
    assert len(rows) == 3
    return np.array(rows)


def test_restart_continues_the_trajectory(run_lammps, model_file):
    potential = PET.format(model=model_file)
    text = HEADER + potential + "fix integrate all nve\nthermo_style custom step pe pxx\n"
    text += "run 10\nwrite_restart half.restart\nrun 10\n" + ENERGY
    whole = printed(output_of(run_lammps(text, 2)), "ENERGY")
    text = f"read_restart half.restart\n{potential}timestep 0.00002\nfix integrate all nve\n"
    text += "thermo_style custom step pe pxx\nrun 10\n" + ENERGY
    np.testing.assert_allclose(printed(output_of(run_lammps(text, 2)), "ENERGY"), whole, rtol=1e-9)
    result = run_lammps("read_restart half.restart\nfix integrate all nve\nrun 1\n", 2)
    assert result.returncode == 2
    assert "restart files do not hold the potential" in result.stderr


@pytest.mark.slow
def test_partitions_are_independent(run_lammps, model_file, tmp_path):
    """Two replicas, each with a communicator of its own, give what each gives alone."""
    text = HEADER.replace("300.0 7", "300.0 ${seed}") + PET.format(model=model_file)
    text += f"""fix integrate all nve
thermo_style custom step pe pxx
run 5
{ENERGY}"""
    alone = []
    for seed in (11, 12):
        result = run_lammps(f"variable seed index {seed}\n" + text, 1)
        alone.append(printed(output_of(result), "ENERGY")[0])
    options = ("-partition", "2x2", "-plog", "none", "-screen", "screen")
    output_of(run_lammps("variable seed world 11 12\n" + text, 4, *options))
    for replica, expected in enumerate(alone):
        output = (tmp_path / f"screen.{replica}").read_text()
        np.testing.assert_allclose(printed(output, "ENERGY")[0], expected, rtol=1e-9)


def test_failure_of_one_replica_ends_all(run_lammps, model_file):
    text = HEADER + PET.format(model=model_file)
    text += """variable near world 2.0 0.001
fix integrate all nve
variable x1 equal x[1]
variable y1 equal y[1]
variable z1 equal z[1]
set atom 2 x $(v_x1+v_near) y $(v_y1) z $(v_z1)
run 5
"""
    result = run_lammps(text, 2, "-partition", "2x1")
    assert result.returncode != 0
    assert "0.001 angstrom apart" in result.stderr


@pytest.mark.parametrize(
    ("styles", "coefficients"),
    [
        ("zbl 1.0 2.0", ["1 1 {style} 1.0 1.0", "1 2 {style} 1.0 8.0", "2 2 {style} 8.0 8.0"]),
        pytest.param(
            "dispersion/d3 original pbe 8.0 6.0",
            ["* * {style} H O"],
            id="d3",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_overlay_adds_other_force_fields(run_lammps, model_file, styles, coefficients):
    style = styles.split()[0]
    setting = HEADER + "thermo_style custom step pe pxx\n"
    alone = f"pair_style {styles}\n" + "".join(
        f"pair_coeff {line.format(style='')}\n" for line in coefficients
    )
    both = f"pair_style hybrid/overlay {styles} pet {model_file} dtype float64\n"
    both += "pair_coeff * * pet H O\n"
    both += "".join(f"pair_coeff {line.format(style=style)}\n" for line in coefficients)
    none = "velocity all set 0 0 0\n"
    other = printed(output_of(run_lammps(setting + none + alone + ENERGY, 2)), "ENERGY")[0]
    ours = setting + none + PET.format(model=model_file) + ENERGY
    pet = printed(output_of(run_lammps(ours, 2)), "ENERGY")[0]
    found = printed(output_of(run_lammps(setting + none + both + ENERGY, 2)), "ENERGY")[0]
    assert abs(other[0]) > 1e-3
    np.testing.assert_allclose(found, pet + other, rtol=1e-9)


def test_bonded_terms_beside(run_lammps, model_file, potential, box, tmp_path):
    oxygens = [k for k, number in enumerate(box.numbers) if number == 8]
    bonds = [(k, k + 1) for k in oxygens] + [(k, k + 2) for k in oxygens]
    atoms = "\n".join(
        f"{k + 1} 1 {1 if number == 1 else 2} {x:.17g} {y:.17g} {z:.17g}"
        for k, (number, (x, y, z)) in enumerate(zip(box.numbers, box.positions, strict=True))
    )
    header = (tmp_path / "box.data").read_text().split("Masses")[0]
    header = header.replace("atom types", f"atom types\n{len(bonds)} bonds\n1 bond types")
    listed = "\n".join(f"{k + 1} 1 {i + 1} {j + 1}" for k, (i, j) in enumerate(bonds))
    (tmp_path / "bonded.data").write_text(
        f"{header}Masses\n\n1 1.008\n2 15.999\n\nAtoms # bond\n\n{atoms}\n\nBonds\n\n{listed}\n"
    )
    text = f"""units metal
atom_style bond
read_data bonded.data
bond_style harmonic
bond_coeff 1 5.0 0.9
special_bonds lj/coul 0 0 0
{PET.format(model=model_file)}
thermo_style custom step pe pxx
{ENERGY}"""
    lengths = np.array([box.get_distance(i, j, mic=True) for i, j in bonds])
    expected = potential.compute(box).energy + 5.0 * np.square(lengths - 0.9).sum()
    found = printed(output_of(run_lammps(text, 2)), "ENERGY")[0]
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_types_without_element_are_not_seen(run_lammps, model_file, potential, box, tmp_path):
    """NULL: hydrogens that another force field is for, say."""
    text = HEADER + PET.format(model=model_file).replace("* * H O", "* * NULL O")
    text += "thermo_style custom step pe pxx\ndump atoms all custom 1 dump.0.txt id fx fy fz\n"
    text += "dump_modify atoms sort id format float %.17g\n" + ENERGY
    result = run_lammps(text, 2)
    seen = box[[number == 8 for number in box.numbers]]
    expected = potential.compute(seen)
    assert printed(output_of(result), "ENERGY")[0, 0] == pytest.approx(expected.energy, rel=1e-9)
    forces = dumped(tmp_path, 0)
    np.testing.assert_allclose(forces[box.numbers == 8, 1:], expected.forces, atol=1e-9)
    assert not forces[box.numbers == 1, 1:].any()


def test_fixes_defined_before_the_potential_act_after_it(run_lammps, model_file, tmp_path):
    """Atoms held by `fix setforce` stay, wherever `pair_style pet` stands in the script."""
    text = HEADER.replace("velocity all create 300.0 7", "velocity all create 300.0 8")
    text += "velocity all set 0 0 0\nfix hold all setforce 0 0 0\nfix integrate all nve\n"
    text += PET.format(model=model_file)
    text += "dump atoms all custom 1 dump.*.txt id x y z fx fy fz\n"
    text += "dump_modify atoms sort id format float %.17g\nrun 3\n"
    output_of(run_lammps(text, 2))
    assert np.abs(dumped(tmp_path, 3)[:, 4:]).max() == 0.0
    np.testing.assert_array_equal(dumped(tmp_path, 3), dumped(tmp_path, 0))


@pytest.mark.slow
def test_tiled_ranks_that_are_balanced_again_and_again(run_lammps, model_file, tmp_path):
    """Atoms change owner between steps; the trajectory is that of one rank."""
    text = script(model_file, timestep="0.0001", steps=15)
    output_of(run_lammps(text, 1))
    expected = dumped(tmp_path, 15)
    balanced = "comm_style tiled\nfix even all balance 4 1.0 rcb weight time 1.0"
    text = script(model_file, timestep="0.0001", steps=15, commands=balanced)
    output_of(run_lammps(text, 3))
    np.testing.assert_allclose(dumped(tmp_path, 15)[:, 1:4], expected[:, 1:4], atol=1e-6)


def test_several_runs_with_changes_between(run_lammps, model_file, potential, box):
    """Other models, atoms removed, another element: each run evaluates the present state."""
    text = HEADER + "thermo_style custom step pe pxx\nvelocity all set 0 0 0\n"
    text += PET.format(model=model_file) + ENERGY
    text += "set atom 1 type 1\n" + ENERGY + "set atom 1 type 2\n" + ENERGY
    text += "group last id 22:24\ndelete_atoms group last\n" + ENERGY
    text += "pair_style zero 3.0\npair_coeff * *\n" + ENERGY
    text += PET.format(model=model_file).replace("dtype", "scope none dtype") + ENERGY
    text += "clear\n" + HEADER + "thermo_style custom step pe pxx\n"
    text += PET.format(model=model_file) + ENERGY
    found = printed(output_of(run_lammps(text, 2)), "ENERGY")[:, 0]
    changed = box.copy()
    changed.numbers[0] = 1
    fewer = box[:21]
    expected = [potential.compute(atoms).energy for atoms in (box, changed, box, fewer)]
    np.testing.assert_allclose(found[:4], expected, rtol=1e-9)
    assert found[4] == 0.0
    assert abs(found[5] - found[3]) > 1e-6
    assert found[6] == pytest.approx(expected[0], rel=1e-9)


def test_branches_may_hold_any_command(run_lammps, model_file, tmp_path):
    (tmp_path / "pet.lmp").write_text(PET.format(model=model_file))
    text = HEADER + "thermo_style custom step pe pxx\nvariable which equal 2\n"
    text += """if "${which} == 1" then "print 'one'" &
  elif "${which} == 2 && ${which} > 1" "include pet.lmp" "print 'two'" else "print 'three'"
"""
    text += 'if "${which} > 5" then "print five" else "run 0 post no" "print seven"\n'
    output = output_of(run_lammps(text, 2))
    said = [
        line for line in output.splitlines() if line in ("one", "two", "three", "five", "seven")
    ]
    assert said == ["two", "seven"]
    assert "self-test" not in output


@pytest.mark.parametrize(
    ("commands", "sentence"),
    [
        ("pair_style hybrid pet water zbl 1.0 2.0", "use hybrid/overlay"),
        ("pair_style hybrid/overlay pet water pet water", "names pet twice"),
        ("pair_style hybrid/overlay pet water zero 6.0", "names zero, which stands in for pet"),
        ("pair_style pet water halo deep", "halo is 'deep'"),
        ("pair_style pet water\npair_coeff 1 2 H O", "names some types only"),
        ("pair_style pet water\npair_coeff * * NULL NULL", "maps every type to NULL"),
        ("pair_style pet water\npair_coeff * * H O\nrun_style respa 2 2\nrun 1", "use run_style v"),
        ("if then", "lacks a condition or `then`"),
        ("jump SELF nowhere", "has no `label nowhere`"),
    ],
)
def test_scripts_that_are_wrong(run_lammps, commands, sentence):
    result = run_lammps(HEADER + commands + "\n", 2)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_log_has_the_blocks_and_the_self_test(run_lammps, model_file, tmp_path):
    text = HEADER + PET.format(model=model_file).replace("self_test no", "self_test yes")
    text += "fix integrate all nve\nrun 3\n"
    output = output_of(run_lammps(text, 2, "-log", "log.lammps"))
    log = (tmp_path / "log.lammps").read_text()
    for part in (
        "route fix external, ranks: 2 on cpu",
        "MPI thread level ",
        "edge messages exchanged through host",
    ):
        assert part in output
        assert part in log
    level = output.split("MPI thread level ")[1].split()[0]
    assert level in ("single", "funneled", "serialized", "multiple")
    for part in ("ghosts", "of one rank alone", "equal at both ends"):
        assert part in output
        assert part in log
    assert "4 evaluations in" in log
    assert "slowest rank over mean" in log
