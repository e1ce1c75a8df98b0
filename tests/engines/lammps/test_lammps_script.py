"""Input scripts with `pair_style pet`, in whatever order their commands come."""

import numpy as np
import pytest
from ase.io.lammpsdata import write_lammps_data
from lammps_runs import dumped, printed

START = "units metal\natom_modify map array\n"
READ = "read_data box.data\n"
PET = "pair_style pet {model} dtype float64 self_test no\n"
ELEMENTS = "pair_coeff * * H O\n"
ZERO = "pair_style zero 3.0\npair_coeff * *\n"
UPRIGHT = "change_box all xy final 0 xz final 0 yz final 0\nchange_box all ortho\n"
ENERGY = 'run 0 post no\nprint "ENERGY $(pe:%.17g)"\n'


@pytest.fixture(autouse=True)
def data_file(small_box, tmp_path):
    """Eight molecules in a triclinic cell."""
    write_lammps_data(
        tmp_path / "box.data", small_box, specorder=["H", "O"], masses=True, atom_style="atomic"
    )


def output_of(result):
    """What it printed, if it ended well."""
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("asking", "sentence"),
    [
        ("fix a all gcmc 1 20 0 2 12345 300 -5 0.1", "fix a has the style gcmc"),
        ("fix a all widom 1 20 2 12345 300", "fix a has the style widom"),
        ("fix a all numdiff 1 0.001", "fix a has the style numdiff"),
        (f"{UPRIGHT}fix a all sgcmc 1 0.1 300 0.0 randseed 3", "fix a has the style sgcmc"),
        ("compute a all group/group all", "compute a has the style group/group"),
        ("compute a all stress/mop x center conf", "compute a has the style stress/mop"),
        ("compute a all pair/local dist eng", "compute a has the style pair/local"),
        ("compute a all centroid/stress/atom NULL", "compute a has the style centroid/stress/atom"),
    ],
    ids=["gcmc", "widom", "numdiff", "sgcmc", "group", "plane", "pairs", "centroid"],
)
def test_what_asks_the_pair_style_is_refused(run_lammps, model_file, asking, sentence, before):
    potential = PET.format(model=model_file) + ELEMENTS
    first, second = (ZERO + asking + "\n", potential) if before else (potential, asking + "\n")
    result = run_lammps(START + READ + first + second + "run 1\n", 1)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_it_is_not_refused_once_it_is_removed(run_lammps, model_file):
    text = START + READ + PET.format(model=model_file) + ELEMENTS
    text += "compute a all group/group all\nuncompute a\ncompute d all pair/local dist\n"
    text += "neigh_modify exclude type 1 1\n" + ENERGY
    result = run_lammps(text, 1)
    assert printed(output_of(result), "ENERGY").shape == (1, 1)
    assert "neigh_modify exclude has no effect on pair_style pet" in result.stderr
    text = START + READ + PET.format(model=model_file) + ELEMENTS
    result = run_lammps(text + "pair_write 1 1 10 r 1.0 2.0 table.txt pair\n", 1)
    assert result.returncode == 2
    assert "pair_write asks the pair style" in result.stderr


def test_energies_of_atoms_are_refused_where_lammps_does_not_take_them(run_lammps, model_file):
    """`fix external` takes them in dynamics only; in a minimization they would be zeros."""
    text = START + READ + PET.format(model=model_file) + ELEMENTS
    text += "compute each all pe/atom\ncompute sum all reduce sum c_each\n"
    text += "thermo_style custom step pe c_sum\n"
    text += "run 0 post no\n" + 'print "BOTH $(pe:%.17g) $(c_sum:%.17g)"\n'
    pe, atoms = printed(output_of(run_lammps(text, 2)), "BOTH")[0]
    assert atoms == pytest.approx(pe, rel=1e-9)
    result = run_lammps(text + "minimize 0.0 0.0 5 10\n", 2)
    assert result.returncode == 2
    assert "compute each has the style pe/atom" in result.stderr


def test_a_frame_that_fails_ends_a_rerun(run_lammps, model_file, tmp_path):
    text = START + READ + PET.format(model=model_file) + ELEMENTS
    text += "dump frames all custom 1 frames.txt id type x y z\nrun 2\nundump frames\n"
    output_of(run_lammps(text, 1))
    frames = (tmp_path / "frames.txt").read_text().split("ITEM: TIMESTEP\n")
    lines = frames[2].splitlines()
    first, second = lines[-2].split(), lines[-1].split()
    lines[-1] = " ".join([*second[:2], *first[2:]])  # two atoms at the same place
    frames[2] = "\n".join(lines) + "\n"
    (tmp_path / "frames.txt").write_text("ITEM: TIMESTEP\n".join(frames))
    again = text[: text.index("dump frames")] + "rerun frames.txt dump x y z\n"
    result = run_lammps(again + "print AFTER\n", 1)
    assert result.returncode == 2
    assert "step 1: " in result.stderr
    assert "AFTER" not in result.stdout.splitlines()


def test_held_atoms_stay_after_a_run_with_another_potential(run_lammps, model_file, tmp_path):
    """The fix of the potential stays before `fix setforce`, so that forces are set to zero."""
    text = START + READ + ZERO + "velocity all set 0 0 0\n"
    text += "fix hold all setforce 0 0 0\nfix integrate all nve\nrun 1\n"
    text += PET.format(model=model_file) + ELEMENTS
    text += "dump atoms all custom 1 dump.*.txt id x y z fx fy fz\n"
    text += "dump_modify atoms sort id format float %.17g\nrun 3\n"
    output_of(run_lammps(text, 2))
    assert np.abs(dumped(tmp_path, 4)[:, 4:]).max() == 0.0
    np.testing.assert_array_equal(dumped(tmp_path, 4)[:, 1:4], dumped(tmp_path, 1)[:, 1:4])


