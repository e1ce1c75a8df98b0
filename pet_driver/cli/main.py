"""`pet-driver`: one command, one file per verb."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from ..errors import PetDriverError
from . import check, convert, evaluate, export_mliap, info, ipi, train

VERBS = (info, evaluate, check, train, convert, ipi, export_mliap)


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
    words = list(sys.argv[1:] if arguments is None else arguments)
    code: int | str | None = 1
    try:
        code = _run(words)
        return code
    except SystemExit as left:  # from argparse
        code = left.code
        raise
    finally:
        if "--mpi" in words:
            ipi.leave_job(2 if isinstance(code, str) else code or 0)


def _run(words: list[str]) -> int:
    options = build_parser().parse_args(words)
    warnings.showwarning = _show_warning
    try:
        return options.run(options) or 0
    except PetDriverError as error:
        print(f"pet-driver: {error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("pet-driver: interrupted", file=sys.stderr)
        return 130


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"pet-driver: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
