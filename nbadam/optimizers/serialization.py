"""Optimizers from names and dicts, and dicts from optimizers."""

from typing import Any

from ..checks import shown
from . import adam, descent
from .optimizer import Optimizer

CLASSES = tuple(vars(module)[name] for module in (adam, descent) for name in module.__all__)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Describe an optimizer's class and settings by a dict, as Keras does.

    Parameters
    ----------
    optimizer : Optimizer
        Whose state is left out.

    Returns
    -------
    dict
        With the keys ``"module"``, ``"class_name"``, ``"config"`` and ``"registered_name"``.

    See Also
    --------
    nbadam.deserialize : The way back.
    nbadam.Optimizer.save : Settings and state in a file.

    Examples
    --------
    >>> import nbadam
    >>> nbadam.serialize(nbadam.Adam(0.01))["class_name"]
    'Adam'
    """
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"`optimizer` must be an Optimizer, not {shown(optimizer)}.")
    return {
        "module": type(optimizer).__module__,
        "class_name": type(optimizer).__name__,
        "config": optimizer.get_config(),
        "registered_name": None,
    }


def deserialize(config: dict[str, Any], custom_objects: dict[str, type[Any]] | None = None) -> Optimizer:
    """Make an optimizer from the dict that `serialize` returned.

    Parameters
    ----------
    config : dict
        With the keys ``"class_name"``, in any case, and ``"config"``.
    custom_objects : dict of str to type, optional
        Your own optimizer and schedule classes by name.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If the keys are missing or no class has the name.

    See Also
    --------
    nbadam.serialize : The way there.
    nbadam.get : An optimizer from its name, too.

    Examples
    --------
    >>> import nbadam
    >>> settings = nbadam.serialize(nbadam.Adam(0.01))
    >>> nbadam.deserialize(settings).learning_rate
    0.01
    """
    if not isinstance(config, dict) or not {"class_name", "config"} <= set(config):  # type: ignore[redundant-expr]
        raise ValueError(
            f"`config` must be a dict with the keys 'class_name' and 'config', not {shown(config)}."
        )
    known: dict[str, Any] = {cls.__name__: cls for cls in CLASSES} | (custom_objects or {})
    by_name = {name.lower(): cls for name, cls in known.items()}
    name = config["class_name"]
    if not isinstance(name, str) or name.lower() not in by_name:
        raise ValueError(f"{name!r} is no optimizer: known are {', '.join(known)}.")
    return by_name[name.lower()].from_config(config["config"], custom_objects)


def get(identifier: Any) -> Optimizer:
    """Return an optimizer from whatever names one.

    Parameters
    ----------
    identifier : str, dict or Optimizer
        A class name, in any case, whose defaults are taken; a dict of `serialize`; or an optimizer,
        which is returned as it is.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        If it names none.

    See Also
    --------
    nbadam.deserialize : An optimizer from a dict.

    Examples
    --------
    >>> import nbadam
    >>> nbadam.optimizers.get("adam").get_config()["beta_2"]
    0.999
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return deserialize({"class_name": identifier, "config": {}})
