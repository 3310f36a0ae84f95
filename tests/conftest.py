"""Settings that every test shares."""

import os

import numba
from hypothesis import settings

# No deadline: the first example may compile a kernel.  Plain Python loops get fewer examples; CI
# draws the same ones every time, a developer's machine new ones.
settings.register_profile(
    "nbadam",
    deadline=None,
    max_examples=20 if numba.config.DISABLE_JIT else 100,
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("nbadam")
