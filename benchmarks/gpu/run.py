"""All checks and timings on a GPU, in 20 minutes, by one command.

python benchmarks/gpu/run.py [--device cuda|cuda:N|cpu] [--only STEP ...] [--minutes 20]
    [--together] [--output FILE] [--quick] [--pretended]

Each step is a process of its own with a limit of time, so that neither a crash of CUDA nor a
process that hangs ends the others. After every step the results so far are written to FILE (JSON)
and, as a table, beside it with the ending .md. Steps that are not run again keep what an earlier
run on the same hardware has written there. With --together the checks are run at the same time,
which takes fewer minutes on a machine with many cores; timings of these steps are then unreliable.
--quick takes small systems and few steps; --pretended takes the GPU of tests/rehearsal, which is
none. Exit code 0: no row has failed and no step was left out for want of time.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from plan import STEPS, turns, weight
from process import run_step
from settings import Settings
from table import overview, step_table

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from results_file import describe_hardware, usable_cores  # noqa: E402

RESULTS = HERE.parent / "results"
PASSED, NOT_REHEARSED = "passed", "not rehearsed"
_LEAST_SECONDS = 5.0

Content = dict[str, Any]


def main() -> int:
    """Run the chosen steps."""
    options = parse()
    output: Path = options.output or default_output(options)
    output.parent.mkdir(parents=True, exist_ok=True)
    content = opened(output, options)
    write(output, content)  # where it cannot be written, one should know now
    end = time.monotonic() + 60.0 * options.minutes
    chosen = [name for name in STEPS if name in options.only]
    settings = Settings(options.device, options.quick, options.pretended)
    left = turns(chosen, options.together)
    while left:
        seconds = (end - time.monotonic()) * weight(left[0]) / sum(map(weight, left))
        names = left.pop(0)
        print(f"\n{', '.join(names)}: at most {seconds:.0f} s", flush=True)
        for name, entry in performed_at_once(names, settings, seconds):
            content["steps"][name] = entry
            content["steps"] = {x: content["steps"][x] for x in STEPS if x in content["steps"]}
            write(output, content)
            heading = f"\n## {STEPS[name].title} ({name})\n"
            print("\n".join([heading, *step_table(entry)]), flush=True)
    print("\n".join(["", *overview(content["steps"]), "", f"written: {output}"]), flush=True)
    good = (PASSED, NOT_REHEARSED)
    return int(any(content["steps"][name]["status"] not in good for name in chosen))


def parse() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:N or cpu")
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="STEP", default=list(STEPS))
    parser.add_argument(
        "--minutes", type=float, help="of all steps (default: 20; 60 with --quick, without a card)"
    )
    parser.add_argument("--together", action="store_true", help="run the checks at the same time")
    parser.add_argument("--output", type=Path, help="JSON file (default: in benchmarks/results)")
    parser.add_argument("--quick", action="store_true", help="small systems and few steps")
    parser.add_argument("--pretended", action="store_true", help="on the GPU of tests/rehearsal")
    options = parser.parse_args()
    if options.minutes is None:
        options.minutes = 60.0 if options.quick else 20.0
    if options.pretended and not options.device.startswith("cuda"):
        parser.error(f"--pretended is for cuda, and the device is {options.device}; leave one out")
    return options


def default_output(options: argparse.Namespace) -> Path:
    """Results of a trial do not replace those of a card."""
    trial = options.quick or options.pretended or options.device == "cpu"
    return RESULTS / ("gpu_trial.json" if trial else "gpu.json")


def opened(output: Path, options: argparse.Namespace) -> Content:
    """What the file holds already, if it is of the same kind; else it is put aside."""
    kind = {"device": options.device, "quick": options.quick, "pretended": options.pretended}
    kind["hardware"] = hardware()
    if output.exists():
        try:
            content: Content = json.loads(output.read_text())
            if all(content[key] == value for key, value in kind.items()):
                return content
        except (ValueError, KeyError, TypeError):
            pass
        kept = output.with_suffix(".before.json")
        output.replace(kept)
        print(f"{output} is of other hardware or options; it is {kept.name} now", file=sys.stderr)
    return {**kind, "steps": {}}


def hardware() -> dict[str, Any]:
    """The machine without its card, which the step `environment` describes."""
    try:
        return {"host": platform.node(), **describe_hardware()}
    except importlib.metadata.PackageNotFoundError:
        return {"host": platform.node(), "torch": "not installed"}


def performed_at_once(
    names: list[str], settings: Settings, seconds: float
) -> Iterator[tuple[str, Content]]:
    """Names and results of steps that are run at the same time, as they end."""
    with ThreadPoolExecutor(len(names)) as pool:
        variables = environment(len(names))
        begun = {pool.submit(performed, name, settings, seconds, variables): name for name in names}
        for future in as_completed(begun):
            yield begun[future], {**future.result(), "at the same time": len(names)}


def performed(name: str, settings: Settings, seconds: float, variables: dict[str, str]) -> Content:
    """Result of one step, which may have failed.

    :param seconds: after which it is ended
    :param variables: of its environment
    """
    entry: Content = {"date": datetime.date.today().isoformat(), "title": STEPS[name].title}
    if seconds < _LEAST_SECONDS:
        sentence = "no time was left; give more --minutes, or --only this step"
        return {**entry, "status": "no time", "sentence": sentence, "seconds": 0.0, "rows": []}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pet_gpu_") as scratch:
        try:
            found = run_step(STEPS[name].module, settings, seconds, Path(scratch), variables)
        except OSError as error:
            sentence = f"the process could not be started: {error}"
            found = {"status": "failed", "sentence": sentence, "rows": []}
    return {**entry, **found, "seconds": round(time.monotonic() - started, 1)}


def environment(processes: int = 1) -> dict[str, str]:
    """Variables of the steps and of the programs that they start.

    This checkout comes first, with the cases and the pretended GPU of its tests.

    :param processes: number of steps that run at the same time; each of several may use its share
        of the cores, in two processes (two ranks, a server and a driver), unless the user has set
        OMP_NUM_THREADS
    """
    root = HERE.parent.parent
    paths = [str(root), str(root / "tests"), str(root / "tests" / "rehearsal")]
    given = os.environ.get("PYTHONPATH")
    paths += [given] if given else []
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    if processes > 1:
        found.setdefault("OMP_NUM_THREADS", str(max(usable_cores() // (2 * processes), 1)))
    return found


def write(output: Path, content: Content) -> None:
    """Write JSON and table, whole or not at all."""
    lines = [f"# GPU benchmark, device {content['device']}"]
    lines += [f"({word})" for word in ("quick", "pretended") if content[word]]
    lines += ["", *overview(content["steps"])]
    for name, entry in content["steps"].items():
        lines += ["", f"## {entry['title']} ({name})", "", *step_table(entry)]
    texts = {output: json.dumps(content, indent=1), output.with_suffix(".md"): "\n".join(lines)}
    for path, text in texts.items():
        partial = path.with_name(path.name + ".part")
        partial.write_text(text + "\n")
        partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
