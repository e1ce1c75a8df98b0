"""Record how fast `water` runs here, for `pet-driver doctor` to compare other machines with.

python benchmarks/recorded_speeds.py

Measures with one thread and with all cores, adds the times of the card from results/gpu.json, and
writes pet_driver/diagnosis/recorded_speeds.json; the same goes to results/recorded_speeds.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

import torch
from results_file import RESULTS, usable_cores, write_results

from pet_driver.diagnosis.speed import RECORDED, measure_speed

GPU_ATOMS = (192, 5184)


def main() -> None:
    """Measure and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    rows = []
    for threads in sorted({1, usable_cores()}):
        torch.set_num_threads(threads)
        rows.append(asdict(measure_speed("cpu")))
        print(rows[-1])
    rows += card_rows()
    path = write_results("recorded_speeds", {"rows": rows})
    RECORDED.write_text(path.read_text())
    print(f"wrote {path} and {RECORDED}")


def card_rows() -> list[dict[str, object]]:
    """Times of the last `make gpu`, where they are known."""
    path = RESULTS / "gpu.json"
    if not path.exists():
        return []
    steps = json.loads(path.read_text())["steps"]
    by_name = {row["name"]: row for row in steps["timing"]["rows"]}
    card = next(row["card"] for row in steps["environment"]["rows"] if row["name"] == "card")
    times = {n: by_name[f"water, layer, float32, {n}"]["ms"] for n in GPU_ATOMS}
    known = {"date": steps["timing"]["date"], "gigaflops": None, "milliseconds": times}
    return [{"device": card, "threads": 1, **known}]


if __name__ == "__main__":
    main()
