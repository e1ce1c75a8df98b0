"""Pages of the examples: lammps_examples, ipi_inputs, and the Python examples of docs/examples.

Each is the README.md of the example with its picture before it and its input behind it.
"""

from __future__ import annotations

import re
from pathlib import Path

from figures import MARKED

from .writing import ROOT, Writer, with_code

_FOLDERS = {
    "lammps": (ROOT / "lammps_examples", ("in.lmp", "cpu.sbatch", "gpu.sbatch")),
    "ipi": (ROOT / "ipi_inputs", ("input.xml",)),
    "python": (ROOT / "docs" / "examples", ("run.py",)),
}
_LANGUAGES = {".lmp": "text", ".sbatch": "text", ".xml": "xml", ".py": "py"}
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def make(writer: Writer) -> None:
    """Write a page for each example, and the parts that list them."""
    for kind, (folder, inputs) in _FOLDERS.items():
        cases = [path.parent for path in sorted(folder.glob("*/README.md"))]
        for case in cases:
            writer.text(f"examples/{kind}_{case.name}.md", _page(kind, case, inputs, writer))
        writer.text(f"parts/examples_{kind}.md", _list(kind, cases))


def picture_of(case: Path) -> Path | None:
    """Picture of an example, if there is one."""
    return next(iter(sorted(case.glob("*.png"))), None)


def title_of(case: Path) -> str:
    """Heading of its README.md."""
    return (case / "README.md").read_text().splitlines()[0].lstrip("# ")


def _page(kind: str, case: Path, inputs: tuple[str, ...], writer: Writer) -> list[str]:
    heading, _, text = (case / "README.md").read_text().partition("\n")
    text = MARKED.sub(lambda match: match["value"], text)
    text, _, caption = text.partition("\n## Picture\n")
    lines = [heading, "", f"Folder: `{case.relative_to(ROOT)}`", ""]
    picture = picture_of(case)
    if picture is not None:
        writer.data(f"examples/{kind}_{case.name}.png", picture.read_bytes())
        lines += [f"![Result of this example]({kind}_{case.name}.png)", ""]
        lines += [_without_pictures(caption).strip(), ""]
    lines += [_LINK.sub(lambda match: _moved(kind, case, match), _without_pictures(text))]
    for name in inputs:
        if (case / name).is_file():
            content = (case / name).read_text().rstrip("\n")
            lines += ["", f"## {name}", "", f"```{_LANGUAGES[Path(name).suffix]}", content, "```"]
    return lines


def _without_pictures(text: str) -> str:
    return re.sub(r"^!\[[^\]]*\]\([^)]*\)\s*$", "", text, flags=re.MULTILINE)


def _moved(kind: str, case: Path, match: re.Match[str]) -> str:
    """Link to a file beside the example, as it is on the site."""
    target = (case / match["target"]).resolve()
    for other, (folder, _) in _FOLDERS.items():
        if target.name == "README.md" and target.parent.parent == folder:
            return f"[{match['text']}]({other}_{target.parent.name}.md{match['anchor'] or ''})"
    if target.parent == case and target.name in _FOLDERS[kind][1]:
        return f"[{match['text']}](#{target.name.replace('.', '')})"
    return match["text"]


def _list(kind: str, cases: list[Path]) -> list[str]:
    """Pictures of all with their titles, and the table of contents."""
    if not cases:
        return ["There are none yet."]
    lines = ["::::{container} gallery"]
    for case in cases:
        name = f"{kind}_{case.name}"
        page = f"../generated/examples/{name}.md"
        lines += [":::{container} example", f"[{with_code(title_of(case))}]({page})", ""]
        if picture_of(case):
            lines += [f"[![{title_of(case)}](../generated/examples/{name}.png)]({page})", ""]
        lines += [":::", ""]
    lines += ["::::", "", "```{toctree}", ":hidden:", ""]
    return [*lines, *(f"../generated/examples/{kind}_{case.name}" for case in cases), "```"]
