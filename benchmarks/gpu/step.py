"""Process of one step of the GPU benchmark; started by run.py.

python step.py MODULE ROWS SETTINGS     (a file of this folder, a JSON file, JSON)

Exit code: 0; 1 if a row failed; 3 if CUDA is lost, so that the rest needs a new process; 4 if the
step failed outside of its rows, with a sentence in the last line of standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
import warnings
from pathlib import Path

from record import FAILED, CudaLostError, Record, sentence_of
from settings import Settings

LOST, BROKEN = 3, 4


class EndedError(BaseException):
    """The runner ends this process; programs that it has started end with it."""


def end(*_: object) -> None:
    """Called for SIGTERM."""
    raise EndedError


def main() -> int:
    """Run the step, on the pretended GPU if that is asked for."""
    signal.signal(signal.SIGTERM, end)
    module, rows, words = sys.argv[1:]
    settings = Settings.from_json(words)
    record = Record(Path(rows), settings.seconds)
    # At the end, as a benchmark has the name of a package, ipi.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    warnings.simplefilter("ignore")
    try:
        with pretended(settings):
            importlib.import_module(module).run(settings, record)
    except CudaLostError:
        return LOST
    except Exception as error:
        print(sentence_of(error), file=sys.stderr)
        return BROKEN
    return int(any(row["status"] == FAILED for row in record.rows))


def pretended(settings: Settings) -> contextlib.AbstractContextManager[object]:
    """Context of the pretended GPU, if it is asked for."""
    if not settings.pretended:
        return contextlib.nullcontext()
    import pretended_gpu  # before torch

    if pretended_gpu.REASON is not None:
        raise RuntimeError(f"GPUs cannot be pretended here: {pretended_gpu.REASON}")
    context: contextlib.AbstractContextManager[object] = pretended_gpu.PretendedGpu()
    return context


if __name__ == "__main__":
    sys.exit(main())
