"""Update rules: each algorithm as a few lines of scalar arithmetic.

A rule has two halves.  Its *scalars* are formed once a step, in double precision, from the
step number `t` (1, 2, ...) and the hyperparameters.  Its *update* then takes, for every element,
the gradient `g`, the parameter `x` and the slots (the moments), and returns the new `x` and
slots in the precision of the arrays.  Every loop of the package is made from these two; clipping
and decoupled weight decay belong to the loops, so no rule mentions them.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

from numba.extending import register_jitable


@dataclass(frozen=True)
class Rule:
    """One optimization algorithm.

    Attributes
    ----------
    update : callable
        ``update(g, x, *slots, *scalars) -> (x, *slots)``, on scalars, in the arrays' precision.
    scalars : callable
        ``scalars(t, *hyperparameters) -> tuple of float``, in double precision.  Its signature
        declares the hyperparameters and their defaults; the first one is `learning_rate`.
    slots : tuple of str
        Names of the arrays that the update carries from step to step; they start at zero.
    """

    update: Callable
    scalars: Callable
    slots: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name that tells this rule from every other one in the same files."""
        return f"{self.update.__name__}_{self.scalars.__name__}"

    @cached_property
    def hyperparameters(self) -> dict[str, float]:
        """Names and defaults of the hyperparameters, in the order that `scalars` takes them."""
        parameters = inspect.signature(self.scalars).parameters.values()
        return {p.name: p.default for p in parameters if p.name != "t"}


@register_jitable
def ratio(numerator, denominator):
    """Quotient in which 0 / 0 means no step: with ``epsilon=0`` a zero moment moves nothing."""
    return numerator / denominator if denominator != 0 else denominator


# --- Adam: Kingma & Ba (2015), Adam: a method for stochastic optimization, arXiv:1412.6980 -------


@register_jitable
def epsilon_hat(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Both bias corrections folded into the step size (end of Section 2): Keras's epsilon."""
    alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon


@register_jitable
def epsilon_plain(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 1 to the letter, epsilon added to the corrected root: torch's and Optax's epsilon.

    Dividing through by the correction of the root leaves the form above with a smaller epsilon.
    """
    correction = sqrt(1 - beta_2**t)
    alpha = learning_rate * correction / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon * correction


@register_jitable
def adam_update(g, x, m, v, alpha, weight_1, weight_2, epsilon):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    return x - alpha * ratio(m, sqrt(v) + epsilon), m, v


# --- AMSGrad: Reddi, Kale & Kumar (2018), On the convergence of Adam and beyond, Algorithm 2 -----


@register_jitable
def amsgrad_update(g, x, m, v, v_hat, alpha, weight_1, weight_2, epsilon):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    v_hat = v if v > v_hat else v_hat
    return x - alpha * ratio(m, sqrt(v_hat) + epsilon), m, v, v_hat


# --- Optax's variants ----------------------------------------------------------------------------


@register_jitable
def epsilon_root(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8, epsilon_root=0.0):
    """Algorithm 1 with a second epsilon under the root."""
    correction = 1 - beta_2**t
    alpha = learning_rate * sqrt(correction) / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon * sqrt(correction), epsilon_root * correction


@register_jitable
def adam_root_update(g, x, m, v, alpha, weight_1, weight_2, epsilon, under_root):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    return x - alpha * ratio(m, sqrt(v + under_root) + epsilon), m, v


@register_jitable
def corrected_maximum(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """The maximum is taken over bias-corrected second moments."""
    alpha = learning_rate / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon, 1 / (1 - beta_2**t)


@register_jitable
def amsgrad_corrected_update(g, x, m, v, v_hat, alpha, weight_1, weight_2, epsilon, correction):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    corrected = v * correction
    v_hat = corrected if corrected > v_hat else v_hat
    return x - alpha * ratio(m, sqrt(v_hat) + epsilon), m, v, v_hat


ADAM = Rule(adam_update, epsilon_hat, ("m", "v"))
AMSGRAD = Rule(amsgrad_update, epsilon_hat, ("m", "v", "vhat"))
ADAM_TORCH = Rule(adam_update, epsilon_plain, ("m", "v"))
AMSGRAD_TORCH = Rule(amsgrad_update, epsilon_plain, ("m", "v", "vhat"))
ADAM_OPTAX = Rule(adam_root_update, epsilon_root, ("m", "v"))
AMSGRAD_OPTAX = Rule(amsgrad_corrected_update, corrected_maximum, ("m", "v", "vhat"))
