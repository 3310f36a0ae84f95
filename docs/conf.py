"""Sphinx settings."""

from importlib.metadata import version as installed_version

project = "nbadam"
author = "nbadam developers"
copyright = f"2026, {author}"
version = release = installed_version("nbadam")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give the types
numpydoc_show_class_members = False
default_role = "code"  # docstrings name arguments in single backquotes

html_theme = "pydata_sphinx_theme"
html_title = f"nbadam {release}"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}
html_sidebars = {"**": []}
