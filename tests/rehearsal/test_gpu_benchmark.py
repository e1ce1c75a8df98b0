"""The GPU benchmark, with small systems on the pretended GPU: it records, fails and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from helpers import ROOT, environment

GPU = ROOT / "benchmarks" / "gpu"
sys.path.append(str(GPU))

import run as runner  # noqa: E402
import step_times  # noqa: E402
from process import run_step  # noqa: E402
from record import Record  # noqa: E402
from settings import Settings  # noqa: E402
from table import step_table  # noqa: E402


def run(tmp_path, *options):
    """`run.py` with small systems; its exit code and what it wrote."""
    output = tmp_path / "gpu.json"
    command = [sys.executable, str(GPU / "run.py"), "--quick", "--output", str(output)]
    result = subprocess.run(
        [*command, *options], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert output.exists(), result.stderr
    return result, json.loads(output.read_text())


def rows_of(content, step):
    return {row["name"]: row for row in content["steps"][step]["rows"]}


def test_a_step_is_recorded(tmp_path):
    result, content = run(tmp_path, "--pretended", "--only", "memory")
    assert result.returncode == 0, result.stdout
    rows = rows_of(content, "memory")
    assert rows["a shortage"]["shortages"] == 1
    assert rows["the step after it"]["forces, difference"] < 1e-5
    table = (tmp_path / "gpu.md").read_text()
    assert "| memory | passed |" in table
    assert "| a shortage | passed |" in table


@pytest.mark.slow
def test_training_is_rehearsed(tmp_path):
    result, content = run(tmp_path, "--pretended", "--only", "training")
    assert result.returncode == 0, result.stdout
    rows = rows_of(content, "training")
    assert rows["first losses as on the CPU"]["difference"] < 1e-5
    assert "not rehearsed" in {row["status"] for row in rows.values()}


@pytest.mark.slow
def test_conservation_is_tried_on_a_cpu(tmp_path):
    result, content = run(tmp_path, "--device", "cpu", "--only", "conservation")
    assert result.returncode == 0, result.stdout
    rows = rows_of(content, "conservation")
    assert rows["NVE, float32"]["steps"] == 60
    assert rows["NVE, float32"]["its error, meV/atom/ps"] > 0.0
    assert rows["NVE, tf32"]["status"] == "not rehearsed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="here nothing fails")
def test_it_goes_on_after_a_failure(tmp_path):
    """Without a card and without the pretence."""
    only = ("--only", "conservation", "training", "agreement")
    result, content = run(tmp_path, *only, "--together")
    assert result.returncode == 1
    together = {name: entry["at the same time"] for name, entry in content["steps"].items()}
    assert together == {"agreement": 2, "conservation": 1, "training": 2}
    assert {entry["status"] for entry in content["steps"].values()} == {"failed"}
    rows = rows_of(content, "training")
    assert list(rows) == ["labels"]  # without them there is nothing to train on
    rows.update(rows_of(content, "conservation"))
    assert {row["status"] for row in rows.values()} == {"failed"}
    assert "no GPU is visible" in rows["NVE, float32"]["sentence"]
    assert "| conservation | failed |" in result.stdout


STEP = """
import os, signal, time
from record import CudaLostError, NotMetError

def run(settings, record):
    record.row("good", lambda: {"number": 1.5})
    record.row("wrong", lambda: wrong())
    record.row("slow", lambda: time.sleep(30), 0.2)
    record.row("crash", lambda: os.kill(os.getpid(), signal.SIGSEGV))
    record.row("lost", lambda: lost())
    record.row("after", lambda: {"number": os.getpid()})
    record.row("hangs", lambda: time.sleep(300))

def wrong():
    raise NotMetError("too large", {"number": 7})

def lost():
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
"""


def test_crashes_and_hangs(tmp_path):
    (tmp_path / "step_of_test.py").write_text(textwrap.dedent(STEP))
    variables = {**environment(), "PYTHONPATH": str(tmp_path)}
    begun = time.monotonic()
    found = run_step("step_of_test", Settings("cpu"), 10.0, tmp_path, variables)
    assert time.monotonic() - begun < 20.0
    assert found["status"] == "failed"
    rows = {row["name"]: row for row in found["rows"]}
    statuses = {name: row["status"] for name, row in rows.items()}
    assert statuses.pop("good") == statuses.pop("after") == "passed"
    assert set(statuses.values()) == {"failed"}
    assert rows["wrong"]["number"] == 7
    assert rows["slow"]["sentence"] == "TimeoutError: given up after 0 s"
    assert "SIGSEGV" in rows["crash"]["sentence"]
    assert "illegal memory access" in rows["lost"]["sentence"]
    assert "the time of the step" in rows["hangs"]["sentence"]
    assert any("SIGSEGV" in line for line in step_table(found))


def test_no_row_begins_when_time_is_over(tmp_path):
    record = Record(tmp_path / "rows.json", seconds=-1.0)
    assert record.row("late", dict) is None
    assert record.rows[0]["status"] == "no time"


def test_steps_at_the_same_time_share_the_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(24))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert "OMP_NUM_THREADS" not in runner.environment()
    assert runner.environment(5)["OMP_NUM_THREADS"] == "2"
    assert runner.environment(50)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert runner.environment(5)["OMP_NUM_THREADS"] == "7"


def test_order_of_timings():
    """Float32 in both scopes comes first; the other precisions are timed in scope layer only."""
    kinds = list(dict.fromkeys((x.precision, x.scope) for x in step_times.cases(quick=False)))
    assert kinds == [
        ("float32", "layer"),
        ("float32", "none"),
        ("tf32", "layer"),
        ("float64", "layer"),
    ]
