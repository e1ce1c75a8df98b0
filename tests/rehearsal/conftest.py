"""The rehearsal is skipped, with the reason, where GPUs cannot be pretended."""

from __future__ import annotations

import pytest
from pretended_gpu import REASON


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REASON is not None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=REASON))
