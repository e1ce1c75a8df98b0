"""Log of a training: a table on the terminal, CSV, TensorBoard."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.progress import Progress
from .accuracy import heading, is_root_mean_square

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_WIDTH = 23


class Log:
    """Writes one row per validation.

    :param folder: receives ``log.csv`` and, where TensorBoard is installed, ``tensorboard``
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.csv"
        self._headed = False
        self._writer = _tensorboard(folder)

    @property
    def missing(self) -> str | None:
        """Advice on an optional package that is not installed; None: all are."""
        if self._writer is not None:
            return None
        return "no TensorBoard log: pip install tensorboard to have one; log.csv has the numbers"

    def keep_until(self, step: int) -> None:
        """Remove rows later than a step: a training that was killed resumes from its last state."""
        rows = [row for row in read_log(self.path) if row["step"] <= step]
        self.path.unlink(missing_ok=True)
        for row in rows:
            self._append({**row, "step": int(row["step"])})

    def write(self, row: dict[str, float], progress: Progress) -> None:
        """Append a row to ``log.csv`` and TensorBoard, and print its errors.

        :param row: step, epoch, hours, rate, loss, then errors by name
        """
        self._append(row)
        errors = {k: v for k, v in row.items() if is_root_mean_square(k)}
        if not self._headed:
            columns = "".join(f"{heading(name):>{_WIDTH}s}" for name in errors)
            progress.say(f"{'step':>8s}{'epoch':>8s}{'hours':>7s}{'loss':>10s}{columns}")
            self._headed = True
        numbers = "".join(f"{value:{_WIDTH}.4g}" for value in errors.values())
        progress.say(
            f"{row['step']:8d}{row['epoch']:8.1f}{row['hours']:7.2f}{row['loss']:10.4g}{numbers}"
        )
        if self._writer is not None:
            for name, value in row.items():
                self._writer.add_scalar(name, value, row["step"])
            self._writer.flush()

    def _append(self, row: dict[str, float]) -> None:
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def _tensorboard(folder: Path) -> SummaryWriter | None:
    """A writer of TensorBoard's files; None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a ``log.csv``; none if there is no such file.

    A row that is damaged, as by a full disk, is left out.
    """
    if not path.exists():
        return []
    rows = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            with contextlib.suppress(TypeError, ValueError):
                rows.append({k: float(v) for k, v in row.items() if v})
    return [row for row in rows if "step" in row]
