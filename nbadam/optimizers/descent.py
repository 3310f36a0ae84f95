"""SGD, RMSprop, Adagrad, Adadelta and FTRL, as the classes of the module `adam`."""

from typing import Any, ClassVar

from .. import rules
from ..hyperparameters import (
    Hyperparameter,
    choice,
    flag,
    positive,
)
from .optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Ftrl", "RMSprop"]


class SGD(Optimizer):
    """Gradient descent, plain or with momentum [1]_.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.01
        Factor of the gradient.
    momentum : float or callable, default 0
        Decay factor of the velocity, in [0, 1].
    nesterov : bool, default False
        Whether to look ahead along the velocity.
    name : str, default "SGD"
        Kept for `get_config`.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.sgd : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slot: `momentum`, the velocity, where `momentum` is not 0.  It contains the learning rate; torch
    and Optax multiply by it afterwards, which is the same as long as it is constant.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.SGD(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.8, -1.6])
    """

    momentum: Hyperparameter = Hyperparameter(varying=True)
    nesterov: Hyperparameter = Hyperparameter(flag)

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: Any = 0.0,
        nesterov: bool = False,
        name: str = "SGD",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        if self.momentum == 0:
            return rules.SGD
        return rules.SGD_NESTEROV if self.nesterov else rules.SGD_MOMENTUM


