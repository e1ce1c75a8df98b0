"""Limits of containers and batch jobs, as the system writes them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from pet_driver.runtime import devices, memory_limit
from pet_driver.runtime.memory_limit import limits_of, unused_memory


def written(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def job(tmp_path: Path) -> Path:
    """A step of a batch job, whose limit is that of the job."""
    root = tmp_path / "cgroup"
    written(root, memory__stat="inactive_file 0\n")
    used = {"memory__current": "5000\n", "memory__stat": "anon 1000\ninactive_file 1500\n"}
    written(root / "job", memory__max="16000\n", **used)
    written(root / "job" / "step", memory__max="max\n", **used)
    (tmp_path / "self").write_text("0::/job/step\n")
    return root


def test_the_limit_of_a_job_is_found_from_its_step(tmp_path, monkeypatch):
    root = job(tmp_path)
    (limit,) = limits_of(tmp_path / "self", root)
    assert limit.size == 16000
    monkeypatch.setattr(memory_limit, "_limits", lambda: (limit,))
    # What is used, without pages of files that would be given up.
    assert unused_memory() == 16000 - (5000 - 1500)
    assert devices.free_memory(torch.device("cpu")) == 12500
    limit.parts.unlink()
    assert unused_memory() == 11000


def test_the_first_version_of_control_groups(tmp_path, monkeypatch):
    root = tmp_path / "cgroup"
    folder = root / "memory" / "docker"
    written(root / "memory", memory__limit_in_bytes=f"{2**63 - 4096}\n")
    written(folder, memory__limit_in_bytes="9000\n", memory__usage_in_bytes="9500\n")
    (tmp_path / "self").write_text("4:cpu,cpuacct:/docker\n3:memory:/docker\n0::/\n")
    limits = limits_of(tmp_path / "self", root)
    assert [limit.size for limit in limits] == [9000]
    monkeypatch.setattr(memory_limit, "_limits", lambda: tuple(limits))
    assert unused_memory() == 0


@pytest.mark.parametrize("text", [None, "", "0::/\n", "nonsense\n"])
def test_without_a_limit_the_machine_counts(tmp_path, monkeypatch, text):
    groups = tmp_path / "self"
    if text is not None:
        groups.write_text(text)
    assert limits_of(groups, tmp_path) == []
    monkeypatch.setattr(memory_limit, "_limits", lambda: ())
    assert unused_memory() is None
    free = devices.free_memory(torch.device("cpu"))
    assert 0 < free <= psutil.virtual_memory().total
