"""``nbadam kernel``: the text that is compiled for a model."""

import argparse

from ..fitting.kernels.compile import kernel_text
from .models import model_of


def main(options: argparse.Namespace) -> int:
    """Print the generated text of a model."""
    print(kernel_text(model_of(options.model), options.dtype, options.bounded, options.long), end="")
    return 0
