"""Sphinx settings."""

from importlib.metadata import version as installed_version

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from nbadam.algorithms import ALGORITHMS

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


class Algorithms(SphinxDirective):
    """Its content for each algorithm that ships, in which ``{optimizer}`` and so on are its attributes."""

    has_content = True

    def run(self):
        lines = []
        for algorithm in ALGORITHMS:
            facts = vars(algorithm) | {"method": algorithm.method}
            lines += [line.format(**facts) for line in self.content] + [""]
        parsed = nodes.Element()
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.content_offset, parsed)
        return parsed.children


def setup(app):
    """Add the directive."""
    app.add_directive("algorithms", Algorithms)
