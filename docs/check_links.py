"""Check links within the built site: python docs/check_links.py docs/_build/html.

Links to other sites are not followed. Exit code 1 if a page, an anchor or a picture is missing.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Anchors of a page and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchor and the target of a tag."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src") and value and tag != "base":
                self.targets.add(value)


def main(folder: Path) -> int:
    """Print broken links; 1 if there are any."""
    pages = {path.resolve(): Page(path.read_text()) for path in folder.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target.startswith("data:"):
                continue
            end = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            exists = end.exists()
            anchor = unquote(parts.fragment)
            if not exists or (anchor and end in pages and anchor not in pages[end].anchors):
                broken.append(f"{path.relative_to(folder.resolve())}: {target} leads nowhere")
    print("\n".join(broken) or f"all links within {len(pages)} pages lead somewhere")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
