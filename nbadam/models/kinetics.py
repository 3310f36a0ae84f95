"""Chemistry: enzymes, adsorption, rates of reactions."""

from functools import partial

import numpy as np

from .._jitable import register_jitable
from ..fitting.model.projection import Shapes
from . import candidates, grids, guesses
from .shipped import ShippedModel

GAS_CONSTANT = 8.31446261815324  # J / (mol K), exact since 2019
_shared = register_jitable(error_model="numpy", forceinline=True)
_kinetics = partial(ShippedModel, group="Chemistry and kinetics")

SUBSTRATE = "concentration of the substrate, not below 0"
VMAX, KM = "limiting rate [y]", "Michaelis constant, the concentration at half of it [x]"
CONCENTRATIONS = "x must be concentrations >= 0."


@_shared
def michaelis_menten(x, vmax, km):
    return vmax * x / (km + x)


@_shared
def michaelis_menten_jacobian(x, vmax, km):
    share = x / (km + x)
    return share, -vmax * share / (km + x)


MICHAELIS_MENTEN = _kinetics(
    "MICHAELIS_MENTEN",
    "vmax * x / (km + x)",
    summary="Michaelis-Menten kinetics.",
    means={"x": SUBSTRATE, "vmax": VMAX, "km": KM},
    example=(4, 1.5),
    domain=(0, 10),
    function=michaelis_menten,
    jacobian=michaelis_menten_jacobian,
    guess=guesses.Guess(
        guesses.searched(
            lambda x, p: michaelis_menten(x, 1.0, p[0]), candidates.michaelis_candidates, offset=False
        ),
        2,
    ),
    shapes=Shapes(grids.positive, ("vmax",)),
    hint=CONCENTRATIONS,
)

SUBSTRATE_INHIBITION = _kinetics(
    "SUBSTRATE_INHIBITION",
    "vmax * x / (km + x + x**2 / ki)",
    summary="Michaelis-Menten kinetics with inhibition by the substrate (Haldane).",
    means={"x": SUBSTRATE, "vmax": VMAX, "km": KM, "ki": "constant of inhibition [x]"},
    example=(6, 1.5, 5),
    domain=(0, 20),
    shapes=Shapes(grids.positive_and_above, ("vmax",)),
    hint=CONCENTRATIONS,
)

COMPETITIVE_INHIBITION = _kinetics(
    "COMPETITIVE_INHIBITION",
    "vmax * substrate / (km * (1 + inhibitor / ki) + substrate)",
    variables=("substrate", "inhibitor"),
    summary="Michaelis-Menten kinetics with a competitive inhibitor.",
    means={
        "substrate": SUBSTRATE,
        "inhibitor": "concentration of the inhibitor, not below 0",
        "vmax": VMAX,
        "km": "Michaelis constant without inhibitor [substrate]",
        "ki": "constant of inhibition [inhibitor]",
    },
    example=(4, 1.5, 2),
    domain=((0, 10), (0, 6)),
    shapes=Shapes(grids.positive_of_both, ("vmax",)),
    hint="Both variables must be concentrations >= 0.",
)

LANGMUIR = _kinetics(
    "LANGMUIR",
    "qmax * k * x / (1 + k * x)",
    summary="Langmuir isotherm of adsorption.",
    means={
        "x": "pressure or concentration, not below 0",
        "qmax": "capacity of the layer [y]",
        "k": "constant of the equilibrium [1 / x]",
    },
    example=(4, 0.7),
    domain=(0, 10),
    shapes=Shapes(grids.inverses, ("qmax",)),
    hint=CONCENTRATIONS,
)

FREUNDLICH = _kinetics(
    "FREUNDLICH",
    "kf * x**(1 / n)",
    summary="Freundlich isotherm of adsorption.",
    means={
        "x": "pressure or concentration, not below 0",
        "kf": "amount at x = 1 [y]",
        "n": "heterogeneity [no unit]",
    },
    example=(2, 2.5),
    domain=(0, 10),
    shapes=Shapes(grids.orders, ("kf",)),
    hint=CONCENTRATIONS,
)


def _arrhenius_columns(x, rows):
    temperature, middle = rows.T[:, :, None]
    return (np.exp(temperature * (1 / middle - 1 / x)),)


def _arrhenius_parameters(coefficients, rows):
    return coefficients[0] * np.exp(rows[0] / rows[1]), GAS_CONSTANT * rows[0]


ARRHENIUS = _kinetics(
    "ARRHENIUS",
    f"prefactor * exp(-energy / ({GAS_CONSTANT!r} * x))",
    summary="Arrhenius' law of the rate of a reaction.",
    means={
        "x": "temperature [K]",
        "prefactor": "rate at infinite temperature [y]",
        "energy": "energy of activation [J / mol]",
    },
    example=(1e9, 50_000),
    domain=(280, 350),
    shapes=Shapes(
        grids.activation_temperatures,
        ("rate",),
        columns=_arrhenius_columns,
        parameters=_arrhenius_parameters,
    ),
    notes="8.314 J / (mol K) is the gas constant.  Both parameters are strongly correlated.",
    hint="x must be temperatures in K.",
)
