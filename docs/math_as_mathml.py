"""Formulas as MathML, which browsers draw themselves: pages need nothing from another site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math import latex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def mathml(text: str, as_block: bool) -> str:
    """A formula of LaTeX as MathML."""
    return latex2mathml.tex2mathml(text, as_block=as_block)


def _inline(writer: Any, node: nodes.math) -> None:  # noqa: ANN401 (Sphinx' translator)
    writer.body.append(f'<span class="math">{mathml(node.astext(), as_block=False)}</span>')
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:  # noqa: ANN401 (Sphinx' translator)
    writer.body.append(f'<div class="math">{mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the renderer under the name mathml."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
