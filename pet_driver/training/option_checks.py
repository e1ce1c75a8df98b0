"""Checks of the options of a training: units, names, and what must fit together."""

from __future__ import annotations

from ..errors import PetDriverError
from . import units
from .options import TrainingOptions

_LARGEST_SEED = 2**63 - 1


def check_together(options: TrainingOptions) -> None:
    """Check units and combinations of options.

    :raises PetDriverError: if a unit is unknown, or options contradict each other
    """
    data, fit = options.data, options.fit
    units.energy_unit(data.energy_unit)
    units.length_unit(data.length_unit)
    if data.forces_unit is not None:
        units.forces_unit(data.forces_unit)
    if data.stress_unit is not None:
        units.stress_unit(data.stress_unit, data.stress_kind)
    labels = {"energy", "forces", "stress", *data.property_keys}
    for name in data.may_lack:
        if name not in labels:
            raise PetDriverError(
                f"data.may_lack names {name!r}; known are {', '.join(sorted(labels))}"
            )
    for name in data.property_units:
        if name not in data.property_keys:
            raise PetDriverError(
                f"data.property_units names {name!r}, which has no labels; add its key to "
                "data.property_keys"
            )
    if fit.schedule == "time" and not fit.max_time:
        raise PetDriverError("fit.schedule is 'time', so fit.max_time must be given, in seconds")
    if fit.atom_energy_weight:
        raise PetDriverError(
            f"fit.atom_energy_weight is {fit.atom_energy_weight}, but data files have no energies "
            "of single atoms; leave it out"
        )
    if fit.adamw_beta2 >= 1.0:
        raise PetDriverError(
            f"fit.adamw_beta2 is {fit.adamw_beta2}, with which the mean squared gradient never "
            "changes; give less than 1"
        )
    if fit.ema_decay >= 1.0:
        raise PetDriverError(
            f"fit.ema_decay is {fit.ema_decay}, with which the averaged weights never change; give "
            "a number below 1"
        )
    for name, seed in (("data", data.seed), ("fit", fit.seed)):
        if seed > _LARGEST_SEED:
            raise PetDriverError(f"{name}.seed is {seed}; give at most {_LARGEST_SEED}")
    if fit.patience and data.validation == 0:
        raise PetDriverError(
            f"fit.patience is {fit.patience}, but no structures are kept to validate on; give "
            "data.validation, or leave patience out"
        )
    if max(fit.final_share, fit.sampled_share or 0.0) > 1.0:
        raise PetDriverError("fit.final_share and fit.sampled_share are shares; give 0 to 1")
