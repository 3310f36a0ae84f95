"""Settings of the processes that execute the examples of the gallery."""

import warnings


def show_warnings_without_folder(gallery_conf, name):
    """Leave out of a warning the folder in which the pages are built."""
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}\n"
