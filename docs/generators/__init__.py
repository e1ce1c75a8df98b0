"""Pages and parts of pages that are made from the code, the model files and the results.

Parts, which other pages include, are written into docs/generated/parts; whole pages beside them.
"""

from __future__ import annotations

import shutil

from . import cards, commands, drawings, examples, messages, options, results
from .writing import GENERATED, Writer

_MAKERS = (commands, options, messages, cards, results, examples, drawings)


def make_all() -> None:
    """Make everything; files that nothing makes any more are removed."""
    writer = Writer()
    for maker in _MAKERS:
        maker.make(writer)
    for path in sorted(GENERATED.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
        elif path.is_file() and path not in writer.written:
            path.unlink()
