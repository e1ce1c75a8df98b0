"""A benchmark's errors as one sentence, as the commands of the package show them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pet_driver.errors import PetDriverError


def run(main: Callable[[], None]) -> None:
    """Call ``main``; an error that the package explains ends the program with code 2."""
    try:
        main()
    except PetDriverError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