class RMSprop(Optimizer):
    """RMSprop [1]_, plain, centered, with momentum.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of a step.
    rho : float or callable, default 0.9
        Decay factor of the running mean of the squared gradient, in [0, 1).
    momentum : float or callable, default 0
        Decay factor of the velocity, in [0, 1].
    epsilon : float, default 1e-7
        Added to the mean square, or to its root: see `convention`.
    centered : bool, default False
        Divide by the standard deviation instead of the root mean square.
    name : str, default "RMSprop"
        Kept for `get_config`.
    convention : {"keras", "keras3", "torch"}, keyword only
        "torch" adds `epsilon` to the root, "keras3", which is also Optax's default, under it, "keras"
        under it only where there is momentum.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.rmsprop : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `rms`, `momentum` where it is not 0, and `mg`, the mean gradient, if `centered`.  The
    velocity contains the learning rate; torch multiplies by it afterwards, which is the same as long
    as it is constant.

    References
    ----------
    .. [1] T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Neural networks for machine learning,
       2012

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.RMSprop(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.684, -1.684])
    """

    rho: Hyperparameter = Hyperparameter(varying=True)
    momentum: Hyperparameter = Hyperparameter(varying=True)
    epsilon: Hyperparameter = Hyperparameter()
    centered: Hyperparameter = Hyperparameter(flag)
    convention: Hyperparameter = Hyperparameter(choice("keras", "keras3", "torch"))
    _recent_keras: ClassVar = {"convention": "keras3"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: Any = 0.9,
        momentum: Any = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        name: str = "RMSprop",
        *,
        convention: str = "keras",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self.convention = convention

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        moving = self.momentum != 0
        inside = self.convention == "keras3" or (self.convention == "keras" and moving)
        return {
            # (moving, centered, inside)
            (False, False, False): rules.RMSPROP,
            (False, False, True): rules.RMSPROP_INSIDE,
            (False, True, False): rules.RMSPROP_CENTERED,
            (False, True, True): rules.RMSPROP_CENTERED_INSIDE,
            (True, False, False): rules.RMSPROP_MOMENTUM,
            (True, False, True): rules.RMSPROP_MOMENTUM_INSIDE,
            (True, True, False): rules.RMSPROP_MOMENTUM_CENTERED,
            (True, True, True): rules.RMSPROP_MOMENTUM_CENTERED_INSIDE,
        }[moving, self.centered, inside]


class Adagrad(Optimizer):
    """Adagrad [1]_: each element divided by the root of the sum of its squared gradients.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of the first steps.
    initial_accumulator_value : float, default 0.1
        Start of the sum.
    epsilon : float, default 1e-7
        Added to the root, or under it: see `convention`.
    name : str, default "Adagrad"
        Kept for `get_config`.
    convention : {"keras", "keras3"}, keyword only
        "keras", which is torch's as well, adds `epsilon` to the root, "keras3" under it.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.adagrad : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slot: `accumulator`.

    References
    ----------
    .. [1] J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and
       stochastic optimization", JMLR 12, 2011

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Adagrad(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.901, -1.9  ])
    """

    initial_accumulator_value: Hyperparameter = Hyperparameter(fixed=True)
    epsilon: Hyperparameter = Hyperparameter()
    convention: Hyperparameter = Hyperparameter(choice("keras", "keras3"))
    _recent_keras: ClassVar = {"convention": "keras3"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str = "Adagrad",
        *,
        convention: str = "keras",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon
        self.convention = convention

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        return rules.ADAGRAD if self.convention == "keras" else rules.ADAGRAD_INSIDE

    def initial_slots(self) -> dict[str, float]:
        """Return the start of the sum.

        See Also
        --------
        nbadam.Optimizer : Classes of your own, which may define it.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.Adagrad(initial_accumulator_value=0.1).initial_slots()
        {'accumulator': 0.1}
        """
        return {"accumulator": self.initial_accumulator_value}


class Adadelta(Optimizer):
    """Adadelta [1]_: steps in the units of the parameters.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Factor of a step; 1.0 is the paper's.
    rho : float or callable, default 0.95
        Decay factor of the running means of the squared gradient and step, in [0, 1).
    epsilon : float, default 1e-7
        Added to both means under their roots.
    name : str, default "Adadelta"
        Kept for `get_config`.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.adadelta : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `accum_grad` and `accum_var`.

    References
    ----------
    .. [1] M. D. Zeiler, "ADADELTA: An adaptive learning rate method", 2012,
       https://arxiv.org/abs/1212.5701

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Adadelta(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 1., -2.])
    """

    rho: Hyperparameter = Hyperparameter(varying=True)
    epsilon: Hyperparameter = Hyperparameter()
    rule: rules.Rule = rules.ADADELTA

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: Any = 0.95,
        epsilon: float = 1e-7,
        name: str = "Adadelta",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.rho = rho
        self.epsilon = epsilon


class Ftrl(Optimizer):
    """FTRL-Proximal [1]_: sparse solutions for linear models.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Above 0.
    learning_rate_power : float, default -0.5
        At most 0; how the learning rate falls with the sum of the squared gradients.
    initial_accumulator_value : float, default 0.1
        Start of that sum.
    l1_regularization_strength, l2_regularization_strength : float, default 0
        Penalties on the absolute values and squares of the parameters.
    name : str, default "Ftrl"
        Kept for `get_config`.
    l2_shrinkage_regularization_strength : float, default 0
        Penalty on the squares that acts on the gradient only, not on the sum of its squares.
    beta : float, default 0
        The paper's smoothing of the learning rate.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.ftrl : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `accumulator` and `linear`.  The first step replaces the parameters by the solution of the
    proximal problem, in which their start plays a small part.

    References
    ----------
    .. [1] H. B. McMahan et al., "Ad click prediction: A view from the trenches", KDD 2013

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Ftrl(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.745, -1.743])
    """

    learning_rate: Hyperparameter = Hyperparameter(positive, varying=True)
    learning_rate_power: Hyperparameter = Hyperparameter()
    initial_accumulator_value: Hyperparameter = Hyperparameter(fixed=True)
    l1_regularization_strength: Hyperparameter = Hyperparameter()
    l2_regularization_strength: Hyperparameter = Hyperparameter()
    l2_shrinkage_regularization_strength: Hyperparameter = Hyperparameter()
    beta: Hyperparameter = Hyperparameter()
    weights_by_variable = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        name: str = "Ftrl",
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        return rules.FTRL if self.learning_rate_power == -0.5 else rules.FTRL_POWER

    def initial_slots(self) -> dict[str, float]:
        """Return the start of the sum of squares.

        See Also
        --------
        nbadam.Optimizer : Classes of your own, which may define it.

        Examples
        --------
        >>> import nbadam
        >>> nbadam.Ftrl(initial_accumulator_value=0.1).initial_slots()
        {'accumulator': 0.1}
        """
        return {"accumulator": self.initial_accumulator_value}
