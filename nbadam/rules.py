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

import numpy as np
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
        Names of the arrays that the update carries from step to step; they start at zero, or, where
        the classes say so (`Adagrad`, `Ftrl`), at a value.
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


@register_jitable
def positive_part(value):
    """Zero for what is negative only by rounding; NaN stays NaN."""
    return value if value > 0 else value - value


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
    """Take the maximum over bias-corrected second moments."""
    alpha = learning_rate / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon, 1 / (1 - beta_2**t)


@register_jitable
def amsgrad_corrected_update(g, x, m, v, v_hat, alpha, weight_1, weight_2, epsilon, correction):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    corrected = v * correction
    v_hat = corrected if corrected > v_hat else v_hat
    return x - alpha * ratio(m, sqrt(v_hat) + epsilon), m, v, v_hat


# --- Adamax: Kingma & Ba (2015), Algorithm 2 -----------------------------------------------------


@register_jitable
def adamax(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    return learning_rate / (1 - beta_1**t), 1 - beta_1, beta_2, epsilon


@register_jitable
def adamax_update(g, x, m, v, alpha, weight_1, beta_2, epsilon):
    m += weight_1 * (g - m)
    decayed, size = beta_2 * v, abs(g)
    v = decayed if decayed > size else size
    return x - alpha * ratio(m, v + epsilon), m, v


@register_jitable
def adamax_torch_update(g, x, m, v, alpha, weight_1, beta_2, epsilon):
    """Epsilon enters the norm, as in torch and Optax."""
    m += weight_1 * (g - m)
    decayed, size = beta_2 * v, abs(g) + epsilon
    v = decayed if decayed > size else size
    return x - alpha * ratio(m, v), m, v


# --- Nadam: Dozat (2016), Incorporating Nesterov momentum into Adam, Algorithm 2 -----------------


@register_jitable
def momentum_at(t, beta_1, momentum_decay):
    """Momentum of step t, on its way from beta_1 / 2 to beta_1."""
    return beta_1 * (1 - 0.5 * 0.96 ** (momentum_decay * t))


@register_jitable
def momentum_product(t, beta_1, momentum_decay):
    """Product of the momenta of the steps 1 to t, until it is too small to matter beside 1."""
    product = 1.0
    for s in range(1, int(t) + 1):
        product *= momentum_at(s, beta_1, momentum_decay)
        if product < 1e-17:
            break
    return product


@register_jitable
def nesterov(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7, momentum_decay=0.004):
    """Form the product of momenta from t alone, so that a resumed run needs nothing else."""
    correction = sqrt(1 - beta_2**t)
    product = momentum_product(t, beta_1, momentum_decay)
    now, following = momentum_at(t, beta_1, momentum_decay), momentum_at(t + 1, beta_1, momentum_decay)
    of_g = learning_rate * correction * (1 - now) / (1 - product)
    of_m = learning_rate * correction * following / (1 - product * following)
    return of_g, of_m, 1 - beta_1, 1 - beta_2, epsilon * correction


@register_jitable
def nesterov_optax(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Keep the same momentum at every step."""
    correction = sqrt(1 - beta_2**t)
    of_g = learning_rate * correction * (1 - beta_1) / (1 - beta_1**t)
    of_m = learning_rate * correction * beta_1 / (1 - beta_1 ** (t + 1))
    return of_g, of_m, 1 - beta_1, 1 - beta_2, epsilon * correction


@register_jitable
def nadam_update(g, x, m, v, of_g, of_m, weight_1, weight_2, epsilon):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    return x - ratio(of_g * g + of_m * m, sqrt(v) + epsilon), m, v


# --- RAdam: Liu et al. (2020), On the variance of the adaptive learning rate, Algorithm 2 --------


@register_jitable
def rectification(t, beta_2):
    """Length rho_t of the moving average, and the factor r_t."""
    decay = beta_2**t
    longest = 2 / (1 - beta_2) - 1
    length = longest - 2 * t * decay / (1 - decay)
    if length <= 4:
        return length, 0.0
    return length, sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


@register_jitable
def rectified(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Adapt from a length above 5 on, epsilon added to the uncorrected root: torch."""
    alpha = learning_rate / (1 - beta_1**t)
    length, r = rectification(t, beta_2)
    adaptive = length > 5
    along_m = 0.0 if adaptive else alpha
    along_ratio = alpha * r * sqrt(1 - beta_2**t) if adaptive else 0.0
    return along_m, along_ratio, 1 - beta_1, 1 - beta_2, epsilon


@register_jitable
def rectified_optax(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Adapt from a length of 5 on, epsilon added to the corrected root."""
    alpha = learning_rate / (1 - beta_1**t)
    correction = sqrt(1 - beta_2**t)
    length, r = rectification(t, beta_2)
    adaptive = length >= 5
    along_m = 0.0 if adaptive else alpha
    along_ratio = alpha * r * correction if adaptive else 0.0
    return along_m, along_ratio, 1 - beta_1, 1 - beta_2, epsilon * correction


@register_jitable
def radam_update(g, x, m, v, along_m, along_ratio, weight_1, weight_2, epsilon):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    return x - along_m * m - along_ratio * ratio(m, sqrt(v) + epsilon), m, v


# --- Lion: Chen et al. (2023), Symbolic discovery of optimization algorithms, arXiv:2302.06675 ---


@register_jitable
def lion(t, learning_rate=1e-4, beta_1=0.9, beta_2=0.99):
    return learning_rate, beta_1, 1 - beta_1, 1 - beta_2


@register_jitable
def lion_update(g, x, m, learning_rate, beta_1, weight_1, weight_2):
    return x - learning_rate * np.sign(beta_1 * m + weight_1 * g), m + weight_2 * (g - m)


# --- SGD, with momentum as in Sutskever et al. (2013), On the importance of initialization ... ----


@register_jitable
def plain(t, learning_rate=1e-2):
    return (learning_rate,)


@register_jitable
def sgd_update(g, x, learning_rate):
    return (x - learning_rate * g,)


@register_jitable
def with_momentum(t, learning_rate=1e-2, momentum=0.0):
    return learning_rate, momentum


@register_jitable
def momentum_update(g, x, velocity, learning_rate, momentum):
    velocity = momentum * velocity - learning_rate * g
    return x + velocity, velocity


@register_jitable
def nesterov_update(g, x, velocity, learning_rate, momentum):
    velocity = momentum * velocity - learning_rate * g
    return x + momentum * velocity - learning_rate * g, velocity


# --- Adagrad: Duchi, Hazan & Singer (2011), Adaptive subgradient methods, JMLR 12 ----------------


@register_jitable
def epsilon_outside(t, learning_rate=1e-3, epsilon=1e-7):
    """Legacy Keras and torch."""
    return learning_rate, epsilon, 0.0


@register_jitable
def epsilon_inside(t, learning_rate=1e-3, epsilon=1e-7):
    """Keras 3 and Optax: epsilon under the root."""
    return learning_rate, 0.0, epsilon


@register_jitable
def adagrad_update(g, x, accumulator, learning_rate, outside, inside):
    accumulator += g * g
    return x - learning_rate * ratio(g, sqrt(accumulator + inside) + outside), accumulator


# --- Adadelta: Zeiler (2012), ADADELTA: an adaptive learning rate method, arXiv:1212.5701 --------


@register_jitable
def adadelta(t, learning_rate=1e-3, rho=0.95, epsilon=1e-7):
    return learning_rate, 1 - rho, epsilon


@register_jitable
def adadelta_update(g, x, accum_grad, accum_var, learning_rate, weight, epsilon):
    accum_grad += weight * (g * g - accum_grad)
    step = ratio(sqrt(accum_var + epsilon) * g, sqrt(accum_grad + epsilon))
    accum_var += weight * (step * step - accum_var)
    return x - learning_rate * step, accum_grad, accum_var


# --- RMSprop: Tieleman & Hinton (2012), Lecture 6.5 of Neural networks for machine learning ------


@register_jitable
def rms_outside(t, learning_rate=1e-3, rho=0.9, momentum=0.0, epsilon=1e-7):
    """Legacy Keras without momentum, and torch."""
    return learning_rate, 1 - rho, momentum, epsilon, 0.0


@register_jitable
def rms_inside(t, learning_rate=1e-3, rho=0.9, momentum=0.0, epsilon=1e-7):
    """Legacy Keras with momentum, and Keras 3: epsilon under the root."""
    return learning_rate, 1 - rho, momentum, 0.0, epsilon


@register_jitable
def rmsprop_update(g, x, rms, learning_rate, weight, momentum, outside, inside):
    """Without a velocity: `momentum` is 0."""
    rms += weight * (g * g - rms)
    return x - learning_rate * ratio(g, sqrt(rms + inside) + outside), rms


@register_jitable
def rmsprop_momentum_update(g, x, rms, velocity, learning_rate, weight, momentum, outside, inside):
    rms += weight * (g * g - rms)
    velocity = momentum * velocity + learning_rate * ratio(g, sqrt(rms + inside) + outside)
    return x - velocity, rms, velocity


@register_jitable
def rmsprop_centered_update(g, x, rms, mg, learning_rate, weight, momentum, outside, inside):
    """Without a velocity: `momentum` is 0."""
    rms += weight * (g * g - rms)
    mg += weight * (g - mg)
    return x - learning_rate * ratio(g, sqrt(positive_part(rms - mg * mg) + inside) + outside), rms, mg


@register_jitable
def rmsprop_momentum_centered_update(
    g, x, rms, velocity, mg, learning_rate, weight, momentum, outside, inside
):
    rms += weight * (g * g - rms)
    mg += weight * (g - mg)
    step = ratio(g, sqrt(positive_part(rms - mg * mg) + inside) + outside)
    velocity = momentum * velocity + learning_rate * step
    return x - velocity, rms, velocity, mg


# --- FTRL: McMahan et al. (2013), Ad click prediction: a view from the trenches, Algorithm 1 -----


@register_jitable
def ftrl(
    t,
    learning_rate=1e-3,
    learning_rate_power=-0.5,
    l1_regularization_strength=0.0,
    l2_regularization_strength=0.0,
    l2_shrinkage_regularization_strength=0.0,
    beta=0.0,
):
    curvature = 2 * l2_regularization_strength + beta / learning_rate
    shrinkage = 2 * l2_shrinkage_regularization_strength
    return 1 / learning_rate, -learning_rate_power, l1_regularization_strength, curvature, shrinkage


@register_jitable
def proximal(g, x, linear, before, after, inverse_rate, l1, curvature, shrinkage):
    """Solve for x; `before` and `after` are the accumulator's power before and after this gradient."""
    linear += g + shrinkage * x - (after - before) * inverse_rate * x
    bounded = l1 if linear > l1 else (-l1 if linear < -l1 else linear)
    denominator = after * inverse_rate + curvature
    return (bounded - linear) / denominator if denominator != 0 else x, linear


@register_jitable
def ftrl_update(g, x, accumulator, linear, inverse_rate, power, l1, curvature, shrinkage):
    """For a `learning_rate_power` of -0.5: the root is ten times faster than the power."""
    grown = accumulator + g * g
    before, after = sqrt(accumulator), sqrt(grown)
    x, linear = proximal(g, x, linear, before, after, inverse_rate, l1, curvature, shrinkage)
    return x, grown, linear


@register_jitable
def ftrl_power_update(g, x, accumulator, linear, inverse_rate, power, l1, curvature, shrinkage):
    grown = accumulator + g * g
    before, after = accumulator**power, grown**power
    x, linear = proximal(g, x, linear, before, after, inverse_rate, l1, curvature, shrinkage)
    return x, grown, linear


ADAM = Rule(adam_update, epsilon_hat, ("m", "v"))
ADAM_TORCH = Rule(adam_update, epsilon_plain, ("m", "v"))
ADAM_OPTAX = Rule(adam_root_update, epsilon_root, ("m", "v"))
AMSGRAD = Rule(amsgrad_update, epsilon_hat, ("m", "v", "vhat"))
AMSGRAD_TORCH = Rule(amsgrad_update, epsilon_plain, ("m", "v", "vhat"))
AMSGRAD_OPTAX = Rule(amsgrad_corrected_update, corrected_maximum, ("m", "v", "vhat"))
ADAMAX = Rule(adamax_update, adamax, ("m", "v"))
ADAMAX_TORCH = Rule(adamax_torch_update, adamax, ("m", "v"))
NADAM = Rule(nadam_update, nesterov, ("m", "v"))
NADAM_OPTAX = Rule(nadam_update, nesterov_optax, ("m", "v"))
RADAM = Rule(radam_update, rectified, ("m", "v"))
RADAM_OPTAX = Rule(radam_update, rectified_optax, ("m", "v"))
LION = Rule(lion_update, lion, ("m",))
SGD = Rule(sgd_update, plain, ())
SGD_MOMENTUM = Rule(momentum_update, with_momentum, ("momentum",))
SGD_NESTEROV = Rule(nesterov_update, with_momentum, ("momentum",))
ADAGRAD = Rule(adagrad_update, epsilon_outside, ("accumulator",))
ADAGRAD_INSIDE = Rule(adagrad_update, epsilon_inside, ("accumulator",))
ADADELTA = Rule(adadelta_update, adadelta, ("accum_grad", "accum_var"))
RMSPROP = Rule(rmsprop_update, rms_outside, ("rms",))
RMSPROP_INSIDE = Rule(rmsprop_update, rms_inside, ("rms",))
RMSPROP_CENTERED = Rule(rmsprop_centered_update, rms_outside, ("rms", "mg"))
RMSPROP_CENTERED_INSIDE = Rule(rmsprop_centered_update, rms_inside, ("rms", "mg"))
RMSPROP_MOMENTUM = Rule(rmsprop_momentum_update, rms_outside, ("rms", "momentum"))
RMSPROP_MOMENTUM_INSIDE = Rule(rmsprop_momentum_update, rms_inside, ("rms", "momentum"))
RMSPROP_MOMENTUM_CENTERED = Rule(rmsprop_momentum_centered_update, rms_outside, ("rms", "momentum", "mg"))
RMSPROP_MOMENTUM_CENTERED_INSIDE = Rule(
    rmsprop_momentum_centered_update, rms_inside, ("rms", "momentum", "mg")
)
FTRL = Rule(ftrl_update, ftrl, ("accumulator", "linear"))
FTRL_POWER = Rule(ftrl_power_update, ftrl, ("accumulator", "linear"))
