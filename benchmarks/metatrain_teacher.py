"""Train a plain PET with metatrain, as a model to be made exactly symmetric.

python benchmarks/metatrain_teacher.py SHAPE DATA.xyz --mtt /path/to/other/env/bin/mtt
    [--minutes 60 | --epochs N] [--threads 2] [--output FOLDER]

SHAPE is one of default, xs (of uPET XS: adaptive cutoff, residual readout) and deep (three layers).
One epoch is timed, then as many are trained as fit into the time. Writes
FOLDER/SHAPE/run/model.ckpt for benchmarks/symmetrize.py, and beside it the parts of the data, of
which test.xyz was never seen; adds errors and epochs to results/metatrain_teachers.json. metatrain
needs a separate environment: install torch first, then metatrain.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from metatrain_run import MetatrainRun, write_split
from results_file import RESULTS, write_results

from pet_driver.training.options import DataOptions

SHAPES: dict[str, dict[str, object]] = {
    "default": {"cutoff": 4.5},
    "xs": {
        "d_pet": 128,
        "d_node": 512,
        "d_head": 128,
        "d_feedforward": 256,
        "num_heads": 8,
        "num_gnn_layers": 2,
        "num_attention_layers": 1,
        "cutoff": 7.5,
        "num_neighbors_adaptive": 16,
        "featurizer_type": "residual",
    },
    "deep": {
        "d_pet": 64,
        "d_node": 128,
        "d_head": 64,
        "d_feedforward": 128,
        "num_heads": 4,
        "num_gnn_layers": 3,
        "num_attention_layers": 1,
        "cutoff": 4.5,
    },
}


def main() -> None:
    """Train one shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", choices=tuple(SHAPES))
    parser.add_argument("data", type=Path, help="extxyz with energy and forces")
    parser.add_argument("--mtt", type=Path, required=True, help="metatrain's program")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--epochs", type=int, help="instead of as many as fit into the time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--validation", type=int, default=30)
    parser.add_argument("--test", type=int, default=80)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--output", type=Path, default=Path("metatrain_teachers"))
    chosen = parser.parse_args()
    folder = chosen.output / chosen.shape
    folder.mkdir(parents=True, exist_ok=True)
    data = DataOptions("", validation=chosen.validation, test=chosen.test, seed=7)
    split = write_split(chosen.data, data, folder)
    training = {"batch_size": chosen.batch, "learning_rate": chosen.rate}
    network = dict(SHAPES[chosen.shape])
    run = MetatrainRun(chosen.mtt, folder, folder, network, training)
    rows = run.train_for(chosen.minutes, chosen.threads, chosen.epochs)
    path = RESULTS / "metatrain_teachers.json"
    known = json.loads(path.read_text())["teachers"] if path.exists() else {}
    last = {
        "frames": split,
        "epochs": rows[-1]["epoch"],
        "minutes": rows[-1]["seconds"] / 60.0,
        "threads": chosen.threads,
        "network": network,
        "validation, meV/atom and meV/angstrom": {k: rows[-1].get(k) for k in ("energy", "force")},
    }
    print(f"model: {folder / 'run' / 'model.ckpt'}")
    print(
        f"wrote {write_results('metatrain_teachers', {'teachers': {**known, chosen.shape: last}})}"
    )


if __name__ == "__main__":
    main()
