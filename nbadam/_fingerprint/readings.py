"""Digests within one process, remembered."""

import os
from typing import Any, NamedTuple

from .digest import Digest, Lookup
from .libraries import sizes_of_registries

READINGS = 64  # functions whose digests are remembered


def identify(value: Any) -> tuple[str, int]:
    """Return the digest of an object in this process, and how many bytes of arrays are in it.

    No two digests of objects that may change unseen are equal.  To read a function takes longer than a small
    fit: if it is all of immutable objects, it is enough to look whether they are still in their places.
    """
    known = _readings.get(id(value))
    if known is not None and known.is_current():
        return known.digest, 0
    registered = sizes_of_registries()
    digest = Digest()
    try:
        digest.add(value)
    except Exception:  # functions may refer to anything
        return os.urandom(16).hex(), 0
    if digest.lookups:
        if len(_readings) >= READINGS:
            _readings.clear()
        _readings[id(value)] = Reading(value, digest.lookups, registered, digest.hexdigest())
    return digest.hexdigest(), digest.nbytes


class Reading(NamedTuple):
    """All that the digest of a function was read from, where those are immutable objects only."""

    function: Any  # no other object has its id as long as it lives
    lookups: list[Lookup]
    registered: tuple[int, int]
    digest: str

    def is_current(self) -> bool:
        """Whether each of the objects is still in its place: then another digest would be the same."""
        try:
            if self.registered != sizes_of_registries():
                return False
            for look_up, arguments, value in self.lookups:
                if look_up(*arguments) is not value:
                    return False
            return True
        except Exception:  # an empty cell, or a module's own `__getattr__`
            return False


_readings: dict[int, Reading] = {}  # by the id of the function
