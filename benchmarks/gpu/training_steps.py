"""Step (g): 20 steps of training in float32 and bfloat16, and a run that is resumed."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import torch
import yaml
from card import begin_peak, peak, wait
from record import NotMetError, NotRehearsedError, Record, Row
from settings import Settings
from systems import moved, potential, water

from pet_driver.training import Training, read_options

OPTIONS = {
    "name": "gpu",
    "data": {"file": "data.xyz", "validation": 1, "test": 1},
    "model": {"scope": "layer", "cutoff": 4.25, "width": 64, "node_width": 128, "heads": 4},
    "fit": {"steps": 1000, "warmup_steps": 5, "optimizer": "muon", "batch_size": 2},
}
PRECISIONS = ("float32", "bfloat16")
_SAME = 1e-4  # of losses on the card and on the CPU, and of a resumed run: sums in other orders
_SAMPLED = {"drawn frames": 1.0, "all frames": 0.0}


def run(settings: Settings, record: Record) -> None:
    """All rows of the step."""
    steps = 2 if settings.quick else 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record.row("labels", lambda: label(settings, folder))
        if not (folder / "data.xyz").exists():
            label(settings, folder)  # the process before this one has made the row
        for precision in PRECISIONS:
            for frames in list(_SAMPLED)[: 1 if settings.quick else None]:
                work = partial(losses, settings, folder, precision, frames, steps)
                record.row(f"{steps} steps, {precision}, {frames}", work)
        record.row("first losses as on the CPU", partial(as_on_cpu, settings, folder))
        for precision in PRECISIONS:
            work = partial(resumed, settings, folder, precision, steps)
            record.row(f"resumed in the middle, {precision}", work)


def label(settings: Settings, folder: Path) -> Row:
    """Structures with energies and forces of the shipped model."""
    count, atoms = (4, water(24)) if settings.quick else (10, water(192))
    model = potential("water", "float32", settings.device)
    frames = []
    for k in range(count):
        frame = moved(atoms, k, 0.05)
        found = model.compute(frame)
        frame.info["energy"], frame.arrays["forces"] = found.energy, found.forces
        frames.append(frame)
    ase.io.write(folder / "data.xyz", frames, format="extxyz", parallel=False)
    return {"structures": count, "atoms": len(atoms)}


def start(settings: Settings, folder: Path, name: str, device: str, **fit: object) -> Training:
    """A new training in a folder of its own."""
    options = folder / f"{name}.yaml"
    small = {"width": 16, "node_width": 16, "heads": 2} if settings.quick else {}
    content = {**OPTIONS, "model": {**OPTIONS["model"], **small}, "fit": {**OPTIONS["fit"], **fit}}
    options.write_text(yaml.safe_dump(content))
    (folder / name).mkdir(exist_ok=True)
    return Training(read_options(options), folder, folder / name, device=device)


def losses(settings: Settings, folder: Path, precision: str, frames: str, steps: int) -> Row:
    """Steps from new weights, timed."""
    fit = {"precision": precision, "sampled_share": _SAMPLED[frames], "frames_drawn": 1}
    training = start(settings, folder, f"{precision}_{frames[:3]}", settings.device, **fit)
    training.take_step()
    begin_peak(settings)
    wait(settings)
    begun = time.perf_counter()
    found = [training.take_step() for _ in range(steps - 1)]
    wait(settings)
    numbers: Row = {
        "ms/step": 1e3 * (time.perf_counter() - begun) / (steps - 1),
        "first loss": found[0],
        "last loss": found[-1],
        **peak(settings),
    }
    if not np.isfinite(found).all():
        raise NotMetError("a loss is not finite", numbers)
    return numbers


def as_on_cpu(settings: Settings, folder: Path) -> Row:
    """Losses of two steps in float32 on both."""
    found = []
    for where, device in (("here", settings.device), ("cpu", "cpu")):
        training = start(settings, folder, f"compared_{where}", device, sampled_share=1.0)
        found.append([training.take_step() for _ in range(2)])
    error = float(np.abs(np.divide(*found) - 1.0).max())
    numbers: Row = {"losses": found[0], "on the CPU": found[1], "difference": error}
    if not error <= _SAME:
        raise NotMetError(f"losses differ by {error:.1e}", numbers)
    return numbers


def resumed(settings: Settings, folder: Path, precision: str, steps: int) -> Row:
    """A training that is saved and begun anew, beside one that is not interrupted."""
    if settings.pretended:
        raise NotRehearsedError("torch does not load tensors of the pretended GPU from a file")
    fit = {"precision": precision, "sampled_share": 1.0}
    whole = start(settings, folder, f"whole_{precision}", settings.device, **fit)
    expected = [whole.take_step() for _ in range(steps)]
    first = start(settings, folder, f"halves_{precision}", settings.device, **fit)
    found = [first.take_step() for _ in range(steps // 2)]
    first.save_state()
    second = start(settings, folder, f"halves_{precision}", settings.device, **fit)
    second.resume()
    if second.state.counters.step != steps // 2:
        raise NotMetError(f"resumed at step {second.state.counters.step}", {})
    found += [second.take_step() for _ in range(steps - steps // 2)]
    with torch.no_grad():
        pairs = zip(
            whole.state.network.parameters(), second.state.network.parameters(), strict=True
        )
        weights = max(float((x - y).norm() / (x.norm() + 1e-12)) for x, y in pairs)
    error = float(np.abs(np.divide(found, expected) - 1.0).max())
    # Adding in another order, as atomics do, grows from step to step: it is recorded only.
    apart = {"losses, difference": error, "weights, difference": weights}
    now = abs(found[steps // 2] / expected[steps // 2] - 1.0)
    if not now <= (1e-2 if precision == "bfloat16" else 1e2 * _SAME):
        raise NotMetError("the first loss after resuming is another one", apart)
    return {**apart, "bit for bit": found == expected and weights == 0.0}
