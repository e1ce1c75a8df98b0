"""Write figures into documents that are shown as they are: python docs/fill_figures.py README.md.

Behind each comment ``<!-- figure: EXPRESSION -->`` the value of the expression is written, up to
``<!-- end -->``; see figures.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from figures import filled


def main() -> None:
    """Fill the named files."""
    for name in sys.argv[1:] or sys.exit(__doc__):
        path = Path(name)
        text = path.read_text()
        new = filled(text)
        if new != text:
            path.write_text(new)
        print(f"{path}: {'filled' if new != text else 'as it should be'}")


if __name__ == "__main__":
    main()
