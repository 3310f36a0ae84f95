"""Digests of functions: equal only if everything that decides about their results is equal.

Neither a file, a time, a line nor a name is evidence.  A digest covers the code with its constants
and names, defaults and closures.  It covers the globals and attributes that the code mentions, and
Numba's replacements of calls.  Each of them is digested all the way down.
"""

import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding as llvm

from .code import OpaqueError, mentioned
from .digest import Digest, Placeholder
from .libraries import belongs_to_package
from .readings import identify

__all__ = [
    "Digest",
    "OpaqueError",
    "Placeholder",
    "belongs_to_package",
    "fingerprint",
    "identify",
    "mentioned",
]

# Settings of Numba that change the machine code.
SETTINGS = (
    "BOUNDSCHECK CPU_FEATURES CPU_NAME DEBUGINFO_DEFAULT DISABLE_INTEL_SVML ENABLE_AVX LLVM_REFPRUNE_FLAGS "
    "LLVM_REFPRUNE_PASS LOOP_VECTORIZE OPT SLP_VECTORIZE"
)


def fingerprint(kernel: Callable[..., Any], *settings: Any) -> str:
    """Return a digest of everything the machine code depends on, or '' if another process cannot tell.

    Parameters
    ----------
    kernel : function
        The function to compile.
    *settings
        The signature and the options of the compiler; their `repr` counts.
    """
    numbas = [getattr(numba.config, setting, None) for setting in SETTINGS.split()]
    target = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple()
    python = sys.implementation.cache_tag, getattr(sys, "abiflags", ""), np.__version__, numba.__version__
    digest = Digest()
    try:
        digest.add(repr((settings, numbas, target, python)))
        digest.add(kernel)
    except OpaqueError:
        return ""
    return digest.hexdigest() if digest.is_portable else ""
