"""Sphinx settings."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from nbadam.algorithms import ALGORITHMS

project = "nbadam"
author = "nbadam developers"
copyright = f"2026, {author}"
version = release = installed_version("nbadam")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
nitpicky = True  # a link to nowhere is an error
default_role = "code"  # docstrings name arguments in single backquotes

# Inventories in Sphinx's plain first format, of the few names that are linked to: builds need no network.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3/", "inventories/python.txt"),
    "numpy": ("https://numpy.org/doc/stable/", "inventories/numpy.txt"),
    "scipy": ("https://docs.scipy.org/doc/scipy/", "inventories/scipy.txt"),
    "numba": ("https://numba.readthedocs.io/en/stable/", "inventories/numba.txt"),
    "matplotlib": ("https://matplotlib.org/stable/", "inventories/matplotlib.txt"),
    "xarray": ("https://docs.xarray.dev/en/stable/", "inventories/xarray.txt"),
}

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give the types
numpydoc_show_class_members = False
# A method and a class differ by capitals only, which some file systems do not tell apart.
autosummary_filename_map = {
    f"nbadam.{algorithm.optimizer}": f"nbadam.optimizers.{algorithm.optimizer}" for algorithm in ALGORITHMS
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "abort_on_example_error": False,  # each is a warning, which ends the build
    "capture_repr": ("_repr_html_",),  # not what Matplotlib's methods return
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1,
    "reset_modules": ("matplotlib", "pictures.gallery.show_warnings_without_folder"),
    "parallel": True,  # as many at once as `sphinx-build -j` says
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"nbadam {release}"
html_static_path = ["_static"]
html_css_files = ["nbadam.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navbar_align": "left",
}
ALONE = "index", "which_method", "coming_from", "how_fast", "faq", "contributing", "changelog"
html_sidebars = {page: [] for page in ALONE}  # pages without sections beside them


def setup(app):
    """Write the pages of `nbadam.models` before others are read."""
    sys.path.insert(0, str(app.srcdir))
    from pictures.models import write

    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "shipped"))
    app.connect("autodoc-process-signature", _public)


def _public(app, kind, name, target, options, arguments, result):
    """Leave out arguments that begin with an underscore."""
    return re.sub(r", _\w+(=[^,)]*)?", "", arguments or "") or None, result
