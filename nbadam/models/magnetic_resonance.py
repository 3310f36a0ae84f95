"""Magnetic resonance: relaxation, diffusion, perfusion."""

from functools import partial

import numpy as np

from ..fitting.model.projection import Shapes
from . import grids
from .shipped import ShippedModel

_mr = partial(ShippedModel, group="Magnetic resonance")

S0, T1 = "signal in equilibrium [y]", "longitudinal relaxation time [x]"


def _ivim_columns(x, rows):
    slow, fast = rows.T[:, :, None]
    return np.exp(-fast * x), np.exp(-slow * x)


def _ivim_parameters(coefficients, rows):
    (perfused, tissue), (slow, fast) = coefficients, rows
    total = perfused + tissue
    return total, perfused / np.where(total == 0, 1, total), fast, slow


IVIM = _mr(
    "IVIM",
    "s0 * (f * exp(-x * d_star) + (1 - f) * exp(-x * d))",
    summary="Intravoxel incoherent motion: diffusion, and perfusion as a faster one.",
    means={
        "x": "b-value",
        "s0": "signal at b = 0 [y]",
        "f": "share of the perfused volume [0 to 1]",
        "d_star": "pseudo-diffusion coefficient, the faster one [1 / x]",
        "d": "diffusion coefficient of the tissue [1 / x]",
    },
    example=(100, 0.2, 0.02, 0.001),
    domain=(0, 1000),
    shapes=Shapes(
        grids.two_rates, ("perfused", "tissue"), columns=_ivim_columns, parameters=_ivim_parameters
    ),
    notes="b-values in s/mm**2 give diffusion in mm**2/s.  D. Le Bihan et al., Radiology 168, 1988.",
    hint="x must be b-values >= 0.",
)


def _recovery_columns(x, rows):
    return np.ones_like(x), np.exp(-x / rows)


def _recovery_parameters(coefficients, rows):
    (s0, change), (t1,) = coefficients, rows
    return s0, -change / (2 * np.where(s0 == 0, 1, s0)), t1


T1_INVERSION_RECOVERY = _mr(
    "T1_INVERSION_RECOVERY",
    "s0 * (1 - 2 * efficiency * exp(-x / t1))",
    summary="Inversion recovery with the sign of the signal.",
    means={
        "x": "inversion time",
        "s0": S0,
        "efficiency": "efficiency of the inversion [0 to 1]",
        "t1": T1,
    },
    example=(100, 0.95, 900),
    domain=(20, 4000),
    shapes=Shapes(grids.times, ("s0", "change"), columns=_recovery_columns, parameters=_recovery_parameters),
)

T1_INVERSION_RECOVERY_MAGNITUDE = _mr(
    "T1_INVERSION_RECOVERY_MAGNITUDE",
    "abs(s0 * (1 - 2 * efficiency * exp(-x / t1)))",
    summary="Inversion recovery of magnitude images.",
    means=T1_INVERSION_RECOVERY.means,
    example=(100, 0.95, 900),
    domain=(20, 4000),
    shapes=Shapes(
        grids.efficiencies,
        ("s0",),
        columns=lambda x, rows: (np.abs(1 - 2 * rows[:, 1:] * np.exp(-x / rows[:, :1])),),
        parameters=lambda coefficients, rows: (*coefficients, rows[1], rows[0]),
    ),
)

T1_SATURATION_RECOVERY = _mr(
    "T1_SATURATION_RECOVERY",
    "s0 * (1 - exp(-x / t1))",
    summary="Saturation recovery.",
    means={"x": "saturation time", "s0": S0, "t1": T1},
    example=(100, 900),
    domain=(0, 4000),
    shapes=Shapes(grids.times, ("s0",)),
)

