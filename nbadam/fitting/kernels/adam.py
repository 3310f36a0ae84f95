"""Adam over lanes: as a method of its own, and as the warm-up of fits that went astray.

Adam moves every parameter by about the same share of its scale, whatever the gradient: across plateaus
where Levenberg-Marquardt finds no slope, and past the near minimum.
"""

from functools import cache
from math import cos, pi

from ..._calls import call
from ..._jit import array, compile_kernel
from ..._jitable import register_jitable
from ..._tuples import cast
from ...rules import ADAM
from .lanes import CHI2_TRIAL, GRADIENT_TRIAL, TRIAL, common_examples, load, take

# Short memories suit objectives without noise: 200 steps then do, in place of 1000.
BETA_1, BETA_2 = 0.8, 0.9
ABSOLUTE, JACOBIAN = 0, 1  # scales of the parameters: their size at the start, or |residuals| / |column|
LEARNING_RATE = 0.1  # first one of a whole fit, a share of the scale


def mover(rule):
    """Build the function that moves parameter j of fit i by a step."""
    update = rule.update

    @register_jitable
    def move(own, row, force, scale, m, v, step, lower, upper, i, j):
        """Change ``own[row]`` and the moments.

        Parameters
        ----------
        force : float
            Minus half the derivative by the parameter.
        scale, m, v, lower, upper : arrays of shape (fits, n)
            Unit of the steps, moments and bounds, (0, 0) without bounds.
        step : tuple
            Scalars of the rule for the number of the step and the learning rate.
        """
        g = -force * scale[i, j]
        if g - g == 0:  # finite
            new = update(g, own.dtype.type(0), m[i, j], v[i, j], *step)
            m[i, j], v[i, j] = new[1], new[2]
            own[row] += scale[i, j] * new[0]
            if lower.size > 0:
                own[row] = min(max(own[row], lower[i, j]), upper[i, j])

    return move


def descent(rule):
    """Build the kernel that makes a planned number of steps with each fit, and keeps its best point."""
    scalars, move = rule.scalars, mover(rule)

    def descend(
        normal, rows, S, state, x, data, lower, upper, f_scale, settings, scale, p, m, v, best, chi2
    ):  # fmt: skip
        """Go on from `p` by some of the steps; all but it, `m`, `v`, `best` and `chi2` is input.

        Parameters
        ----------
        normal, rows, S, state, x, data, lower, upper, f_scale
            See `lanes`; the state is scratch.
        settings : array
            Steps done, steps at the end of this call, and steps planned: one evaluation follows the last.
            Then the first learning rate, a share of each parameter's `scale`.
        scale, p, m, v, best : arrays of shape (fits, n)
            Of the parameters' steps, the point, the moments, the best point so far.
        chi2 : array of shape (fits,)
            Of the best point.
        """
        trial, chi2_row, gradient = rows[TRIAL], rows[CHI2_TRIAL], rows[GRADIENT_TRIAL]
        done, last, steps, learning_rate = int(settings[0]), int(settings[1]), settings[2], settings[3]
        fits, points, lanes = data.shape[0], data.shape[2], state.shape[1]
        for start in range(0, fits, lanes):
            for lane in range(lanes):
                load(state[:, lane], rows, data, p, lower, upper, min(start + lane, fits - 1))
            for number in range(done, last):
                call(normal, None, (x, S, points, 0, points, f_scale))
                rate = learning_rate * 0.5 * (1 + cos(pi * number / steps))
                step = cast(scalars(number + 1.0, rate, BETA_1, BETA_2, 0.0), data)
                for lane in range(min(lanes, fits - start)):
                    i, own = start + lane, state[:, lane]
                    if own[chi2_row] < chi2[i]:
                        chi2[i] = own[chi2_row]
                        take(own, trial, best[i])
                    for j in range(p.shape[1]):
                        move(own, trial + j, own[gradient + j], scale, m, v, step, lower, upper, i, j)
            for lane in range(min(lanes, fits - start)):
                take(state[:, lane], trial, p[start + lane])

    return descend


@cache
def descent_kernel(dtype: str):
    """Return the kernel of `descent` for Adam, compiled."""
    scale, tables = array(dtype, 2, readonly=True), (array(dtype, 2),) * 4
    examples = *common_examples(dtype), array(), scale, *tables, array(dtype)
    return compile_kernel(descent(ADAM), examples, name=f"descend_{ADAM.name}_{dtype}", mode="nogil")
