"""SGD, and the rules that divide by sums or means of squared gradients."""

from math import sqrt

from .._jitable import register_jitable
from .rule import Rule, positive_part, ratio

__all__ = [
    "ADADELTA",
    "ADAGRAD",
    "ADAGRAD_INSIDE",
    "FTRL",
    "FTRL_POWER",
    "RMSPROP",
    "RMSPROP_CENTERED",
    "RMSPROP_CENTERED_INSIDE",
    "RMSPROP_INSIDE",
    "RMSPROP_MOMENTUM",
    "RMSPROP_MOMENTUM_CENTERED",
    "RMSPROP_MOMENTUM_CENTERED_INSIDE",
    "RMSPROP_MOMENTUM_INSIDE",
    "SGD",
    "SGD_MOMENTUM",
    "SGD_NESTEROV",
]

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


ACCUMULATOR = 0.1  # start of the sums of squares in the methods, as in Keras


def accumulator_start(x: float, *scalars: float) -> tuple[float]:
    """Slot `accumulator` that is not 0."""
    return (ACCUMULATOR,)


def centred_start(
    x: float, inverse_rate: float, power: float, l1: float, curvature: float, shrinkage: float
) -> tuple[float, float]:
    """Slots whose first proximal term, that of the initial accumulator, is centred at x instead of 0."""
    return ACCUMULATOR, -x * ACCUMULATOR**power * inverse_rate


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


SGD = Rule(sgd_update, plain, ())
SGD_MOMENTUM = Rule(momentum_update, with_momentum, ("momentum",))
SGD_NESTEROV = Rule(nesterov_update, with_momentum, ("momentum",))
ADAGRAD = Rule(adagrad_update, epsilon_outside, ("accumulator",), accumulator_start)
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
FTRL = Rule(ftrl_update, ftrl, ("accumulator", "linear"), centred_start)
FTRL_POWER = Rule(ftrl_power_update, ftrl, ("accumulator", "linear"), centred_start)