T1_VFA = _mr(
    "T1_VFA",
    "s0 * sin(flip_angle) * (1 - exp(-tr / t1)) / (1 - cos(flip_angle) * exp(-tr / t1))",
    variables=("flip_angle", "tr"),
    summary="Spoiled gradient echoes at variable flip angles (VFA, SPGR, FLASH).",
    means={
        "flip_angle": "flip angle [rad]",
        "tr": "repetition time, a constant or one for each angle",
        "s0": "signal in equilibrium, with the decay by T2* [y]",
        "t1": "longitudinal relaxation time [tr]",
    },
    example=(1000, 1000),
    domain=((0.03, 0.5), (10, 10)),
    shapes=Shapes(grids.relaxation_times, ("s0",)),
    notes="The repetition time is the second variable: xdata=(angles, np.full(angles.size, tr)).",
    hint="Flip angles are in radians.",
)

T2_DECAY = _mr(
    "T2_DECAY",
    "s0 * exp(-x / t2)",
    summary="Decay of spin echoes; of gradient echoes with T2*.",
    means={"x": "echo time", "s0": "signal at echo time 0 [y]", "t2": "transverse relaxation time [x]"},
    example=(100, 60),
    domain=(0, 200),
    shapes=Shapes(grids.times, ("s0",)),
    notes="`T2_DECAY + CONSTANT` has a floor of noise.",
)

# Plasma after 0.1 mmol/kg of Gd-DTPA, mmol/l and 1/min: Tofts and Kermode 1991, from Weinmann 1984.
PLASMA = ((0.399, 0.144), (0.478, 0.0111))


def _tissue(x, kep):
    return sum(a * (np.exp(-m * x) - np.exp(-kep * x)) / (kep - m) for a, m in PLASMA)


def _plasma(x):
    return sum(a * np.exp(-m * x) for a, m in PLASMA)


UPTAKE = """ktrans * (0.399 * (exp(-0.144 * x) - exp(-ktrans / ve * x)) / (ktrans / ve - 0.144)
    + 0.478 * (exp(-0.0111 * x) - exp(-ktrans / ve * x)) / (ktrans / ve - 0.0111))"""
PERFUSED = {
    "x": "time after the bolus [min]",
    "ktrans": "transfer constant [1 / min]",
    "ve": "share of the extravascular extracellular volume [0 to 1]",
}
INPUT = """The plasma is the population's of P. S. Tofts and A. G. Kermode, Magn. Reson. Med. 17, 1991, for a
dose of 0.1 mmol/kg: cp = 0.399 exp(-0.144 x) + 0.478 exp(-0.0111 x) mmol/l.  For another dose divide the data
by its ratio to this one.  A measured input needs a function of your own: see "Models that look beyond their
point"."""

TOFTS = _mr(
    "TOFTS",
    UPTAKE,
    summary="Tofts' model of a contrast agent in tissue, with a population's plasma.",
    means=PERFUSED,
    example=(0.2, 0.3),
    domain=(0, 10),
    shapes=Shapes(
        grids.exchange_rates,
        ("ktrans",),
        columns=lambda x, rows: (_tissue(x, rows),),
        parameters=lambda coefficients, rows: (*coefficients, coefficients[0] / rows[0]),
    ),
    notes=INPUT,
    hint="x must be minutes >= 0.",
)

EXTENDED_TOFTS = _mr(
    "EXTENDED_TOFTS",
    f"{UPTAKE} + vp * (0.399 * exp(-0.144 * x) + 0.478 * exp(-0.0111 * x))",
    summary="Extended Tofts model, with the agent in the plasma of the tissue.",
    means=PERFUSED | {"vp": "share of the plasma volume [0 to 1]"},
    example=(0.2, 0.3, 0.05),
    domain=(0, 10),
    shapes=Shapes(
        grids.exchange_rates,
        ("ktrans", "vp"),
        columns=lambda x, rows: (_tissue(x, rows), _plasma(x)),
        parameters=lambda coefficients, rows: (coefficients[0], coefficients[0] / rows[0], coefficients[1]),
    ),
    notes=INPUT,
    hint="x must be minutes >= 0.",
)
