"""Check that a tag, the version of the package, CHANGELOG.md and CITATION.cff agree.

python tests/release/check_tag.py v0.2.0
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = {
    "pet_driver/__init__.py": r'^__version__ = "([^"]+)"',
    "CITATION.cff": r"^version: (\S+)",
    "CHANGELOG.md": r"^## \[?(\d[^\]\s]*)",
}


def main() -> None:
    """End with a sentence if they differ."""
    tag = sys.argv[1].removeprefix("v")
    for place, version in versions().items():
        if version != tag:
            sys.exit(f"the tag is {tag} and {place} has version {version}; make them equal")
    print(f"version {tag} everywhere")


def versions() -> dict[str, str]:
    """Version that each place states; the newest one of the change log."""
    found = {}
    for place, pattern in PLACES.items():
        match = re.search(pattern, (ROOT / place).read_text(), re.MULTILINE)
        found[place] = match[1] if match else "none"
    return found


if __name__ == "__main__":
    main()
