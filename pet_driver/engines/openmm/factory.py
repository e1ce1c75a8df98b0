"""What OpenMM-ML loads when it is imported, in every program that uses it.

So this module imports neither torch nor OpenMM, and fails only when a PET model is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import PetDriverError
from ..required import require

if TYPE_CHECKING:
    from ...evaluation.potential import Potential
    from .potential import PETPotentialImpl


class PETPotentialImplFactory:
    """Makes the potential of ``MLPotential("pet", model="water")``.

    It is the value of the entry point ``pet`` in the group ``openmmml.potentials``.
    """

    def createImpl(  # noqa: N802 (OpenMM-ML's name)
        self,
        name: str,
        model: str | Path | Potential | None = None,
        **options: Any,  # noqa: ANN401 (of many types; checked by EvaluationOptions)
    ) -> PETPotentialImpl:
        """Load a model.

        :param name: of the entry point, "pet"
        :param model: name of a shipped model, path of a model file, or a loaded `Potential`
        :param options: see `EvaluationOptions`
        :raises PetDriverError: if no model is given, OpenMM or OpenMM-ML is too old, the model or
            the device is not there, or an option is wrong
        """
        if model is None:
            raise PetDriverError(
                f'MLPotential("{name}") names no model; write MLPotential("{name}", model="water"),'
                " with the name of a shipped model or the path of a model file"
            )
        require("openmm", "8.6.1", "openmm")
        require("openmmml", "1.8", "openmm")
        from .potential import PETPotentialImpl

        return PETPotentialImpl(model, **options)
