"""The algorithms that ship: names, methods and the tables of the documentation are made from these rows."""

from dataclasses import dataclass, field
from typing import Any

_ADAM = 'D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015, arXiv:1412.6980'


@dataclass(frozen=True)
class Algorithm:
    """A class of `nbadam.optimizers` and the method of `scipy.optimize.minimize` with the same rule.

    Attributes
    ----------
    optimizer : str
        Name of the class; the method has it in small letters.
    rule : str
        Name in `nbadam.rules` of the rule of the method, where the class has several.
    title, reference : str
        Name of the algorithm in a sentence, and where it is published.
    amsgrad : str
        Name of the rule that the option `amsgrad` chooses; empty if there is none.
    defaults : dict
        Defaults of the method that differ from those of the rule or of all methods.
    rate : float
        Learning rate of the example in the docstring of the method.
    """

    optimizer: str
    rule: str
    title: str
    reference: str
    amsgrad: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    rate: float = 0.001

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.optimizer.lower()


ALGORITHMS = (
    # "auto" solves more of benchmarks/robustness.py within the default `maxiter` than 0.001: of 104 problems
    # 97 to 1e-2 of the start's excess against 72, and 61 to 1e-6 against 39 (docs/learning_rates.rst).
    Algorithm("Adam", "ADAM", "Adam", _ADAM, "AMSGRAD", {"learning_rate": "auto"}, rate=0.05),
    Algorithm(
        "AdamW",
        "ADAM",
        "AdamW, which is Adam with decoupled weight decay,",
        'I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101',
        "AMSGRAD",
        {"weight_decay": 0.004},
        rate=0.01,
    ),
    Algorithm("Adamax", "ADAMAX", "Adamax", f"{_ADAM}, Algorithm 2", rate=0.05),
    Algorithm(
        "Nadam",
        "NADAM",
        "Nadam",
        'T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016',
        rate=0.005,
    ),
    Algorithm(
        "RAdam",
        "RADAM",
        "RAdam",
        'L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020',
    ),
    Algorithm(
        "Lion",
        "LION",
        "Lion",
        'X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675',
    ),
    Algorithm(
        "SGD",
        "SGD_MOMENTUM",
        "stochastic gradient descent, with momentum if so asked,",
        'I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013',
    ),
    Algorithm(
        "RMSprop",
        "RMSPROP_MOMENTUM_INSIDE",
        "RMSprop, with momentum if so asked,",
        'T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", Neural networks for machine learning, 2012',
    ),
    Algorithm(
        "Adagrad",
        "ADAGRAD",
        "Adagrad",
        'J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011',
        rate=0.5,
    ),
    Algorithm(
        "Adadelta",
        "ADADELTA",
        "Adadelta",
        'M. D. Zeiler, "ADADELTA: An adaptive learning rate method", 2012, arXiv:1212.5701',
        rate=0.05,
    ),
    Algorithm(
        "Ftrl",
        "FTRL_POWER",
        "FTRL-Proximal, its first proximal term centred at `x0`,",
        'H. B. McMahan et al., "Ad click prediction: A view from the trenches", KDD 2013',
        rate=0.5,
    ),
)

OPTIMIZERS = [algorithm.optimizer for algorithm in ALGORITHMS]
METHODS = [algorithm.method for algorithm in ALGORITHMS]
