"""Sizes of tables whose rows have different lengths: measured, or fixed before they are known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor


class TableSizes(ABC):
    """How many columns or rows tables get, by the names of the tables."""

    @abstractmethod
    def of(self, name: str, needed: Tensor) -> int:
        """Size of a table.

        :param name: of the table
        :param needed: integer, () or (n,), of which the largest is the size that is needed
        """

    @abstractmethod
    def within(self, name: str, ascending: Tensor, end: Tensor | float) -> int:
        """Size of a table of what lies below an end: at least 1, and at most all.

        :param name: of the table
        :param ascending: (n, m), of which the row that has most below its end gives the size that
            is needed
        :param end: (n, 1) or one for all
        """

    @abstractmethod
    def chosen(self, name: str, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Indices at which a mask is true, in ascending order.

        :param mask: (n,)
        :return: (n_chosen,) indices; and None, or (n_chosen,) which of them count: the others are
            there to fill the table, and repeat the last index that counts
        """

    @abstractmethod
    def number(self, name: str, found: int) -> int:
        """A number that the sizes of tables follow from, such as that of tables.

        :param name: of the number
        :param found: what it would be without sizes that were fixed before
        """

    @abstractmethod
    def note(self, wrong: Tensor) -> None:
        """Note that results are of no use if any of ``wrong``, bool on the device, is true."""


class MeasuredSizes(TableSizes):
    """Sizes that are just large enough, for which the host waits for the device.

    found: the sizes, by name; the largest where one was asked for several times; wrong: whether
    results are of no use.
    """

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self.wrong = False

    def of(self, name: str, needed: Tensor) -> int:
        """The size that is needed."""
        size = int(needed.max()) if needed.numel() else 0
        self.found[name] = max(size, self.found.get(name, 0))
        return size

    def within(self, name: str, ascending: Tensor, end: Tensor | float) -> int:
        """The size that is needed."""
        size = self.of(name, (ascending < end).sum(1))
        return min(max(size, 1), ascending.shape[1])

    def chosen(self, name: str, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Exactly the indices at which the mask is true."""
        indices = mask.nonzero().squeeze(1)
        self.found[name] = max(len(indices), self.found.get(name, 0))
        return indices, None

    def number(self, name: str, found: int) -> int:
        """The one that was found."""
        self.found[name] = found
        return found

    def note(self, wrong: Tensor) -> None:
        """Note it at once."""
        self.wrong = self.wrong or bool(wrong.any())


class FixedSizes(TableSizes):
    """Sizes that are known beforehand, so that the host need not wait.

    :param sizes: by name
    :param device: of the tables
    """

    def __init__(self, sizes: Mapping[str, int], device: torch.device) -> None:
        self._sizes = dict(sizes)
        self._device = device
        self._notes: list[Tensor] = []

    @property
    def wrong(self) -> Tensor:
        """Whether a table would have needed more than it got, or results are of no use.

        () bool on the device. All notes are put together here, in few kernels.
        """
        if not self._notes:
            return torch.zeros((), dtype=torch.bool, device=self._device)
        return torch.cat(self._notes).any()

    def of(self, name: str, needed: Tensor) -> int:
        """The size that was given; whether it suffices is noted."""
        size = self._sizes[name]
        self.note(needed > size)
        return size

    def number(self, name: str, found: int) -> int:  # noqa: ARG002 (it is fixed)
        """The one that was given."""
        return self._sizes[name]

    def within(self, name: str, ascending: Tensor, end: Tensor | float) -> int:
        """The size that was given; whether the next one would have been needed is noted."""
        size, columns = max(self._sizes[name], 1), ascending.shape[1]
        if size < columns:
            self.note(ascending[:, size : size + 1] < end)
        return min(size, columns)

    def chosen(self, name: str, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """As many indices as the table has rows."""
        size = self._sizes[name]
        if not size:
            self.note(mask)
            return torch.empty(0, dtype=torch.int64, device=mask.device), None
        before = torch.cumsum(mask, 0)
        count = before[-1:]
        self.note(count > size)
        rank = torch.arange(1, size + 1, device=mask.device)
        return torch.searchsorted(before, torch.minimum(rank, count)), rank <= count

    def note(self, wrong: Tensor) -> None:
        """Note it on the device."""
        self._notes.append(wrong.flatten())
