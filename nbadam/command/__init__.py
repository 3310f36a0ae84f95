"""The command line: fits of tables in files, and what else needs no program."""

import argparse
from collections.abc import Sequence

from .. import __version__
from . import fit

EPILOG = "Without a command it is `nbadam demo`.  `nbadam fit --help` explains fits."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process, and return its exit code.

    0: as it should be; 1: some fits failed, or the demo misses its references; 2: bad input.
    """
    parser = argparse.ArgumentParser(
        "nbadam", description="Fit curves, one or a million.", epilog=EPILOG, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"nbadam {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    fit.add_parser(commands)
    commands.add_parser("demo", help="do two jobs on real data, checked against reference results")
    commands.add_parser("models", help="list the models that ship")
    kernel = commands.add_parser("kernel", help="print the text that is compiled for a model")
    kernel.add_argument("model", help="a shipped model, such as GAUSSIAN, or a formula in x")
    kernel.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    kernel.add_argument("--bounded", action="store_true", help="with bounds or fixed parameters")
    kernel.add_argument("--long", action="store_true", help="for long data sets")
    options = parser.parse_args(arguments)
    if options.command == "fit":
        return fit.main(options)
    if options.command == "models":
        return list_models()
    if options.command == "kernel":
        return print_kernel(options)
    from ..demo import main as demo

    return demo()


def list_models() -> int:
    """Print parameters, theme and formula of each model that ships."""
    from .. import models

    shipped = [getattr(models, name) for name in models.__all__]
    for group in dict.fromkeys(model.group for model in shipped):
        print(f"{group}\n")
        for model in shipped:
            if model.group == group:
                print(f"  {model.constant}({', '.join(model.parameters)})")
                print(f"      {model.summary}\n      {model.expression}")
        print()
    print("Sums are models, too: GAUSSIAN + LINE, or a_GAUSSIAN + b_GAUSSIAN + LINE with prefixes.")
    return 0


def print_kernel(options) -> int:
    """Print the generated text of a model."""
    from ..fitting.kernels.compile import kernel_text

    print(kernel_text(fit.model_of(options.model), options.dtype, options.bounded, options.long), end="")
    return 0
