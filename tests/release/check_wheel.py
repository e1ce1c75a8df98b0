"""Check what a wheel and an sdist contain.

python tests/release/check_wheel.py DIST
"""

import argparse
import sys
import tarfile
import zipfile
from pathlib import Path

LARGEST = 12e6  # bytes of a wheel: shipped models are a few MB
NEEDED = (
    "pet_driver/__init__.py",
    "pet_driver/py.typed",
    "pet_driver/models/water.safetensors",
    "pet_driver/models/water.yaml",
    "pet_driver/diagnosis/recorded_speeds.json",
)
SDIST_NEEDED = ("pyproject.toml", "LICENSE", "README.md", "pet_driver/__init__.py")
UNWANTED = ("tests/", "benchmarks/", "docs/", "__pycache__", ".pyc", ".git/", ".venv")


def main() -> None:
    """Check all files of the folder; ends with a sentence if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path)
    folder = parser.parse_args().dist
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        sys.exit(f"{folder} has {len(wheels)} wheels and {len(sdists)} sdists; build one of each")
    check_wheel(wheels[0])
    check_sdist(sdists[0])
    print(f"{wheels[0].name}, {sdists[0].name}: contents are right")


def check_wheel(path: Path) -> None:
    """Only the package and its description, all that it needs, and both commands."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        commands = archive.read(entry).decode()
        licensed = any("LICENSE" in name for name in names)
    require_all(path, names, NEEDED)
    foreign = [n for n in names if not n.startswith("pet_driver") or any(u in n for u in UNWANTED)]
    if foreign:
        sys.exit(f"{path.name} contains {foreign[0]}, which does not belong into a wheel")
    for command in ("pet-driver", "pet-lmp"):
        if f"{command} = " not in commands:
            sys.exit(f"{path.name} has no command {command}")
    if not licensed:
        sys.exit(f"{path.name} has no licence")
    if path.stat().st_size > LARGEST:
        sys.exit(f"{path.name} has {path.stat().st_size / 1e6:.1f} MB, more than {LARGEST / 1e6}")


def check_sdist(path: Path) -> None:
    """All that a build needs."""
    with tarfile.open(path) as archive:
        names = [name.split("/", 1)[-1] for name in archive.getnames()]
    require_all(path, names, (*NEEDED, *SDIST_NEEDED))
    hidden = [name for name in names if "__pycache__" in name or name.startswith(".venv")]
    if hidden:
        sys.exit(f"{path.name} contains {hidden[0]}, which does not belong into an sdist")


def require_all(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    """End with a sentence if a file is missing."""
    for name in needed:
        if name not in names:
            sys.exit(f"{path.name} lacks {name}; see [tool.hatch.build] in pyproject.toml")


if __name__ == "__main__":
    main()
