"""Adam and its relatives: rules with a mean of the gradient, most with one of its square."""

from math import sqrt

import numpy as np

from .._jitable import register_jitable
from .rule import Rule, bias_correction, ratio

__all__ = [
    "ADAM",
    "ADAMAX",
    "ADAMAX_TORCH",
    "ADAM_OPTAX",
    "ADAM_TORCH",
    "AMSGRAD",
    "AMSGRAD_OPTAX",
    "AMSGRAD_TORCH",
    "LION",
    "NADAM",
    "NADAM_OPTAX",
    "RADAM",
    "RADAM_OPTAX",
]

# --- Adam: Kingma & Ba (2015), Adam: a method for stochastic optimization, arXiv:1412.6980 -------


@register_jitable
def epsilon_hat(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Both bias corrections folded into the step size (end of Section 2): Keras's epsilon."""
    alpha = learning_rate * sqrt(bias_correction(beta_2, t)) / bias_correction(beta_1, t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon


@register_jitable
def epsilon_plain(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 1 to the letter, epsilon added to the corrected root: torch's and Optax's epsilon.

    Dividing through by the correction of the root leaves the form above with a smaller epsilon.
    """
    correction = sqrt(bias_correction(beta_2, t))
    alpha = learning_rate * correction / bias_correction(beta_1, t)
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
    correction = bias_correction(beta_2, t)
    alpha = learning_rate * sqrt(correction) / bias_correction(beta_1, t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon * sqrt(correction), epsilon_root * correction


@register_jitable
def adam_root_update(g, x, m, v, alpha, weight_1, weight_2, epsilon, under_root):
    m += weight_1 * (g - m)
    v += weight_2 * (g * g - v)
    return x - alpha * ratio(m, sqrt(v + under_root) + epsilon), m, v


@register_jitable
def corrected_maximum(t, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Take the maximum over bias-corrected second moments."""
    alpha = learning_rate / bias_correction(beta_1, t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon, 1 / bias_correction(beta_2, t)


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
    return learning_rate / bias_correction(beta_1, t), 1 - beta_1, beta_2, epsilon


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
