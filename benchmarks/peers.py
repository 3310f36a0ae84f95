"""What several benchmarks race against."""

from functools import partial
from math import inf


def optax_adam(xs, gs, learning_rate, clipnorm=inf):
    """Return a function that makes one step of Optax's Adam: jitted, with donated buffers, awaited."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    xs, gs = ([jax.numpy.asarray(a) for a in some] for some in (xs, gs))
    adam = optax.adam(learning_rate)
    if clipnorm < inf:
        adam = optax.chain(optax.clip_by_global_norm(clipnorm), adam)
    state = adam.init(xs)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(xs, state, gs):
        updates, state = adam.update(gs, state)
        return optax.apply_updates(xs, updates), state

    def step():
        nonlocal xs, state
        xs, state = jax.block_until_ready(update(xs, state, gs))

    return step
