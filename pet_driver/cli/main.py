"""`pet-driver`: one command, one file per verb."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from ..errors import PetDriverError
from . import check, evaluate, export_mliap, info, ipi, train

VERBS = (info, evaluate, check, train, ipi, export_mliap)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs."""
    parser = argparse.ArgumentParser(prog="pet-driver", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pet-driver {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; 0 on success, 2 with one sentence when the input is at fault."""
    options = build_parser().parse_args(arguments)
    warnings.showwarning = _show_warning
    try:
        return options.run(options) or 0
    except PetDriverError as error:
        print(f"pet-driver: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pet-driver: interrupted", file=sys.stderr)
        return 130


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"pet-driver: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