def test_potential_before_the_box_copies_of_it_and_its_data_file(
    run_lammps, model_file, potential, small_box
):
    first = START + PET.format(model=model_file) + READ + ELEMENTS + ENERGY
    found = printed(output_of(run_lammps(first + "write_data written.data\n", 2)), "ENERGY")
    assert found[0, 0] == pytest.approx(potential.compute(small_box).energy, rel=1e-9)
    again = START + "read_data written.data\n" + PET.format(model=model_file) + ELEMENTS
    again += ENERGY + "replicate 1 2 1\n" + ENERGY
    once, twice = printed(output_of(run_lammps(again, 1)), "ENERGY")[:, 0]
    assert once == pytest.approx(found[0, 0], rel=1e-9)
    assert twice == pytest.approx(2.0 * once, rel=1e-9)
    result = run_lammps(again.replace("replicate", "fix move all nve\nreplicate"), 1)
    assert result.returncode == 2
    assert "put replicate before the first fix" in result.stderr


def test_words_that_come_from_variables(run_lammps, model_file):
    text = START + READ + PET.format(model=model_file) + ELEMENTS
    text = text.replace("dtype float64", "${options}").replace("H O", "${types}")
    text = 'variable options string "dtype float64"\nvariable types index "H O"\n' + text
    text += 'variable action index "run 1"\n${action} post no\n'
    text += """if $(2 > 1) then \"\"\"print "hello world" \"\"\"\n"""
    output = output_of(run_lammps(text, 1))
    assert "2 evaluations in" in output
    assert "hello world" in output.splitlines()


def test_commands_for_some_replicas(run_lammps, model_file, tmp_path):
    """They are interpreted like others: the fix of the potential stays before `fix setforce`."""
    text = START + READ + "velocity all set 0 0 0\npartition yes 2 fix hold all setforce 0 0 0\n"
    text += "variable all equal 2\npartition yes 1*$(v_all + 0) "
    text += PET.format(model=model_file) + ELEMENTS
    text += "fix integrate all nve\nrun 1 post no\n"
    text += 'variable replica world 1 2\nprint "LARGEST $(fmax)" file found.${replica}\n'
    output_of(run_lammps(text, 2, "-partition", "2x1"))
    largest = [float((tmp_path / f"found.{k}").read_text().split()[1]) for k in (1, 2)]
    assert largest[0] > 0.0 == largest[1]


def test_nothing_is_executed_after_quit(run_lammps):
    result = run_lammps('if "1 == 1" then "quit 3" "print SHOULD_NOT_BE"\n', 1)
    assert result.returncode == 3
    assert "SHOULD_NOT_BE" not in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("options", "count"),
    [(("-bogus",), 1), (("-bogus",), 2), (("-partition", "2x1"), 1), (("-log", "no/where"), 2)],
)
def test_options_that_lammps_does_not_take(run_lammps, options, count):
    """Also where the first rank alone meets the error."""
    result = run_lammps("print hello\n", count, *options)
    assert result.returncode == 2
    assert "LAMMPS did not start with the options" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_structure_that_cannot_be_written(run_lammps, model_file):
    """The sentence about the failure stays, whatever LAMMPS says about the dump."""
    text = "units metal\natom_modify id no\nregion box block 0 9 0 9 0 9\ncreate_box 2 box\n"
    text += "create_atoms 1 single 1 1 1\ncreate_atoms 2 single 2 1 1\nmass * 1.0\n"
    result = run_lammps(text + PET.format(model=model_file) + ELEMENTS + "run 0\n", 1)
    assert result.returncode == 2
    assert "give all atoms unique ids" in result.stderr


@pytest.mark.parametrize("count", [1, 2])
def test_a_file_in_the_way_of_the_structure(run_lammps, model_file, tmp_path, count):
    """The first rank alone meets that error."""
    (tmp_path / "failed_step_0.lammpstrj").mkdir()
    text = START + "region box block 0 9 0 9 0 9\ncreate_box 2 box\nmass * 1.0\n"
    text += "create_atoms 1 single 1 1 1\ncreate_atoms 2 single 1.02 1 1\n"
    result = run_lammps(text + PET.format(model=model_file) + ELEMENTS + "run 0\n", count)
    assert result.returncode == 2
    assert "0.02 angstrom apart" in result.stderr


@pytest.mark.parametrize("command", ["jump", "include", "quit now"])
def test_commands_that_lack_a_word(run_lammps, command):
    result = run_lammps(START + READ + command + "\n", 1)
    assert result.returncode == 2
    assert result.stderr.count("pet-lmp:") == 1
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("wrong", ["pair_style pet nosuch", "read_data nosuch"])
def test_an_error_in_one_replica_ends_all(run_lammps, model_file, wrong):
    """The other one waits for it, in `temper`."""
    text = "variable wrong world 1 0\n" + START + READ + 'if "${wrong} == 1" then "' + wrong
    text += '"\n' + PET.format(model=model_file) + ELEMENTS
    text += (
        "variable kelvin world 300.0 310.0\nfix integrate all nvt temp ${kelvin} ${kelvin} 0.1\n"
    )
    text += "temper 4 2 ${kelvin} integrate 1 2\n"
    result = run_lammps(text, 2, "-partition", "2x1")
    assert result.returncode != 0
    assert "nosuch" in result.stderr
