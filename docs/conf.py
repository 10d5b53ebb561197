"""How Sphinx builds these pages."""

import importlib.metadata

project = "daskpickle"
author = "daskpickle developers"
project_copyright = "2026, daskpickle developers"
release = importlib.metadata.version("daskpickle")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# The generated table is included by reducers.md; it is no page of its own.
exclude_patterns = ["_build", "reference", "performance/*"]
myst_heading_anchors = 3
autodoc_typehints = "none"

html_theme = "furo"
html_title = f"daskpickle {release}"
