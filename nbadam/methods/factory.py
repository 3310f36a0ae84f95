"""Methods for ``scipy.optimize.minimize(fun, x0, method=...)``."""

from collections.abc import Callable
from typing import Any

from .. import rules
from ..rules import Rule
from .documentation import HYPERPARAMETERS, TEMPLATE
from .minimize import minimize
from .options import OPTIONS, is_automatic, settings_from, warn


def _method(
    rule: Rule,
    name: str,
    title: str,
    reference: str,
    *,
    amsgrad: Rule | None = None,
    initial: dict[str, Any] | None = None,
    **defaults: float | str,
) -> Callable:
    """Make the method of one rule.

    Parameters
    ----------
    rule : Rule
        The algorithm.
    name, title, reference : str
        The name of the method, that of the algorithm, and where it is published.
    amsgrad : Rule, optional
        The rule that the option of this name chooses.
    initial : dict of str to float or callable, optional
        Slots that start at another value than 0; a callable gives it from x and the first step's scalars.
    **defaults
        Defaults that differ from those of the rule or of all methods.
    """
    known: dict[str, Any] = (
        rule.hyperparameters | ({"amsgrad": False} if amsgrad else {}) | OPTIONS | defaults
    )

    def method(
        fun,
        x0,
        args=(),
        jac=None,
        hess=None,
        hessp=None,
        bounds=None,
        constraints=(),
        callback=None,
        **options,
    ):
        if is_automatic(options) and rule is not rules.ADAM:
            raise ValueError(
                f"`learning_rate='auto'` is for the methods adam and adamw; {name} needs a number, "
                "an array or a schedule."
            )
        settings = settings_from(known, options)
        chosen = amsgrad if amsgrad and settings["amsgrad"] else rule
        if hess is not None or hessp is not None:
            warn(f"Method {name} does not use Hessian information (hess, hessp).", RuntimeWarning)
        given = options.keys()
        return minimize(
            chosen, settings, given, initial or {}, fun, x0, args, jac, bounds, constraints, callback
        )

    texts = [HYPERPARAMETERS[key].format(default=_literal(known[key])) for key in known if key not in OPTIONS]
    method.__name__ = method.__qualname__ = name
    method.__doc__ = TEMPLATE.format(
        name=name,
        title=title,
        reference=reference,
        hyperparameters="\n".join(texts),
        weight_decay=known["weight_decay"] or 0,
        rate=_EXAMPLE_RATES.get(name, 0.001),
    )
    return method


def _literal(value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


_ADAM = 'D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, arXiv:1412.6980'
_EXAMPLE_RATES = {
    "adadelta": 0.05,
    "adagrad": 0.5,
    "adam": 0.05,
    "adamax": 0.05,
    "adamw": 0.01,
    "ftrl": 0.5,
    "nadam": 0.005,
    "radam": 0.001,
}

# "auto" solves more of benchmarks/robustness.py within the default `maxiter` than 0.001: of 104 problems
# 97 to 1e-2 of the start's excess against 72, and 61 to 1e-6 against 39 (docs/learning_rates.rst).
adam = _method(rules.ADAM, "adam", "Adam", _ADAM, amsgrad=rules.AMSGRAD, learning_rate="auto")
adamw = _method(
    rules.ADAM,
    "adamw",
    "AdamW, which is Adam with decoupled weight decay,",
    'I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101',
    amsgrad=rules.AMSGRAD,
    weight_decay=0.004,
)
adamax = _method(rules.ADAMAX, "adamax", "Adamax", f"{_ADAM}, Algorithm 2")
nadam = _method(
    rules.NADAM,
    "nadam",
    "Nadam",
    'T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016',
)
radam = _method(
    rules.RADAM,
    "radam",
    "RAdam",
    'L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020',
)
lion = _method(
    rules.LION,
    "lion",
    "Lion",
    'X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675',
)
sgd = _method(
    rules.SGD_MOMENTUM,
    "sgd",
    "stochastic gradient descent, with momentum if so asked,",
    'I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013',
)
rmsprop = _method(
    rules.RMSPROP_MOMENTUM_INSIDE,
    "rmsprop",
    "RMSprop, with momentum if so asked,",
    'T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", Neural networks for machine learning, 2012',
)
adagrad = _method(
    rules.ADAGRAD,
    "adagrad",
    "Adagrad",
    'J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011',
    initial={"accumulator": rules.ACCUMULATOR},
)
adadelta = _method(
    rules.ADADELTA,
    "adadelta",
    "Adadelta",
    'M. D. Zeiler, "ADADELTA: An adaptive learning rate method", 2012, arXiv:1212.5701',
)


def _accumulated_start(x, *scalars):
    return rules.ftrl_start(x, rules.ACCUMULATOR, *scalars)


ftrl = _method(
    rules.FTRL_POWER,
    "ftrl",
    "FTRL-Proximal, its first proximal term centred at `x0`,",
    'H. B. McMahan et al., "Ad click prediction: A view from the trenches", KDD 2013',
    initial={"accumulator": rules.ACCUMULATOR, "linear": _accumulated_start},
)
