"""`pet-driver doctor`: what of an installation works, and how fast the machine is."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import check_folder_of

if TYPE_CHECKING:
    from ..diagnosis import Finding


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
    parser = verbs.add_parser(
        "doctor", help="look at versions, MPI, engines and devices, and time two boxes of water"
    )
    parser.add_argument(
        "--device", help="to time: cpu, cuda or cuda:N (default: a GPU if torch sees one)"
    )
    parser.add_argument("--no-timing", action="store_true", help="leave the timing out")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the findings to a file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print all findings and then the problems; 1 if something is installed that does not work.

    :raises PetDriverError: if there is no such device, or the file cannot be written
    """
    import torch

    from ..diagnosis import describe_machine, describe_software, describe_speed
    from ..runtime.devices import choose_device

    if arguments.json:
        check_folder_of(arguments.json)
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    choose_device(device)
    found = {"software": describe_software(), "machine": describe_machine()}
    _print("software", found["software"])
    _print("machine", found["machine"])
    if not arguments.no_timing:
        found["speed"] = describe_speed(device)
        _print("speed", found["speed"])
    problems = [finding for part in found.values() for finding in part if finding.problem]
    for finding in problems:
        print(f"{'slow' if finding.only_slow else 'problem'}: {finding.problem}")
    if not problems:
        print("no problems found")
    if arguments.json:
        _write(arguments.json, found)
    return int(any(not finding.only_slow for finding in problems))


def _print(title: str, findings: list[Finding]) -> None:
    print(title)
    for finding in findings:
        print(f"  {finding.name:24s}{finding.value}", flush=True)


def _write(path: Path, found: dict[str, list[Finding]]) -> None:
    content = {title: [asdict(finding) for finding in part] for title, part in found.items()}
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise PetDriverError(f"{path} cannot be written ({error}); give another --json") from error
