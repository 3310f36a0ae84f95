"""One step of a run: clip the gradient, apply the rule, find automatic rates, project onto the bounds."""

from functools import cache
from math import inf
from typing import Any

from .._jit import array, compile_kernel
from .._jitable import register_jitable
from .._tuples import cast, store, take
from ..gradients import clip_scale
from ..kernels import SWEEP, norm, rule_loop
from ..rules import ADAM, Rule, bias_correction
from .auto import apply_dog, scalars_of_adam
from .record import EVALUATE, Phase


@cache
def step(rule: Any, is_auto: bool) -> Any:
    """Build the kernel that makes a step, with automatic rates or given ones."""
    scalars, update = rule.scalars, rule_loop(rule)
    forgets = is_auto and rule is ADAM  # not AMSGrad, whose maximum is there to forget nothing

    def kernel(run, own, rate):
        """Make a step of a run by a learning rate; its `point` is then to be evaluated."""
        s, limits = run.numbers[0], run.limits[0]
        x, before, clipvalue = run.x, run.before, limits.clipvalue
        t = s.nit + 1.0
        rate *= s.reduction
        scale = clip_scale(norm(run.slope, clipvalue), limits.clipnorm) if limits.clipnorm < inf else 1.0
        if is_auto or not s.is_free or limits.keeps_before:
            copy(x, before)
        if is_auto:  # the rule makes a step of rate 1 from 0
            for i in range(x.size):
                x[i] = 0.0
            if s.phase == Phase.BEST:  # back there: the momentum is that of the way up
                for i in range(x.size):
                    own.slots[0][i] = 0.0
        if forgets:
            now = scalars_of_adam(t, s.noise_sum, s.late_noise, *own.hyper)
        else:
            now = take(own.scalars, s.nit) if own.scalars[0].size else scalars(t, rate, *own.hyper)
        decay = 0.0 if is_auto else rate * limits.weight_decay
        update(run.slope, x, own.slots, s.nit % SWEEP == SWEEP - 1, cast(now, x), clipvalue, scale, decay)
        if is_auto:
            unbias_2 = 1.0 if forgets else 1 / bias_correction(own.hyper[1], t)
            rate = apply_dog(run, own, t, scale, unbias_2)
        if s.is_free:
            copy(x, run.here)
        else:
            project(before, x, run.fractions, run.lower, run.upper)
            to_user(x, run.x_scale, run.x_lower, run.x_upper, run.here)
        copy(run.here, run.point)
        s.rate = rate
        s.nit += 1
        s.phase, s.next = Phase.STEP, EVALUATE

    kernel.__name__ = f"step_{rule.name}{'_auto' if is_auto else ''}"
    return kernel


@register_jitable
def project(before: Any, x: Any, fractions: Any, lower: Any, upper: Any) -> None:
    """Apply each variable's own rate and the bounds to a step of the scaled variables."""
    # Several loops: the compiler vectorizes those of few arrays only, which it can tell to be apart.
    for i in range(fractions.size):
        x[i] = before[i] + fractions[i] * (x[i] - before[i])
    for i in range(x.size):
        x[i] = min(max(x[i], lower[i]), upper[i])


@register_jitable
def to_user(scaled: Any, x_scale: Any, x_lower: Any, x_upper: Any, x: Any) -> None:
    """Write the user's variables to `x`."""
    for i in range(x.size):
        x[i] = min(max(scaled[i] * x_scale[i], x_lower[i]), x_upper[i])


@register_jitable
def copy(source, target):
    """Copy an array."""
    for i in range(target.size):
        target[i] = source[i]


@cache
def fill_scalars(rule: Rule) -> Any:
    """Return the loop that tabulates the scalars of the steps from `first` to before `last`, compiled."""
    scalars = rule.scalars

    def kernel(rates, hyper, table, first, last):
        for k in range(first, last):
            store(table, k, scalars(k + 1.0, rates[k], *hyper))

    examples = array(), (0.0,) * (len(rule.hyperparameters) - 1), (array(),) * rule.width, 0, 0
    return compile_kernel(kernel, examples, name=f"fill_scalars_{rule.name}", mode="nogil")
