"""Printing of warnings as single lines, without the file and line that issued them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


class OwnAtomsWarning(UserWarning):
    """A warning about atoms that other ranks of a job do not have."""


@contextmanager
def warnings_as_lines(
    print_line: Callable[[str], None], print_own: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Pass the text of each warning to a function while the context is open.

    Which warnings are shown, and how often, is left to the filters of `warnings`. On leaving, all
    of its state is as before. Like `warnings.catch_warnings`, for the main thread only.

    :param print_line: called with the text of a warning, its line breaks replaced by spaces
    :param print_own: the same for each `OwnAtomsWarning`; None: as others

    >>> with warnings_as_lines(print):
    ...     warnings.warn("the cell is left-handed", stacklevel=1)
    the cell is left-handed
    """

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,  # noqa: ARG001
        lineno: int,  # noqa: ARG001
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        is_own = print_own is not None and issubclass(category, OwnAtomsWarning)
        (print_own if is_own and print_own else print_line)(" ".join(str(message).split()))

    with warnings.catch_warnings():
        before = warnings.showwarning
        warnings.showwarning = show
        try:
            yield
        finally:
            warnings.showwarning = before
