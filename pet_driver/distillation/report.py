"""The report of a symmetrization: a table, entries of the card, a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ..errors import PetDriverError
from ..training.log import read_log
from .measures import ALL, MAY_GROW, ByElement, Cost, Deviation, LabelError, Noise, in_milli

_GOOD = 5e-3  # eV/angstrom from the teacher, which is good enough for any model
_GOOD_SHARE = 1.0 / 3.0  # of the noise of orientation, likewise


def target(noise: Noise) -> float:
    """Distance from the teacher that is good enough, eV/angstrom."""
    return max(_GOOD_SHARE * noise.forces[ALL], _GOOD)


def largest_symmetrization(noise: Noise) -> float:
    """Symmetrization force up to which a model is good enough, eV/angstrom."""
    return max(noise.forces[ALL], _GOOD)


@dataclass(frozen=True)
class Stage:
    """What was measured of the student on held-out structures, before or after tuning.

    distance: from the teacher; symmetrization: root-mean-square component of the symmetrization
    force, eV/angstrom, by symbol of the element and for all; error: against labels.
    """

    distance: Deviation
    symmetrization: ByElement
    error: LabelError

    def harm(self, before: Stage, noise: Noise) -> list[str]:
        """What tuning has made worse, in words; nothing: it has done no harm.

        It has where forces are farther from the teacher, or energies, or the symmetrization force,
        are above the noise of orientation and larger than before, or virials or covariant outputs
        are clearly farther; and where anything is not finite.
        """
        if not self._is_finite():
            return ["numbers that are not finite"]
        here, there = self.distance, before.distance
        grown = {
            "forces": here.forces[ALL] > there.forces[ALL],
            "energies": here.energy > max(there.energy, noise.energy),
            "virials": here.virial > MAY_GROW * there.virial,
            "symmetrization forces": self.symmetrization[ALL]
            > max(before.symmetrization[ALL], noise.forces[ALL]),
            **{
                name: value > MAY_GROW * there.properties[name]
                for name, value in here.properties.items()
            },
        }
        return [f"worse {name}" for name, is_worse in grown.items() if is_worse]

    def _is_finite(self) -> bool:
        found = self.distance
        numbers = (found.forces[ALL], found.energy, found.virial, *found.properties.values())
        return all(map(math.isfinite, (*numbers, self.symmetrization[ALL])))


@dataclass(frozen=True)
class Report:
    """Results of a symmetrization on held-out structures.

    model: name of the plain model; tuned: whether the weights were changed; structures: number of
    each part; orientations: that the teacher averages over; frames: name of the frame constants;
    plain_error: of the plain model against labels; cost: of an evaluation.
    """

    model: str
    tuned: bool
    structures: dict[str, int]
    orientations: int
    frames: str
    noise: Noise
    before: Stage
    after: Stage
    plain_error: LabelError
    cost: Cost

    def table(self) -> Table:
        """The numbers as a table for the terminal."""
        table = Table(title=f"{self.model} and its exact form, {self.structures['test']} held-out "
                      f"structures{'' if self.tuned else ', weights untouched'}")  # fmt: skip
        table.add_column("root mean square, meV, Å")
        for column in ("plain: noise", "layer: before", "after tuning"):
            table.add_column(column, justify="right")
        for row in self.rows():
            table.add_row(row[0], *(_number(value) for value in row[1:]))
        return table

    def rows(self) -> list[tuple[str, float | None, float | None, float | None]]:
        """Name of a quantity, and its values for plain PET and before and after tuning.

        For plain PET the first rows are the noise of orientation, for the student the distance from
        the teacher; None where there is no value.
        """
        noise, before, after = self.noise, self.before, self.after
        rows: list[tuple[str, float | None, float | None, float | None]] = []

        def add(name: str, *values: float | None) -> None:
            plain, *others = (None if x is None else 1e3 * x for x in values)
            rows.append((name, plain, *others))  # type: ignore[arg-type]  # three values

        for key in noise.forces:
            of = "forces" if key == ALL else f"  {key}"
            pair = before.distance.forces[key], after.distance.forces[key]
            add(of, noise.forces[key], *pair)
        add("energy per atom", noise.energy, before.distance.energy, after.distance.energy)
        add("virial per atom", None, before.distance.virial, after.distance.virial)
        for name, value in before.distance.properties.items():
            rows.append((name, None, value, after.distance.properties[name]))
        for key in noise.forces:
            of = "symmetrization force" if key == ALL else f"  {key}"
            add(of, None, before.symmetrization[key], after.symmetrization[key])
        errors = self.plain_error, before.error, after.error
        if self.plain_error.force is not None:
            add("error of forces against labels", *(x.force for x in errors))
        if self.plain_error.energy is not None:
            add("error of energy per atom against labels", *(x.energy for x in errors))
        return rows

    def sentences(self) -> list[str]:
        """What is not in the table: teacher, frames and cost."""
        cost = self.cost
        atom = "not timed, it would take minutes"
        if cost.atom is not None:
            atom = f"{cost.atom / cost.plain:.3g} times plain"
        return [
            "plain: noise of orientation; layer: distance from the average over orientations; "
            "energies in meV, lengths in angstrom",
            f"teacher: mean over {self.orientations} orientations, standard error "
            f"{1e3 * self.noise.force_error:.2g} meV/Å and "
            f"{1e3 * self.noise.energy_error:.2g} meV/atom",
            f"cost: {cost.layer / cost.plain:.3g} times plain PET ({self.frames}: "
            f"{cost.frames:.3g} frames per atom); scope atom: {atom}",
            self._verdict(),
        ]

    def _verdict(self) -> str:
        """Whether the aim was reached, and what to do where it was not."""
        forces, force_of_frames = self.after.distance.forces[ALL], self.after.symmetrization[ALL]
        aim, most = target(self.noise), largest_symmetrization(self.noise)
        missed = []
        if forces > aim:
            missed.append(f"forces are {1e3 * forces:.3g} meV/Å from the teacher")
        if force_of_frames > most:
            missed.append(f"the symmetrization force is {1e3 * force_of_frames:.3g} meV/Å")
        described = (
            f"aim: forces within {1e3 * aim:.3g} meV/Å of the teacher, symmetrization force at "
            f"most {1e3 * most:.3g}"
        )
        if not missed:
            return f"{described}: reached"
        return (
            f"{described}: not reached, as {' and '.join(missed)}; run the command again with more "
            "--minutes or more structures"
        )

    def card(self) -> dict[str, Any]:
        """Entries of the model's card."""
        cost = self.cost
        symmetrized = {
            "tuned": self.tuned,
            "plain_model": self.model,
            "aim_meV_per_angstrom": 1e3 * target(self.noise),
            "structures": self.structures,
            "teacher": {
                "orientations": self.orientations,
                "force_error_meV_per_angstrom": 1e3 * self.noise.force_error,
                "energy_error_meV_per_atom": 1e3 * self.noise.energy_error,
            },
            "noise_of_orientation": self.noise.to_dict(),
            "before": _described(self.before),
            "after": _described(self.after),
            "plain_errors": _errors(self.plain_error),
            "frames": self.frames,
            "frames_per_atom": cost.frames,
            "cost_relative_to_plain": cost.layer / cost.plain,
            "cost_of_atom_relative_to_plain": None if cost.atom is None else cost.atom / cost.plain,
        }
        errors = {"distance from the average over orientations": self.after.distance.to_dict()}
        if of_labels := _errors(self.after.error):
            errors["held-out labels"] = of_labels
        method = "weights tuned in scope layer to their own average over orientations, no labels"
        if not self.tuned:
            method = "scope layer with untouched weights"
        return {
            "symmetrized_from": self.model,
            "symmetrized_by": method,
            "symmetrized": symmetrized,
            "errors": errors,
        }

    def draw(self, path: Path, log: Path) -> None:
        """Draw bars of the table, and the distance from the teacher while tuning.

        :param path: of the picture
        :param log: ``log.csv`` of the tuning, which may be missing
        :raises PetDriverError: if the picture cannot be written
        """
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 3.8), layout="constrained")
        keys = list(self.noise.forces)
        bars = {
            "plain: noise of orientation": self.noise.forces,
            "distance from teacher, before": self.before.distance.forces,
            "distance from teacher, after": self.after.distance.forces,
            "symmetrization force, before": self.before.symmetrization,
            "symmetrization force, after": self.after.symmetrization,
        }
        width = 0.8 / len(bars)
        for k, (name, values) in enumerate(bars.items()):
            places = [i + (k - 2) * width for i in range(len(keys))]
            left.bar(places, [1e3 * values[key] for key in keys], width, label=name)
        left.set_xticks(range(len(keys)), keys)
        left.set(ylabel="force, RMS / (meV/Å)", title="held-out structures")
        left.legend(fontsize=7)
        rows = [row for row in read_log(log) if "force_rmse_meV_per_angstrom" in row]
        minutes = [60.0 * row["hours"] for row in rows]
        forces = [row["force_rmse_meV_per_angstrom"] for row in rows]
        right.plot(minutes, forces, ".-", label="validation structures")
        noise = 1e3 * self.noise.forces[ALL]
        right.axhline(noise, color="tab:gray", lw=1.0, label="plain: noise of orientation")
        right.set(
            xlabel="minutes of tuning", ylabel="distance from teacher / (meV/Å)", ylim=(0, None)
        )
        right.legend(fontsize=7)
        try:
            figure.savefig(path, dpi=150)
        except (ValueError, OSError) as error:
            raise PetDriverError(f"{path} cannot be drawn: {error}") from error
        finally:
            plt.close(figure)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _described(stage: Stage) -> dict[str, float]:
    return {
        **stage.distance.to_dict(),
        **in_milli("symmetrization_{}_meV_per_angstrom", stage.symmetrization),
        **{f"labels_{name}": value for name, value in _errors(stage.error).items()},
    }


def _errors(error: LabelError) -> dict[str, float]:
    found = {}
    if error.force is not None:
        found["force_rmse_meV_per_angstrom"] = 1e3 * error.force
    if error.energy is not None:
        found["energy_rmse_meV_per_atom"] = 1e3 * error.energy
    return found
