"""`pet-driver`: one command, one file per verb."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Protocol

from .. import __version__
from ..errors import PetDriverError
from ..runtime.warning_lines import warnings_as_lines
from . import (
    bench,
    check,
    convert,
    doctor,
    evaluate,
    export_mliap,
    info,
    ipi,
    mdi,
    symmetrize,
    train,
)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Verb(Protocol):
    """A module of this package that implements one verb of the command."""

    def add_parser(self, verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the parser of the verb; its default ``run`` is the function to call."""


VERBS: tuple[Verb, ...] = (
    *(info, evaluate, check, bench, doctor, train, convert, symmetrize, ipi, mdi, export_mliap),
)


def build_parser() -> argparse.ArgumentParser:
    """Parser of the command with all its verbs."""
    parser = argparse.ArgumentParser(prog="pet-driver", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pet-driver {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: words after the name of the command; None: those of this process
    :return: exit code: 0 on success, 2 after an error of the input, which is printed as one
        sentence, 130 after an interrupt
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal knows the sign of angstrom
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
        if words[:1] == ["train"] and isinstance(code, int) and code:
            train.leave_group(code)


def _run(words: list[str]) -> int:
    """Exit code of a verb; warnings and errors are printed as one line each."""
    options = build_parser().parse_args(words)
    try:
        with warnings_as_lines(_print_warning):
            code = options.run(options) or 0
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        if not _reader_left():
            raise
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None and error.errno not in _NO_SPACE:  # no file of the user's
            raise
        print(
            f"pet-driver: {error.filename or 'a file'} cannot be used ({error.strerror}); look at "
            "the path, its permissions and the free space, or give another",
            file=sys.stderr,
            flush=True,
        )
        return 2
    except PetDriverError as error:
        print(f"pet-driver: {error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("pet-driver: interrupted", file=sys.stderr)
        return 130


def _reader_left() -> bool:
    """Whether the reader of the output has closed it, as `head` does; the rest is dropped."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _print_warning(text: str) -> None:
    print(f"pet-driver: warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
