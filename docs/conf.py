"""Configuration of Sphinx: pages are Markdown (MyST), figures in them come from files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

import figures
import generators

from pet_driver import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pet-driver"
author = "the authors of pet-driver"
copyright = "the authors of pet-driver, BSD-3-Clause"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "math_as_mathml",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "examples", "generated/parts", "pictures"]
myst_enable_extensions = ["deflist", "dollarmath", "colon_fence", "attrs_block"]
myst_heading_anchors = 3
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
copybutton_exclude = ".linenos, .gp, .go"
nitpicky = False
smartquotes = False  # options begin with two hyphens
highlight_language = "none"  # of blocks that state none

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"pet-driver {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7fc1ec", "color-brand-content": "#7fc1ec"},
}


def render(_app: Sphinx, name: str, source: list[str]) -> None:
    """Replace expressions such as ``{{ result("silicon", "model") }}`` by what the files hold."""
    if not name.startswith("generated/"):
        source[0] = figures.rendered(source[0])


def setup(app: Sphinx) -> None:
    """Make the generated pages first."""
    app.connect("builder-inited", lambda _app: generators.make_all())
    app.connect("source-read", render)
