"""Adam and its relatives, with the names, arguments and defaults of ``tf.keras.optimizers``.

Each class is a rule and its settings.  Where libraries disagree about a formula the argument
`convention` chooses; the default is legacy Keras, the ``tf.keras.optimizers`` of TensorFlow up to
2.10.
"""

from typing import Any, ClassVar

from .. import rules
from ..hyperparameters import Hyperparameter, choice, flag
from .optimizer import Optimizer

__all__ = ["Adam", "AdamW", "Adamax", "Lion", "Nadam", "RAdam"]


class Adam(Optimizer):
    """Adam [1]_, and AMSGrad [2]_.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of a step, about the largest change of a parameter in one step.
    beta_1, beta_2 : float or callable, defaults 0.9 and 0.999
        Decay factors of the running means of the gradient and of its square, in [0, 1).  A
        callable without arguments is called once a step.
    epsilon : float, default 1e-7
        Added to the root of the mean square; where that depends on `convention`.  0 is 0, and then an
        element whose gradients were all zero stays where it is.
    amsgrad : bool, default False
        Divide by the largest mean square so far.
    name : str, default "Adam"
        Kept for `get_config`.
    convention : {"keras", "torch", "optax"}, keyword only
        "keras" adds `epsilon` before the bias correction of the root: "epsilon hat", the form before
        Section 2.1 of [1]_.  "torch" and "optax" add it after the correction (Algorithm 1).  With
        `amsgrad`, "optax" takes the largest of the bias-corrected mean squares.  With "torch" each
        variable counts its own steps: one that joins late, or had no gradient at times, is corrected by
        its own count.  The defaults of the other arguments stay.
    sparse_update : {"immediate", "deferred"}, keyword only
        Treatment of the rows that a sparse gradient does not touch, which move all the same.
        "immediate" steps them, at the cost of a dense step.  "deferred" steps the touched rows only.  It
        makes up for the missed steps when a row is touched again, or asked for by `gather` or `sync`: the
        same to rounding, at a cost that does not depend on the size of the variable.  Not with the
        conventions of torch and Optax.
    **kwargs
        Arguments of `Optimizer`: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`, `weight_decay`,
        `use_ema`, `ema_momentum`, `ema_overwrite_frequency`, `gradient_accumulation_steps`,
        `on_nonfinite`.

    See Also
    --------
    nbadam.adam : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `m`, `v` and, with `amsgrad`, `vhat`.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015,
       https://arxiv.org/abs/1412.6980
    .. [2] S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018,
       https://arxiv.org/abs/1904.09237

    Examples
    --------
    >>> import nbadam
    >>> import numpy as np
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Adam(learning_rate=0.5)
    >>> opt.minimize(lambda: (np.sum(x**2), 2 * x), x)
    1
    >>> x.round(4)
    array([ 0.5, -1.5])
    """

    beta_1: Hyperparameter = Hyperparameter(varying=True)
    beta_2: Hyperparameter = Hyperparameter(varying=True)
    epsilon: Hyperparameter = Hyperparameter()
    amsgrad: Hyperparameter = Hyperparameter(flag)
    convention: Hyperparameter = Hyperparameter(choice("keras", "torch", "optax"))
    sparse_update: Hyperparameter = Hyperparameter(choice("immediate", "deferred"), fixed=True)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str = "Adam",
        *,
        convention: str = "keras",
        sparse_update: str = "immediate",
        **kwargs: Any,
    ) -> None:
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.convention = convention
        self.sparse_update = sparse_update
        super().__init__(learning_rate, name, **kwargs)  # last: it checks the settings together

    def _check_together(self) -> None:
        super()._check_together()
        if self.sparse_update == "deferred" and self.convention != "keras":
            raise ValueError(
                f"`sparse_update` must be 'immediate' with `convention` {self.convention!r}: "
                "the deferred update exists for 'keras' only."
            )

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        if self.amsgrad:
            of = {"keras": rules.AMSGRAD, "torch": rules.AMSGRAD_TORCH, "optax": rules.AMSGRAD_OPTAX}
        else:
            of = {"keras": rules.ADAM, "torch": rules.ADAM_TORCH, "optax": rules.ADAM_TORCH}
        return of[self.convention]


class AdamW(Adam):
    """Adam with decoupled weight decay [1]_.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of a step.
    weight_decay : float, default 0.004
        Before its update a variable loses the fraction ``learning_rate * weight_decay`` of itself.
    beta_1, beta_2, epsilon, amsgrad, convention, sparse_update, **kwargs
        As in `Adam`.
    name : str, default "AdamW"
        Kept for `get_config`.

    See Also
    --------
    nbadam.adamw : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       https://arxiv.org/abs/1711.05101

    Examples
    --------
    >>> import nbadam
    >>> import numpy as np
    >>> weights, bias = np.ones(2), np.ones(1)
    >>> opt = nbadam.AdamW(learning_rate=0.5, weight_decay=0.1)
    >>> opt.exclude_from_weight_decay(bias)
    >>> opt.apply_gradients([(np.zeros(2), weights), (np.zeros(1), bias)])
    1
    >>> weights, bias
    (array([0.95, 0.95]), array([1.]))
    """

    weight_decay: Hyperparameter = Hyperparameter()

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str = "AdamW",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, name, weight_decay=weight_decay, **kwargs
        )


class Adamax(Optimizer):
    """Adamax [1]_ (Algorithm 2): Adam with the infinity norm.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of a step.
    beta_1, beta_2 : float or callable, defaults 0.9 and 0.999
        Decay factors of the running mean of the gradient and of the running maximum of its
        absolute value, in [0, 1).
    epsilon : float, default 1e-7
        Added to the maximum.
    name : str, default "Adamax"
        Kept for `get_config`.
    convention : {"keras", "torch"}, keyword only
        "torch" adds `epsilon` to every absolute value instead, as Optax does, and each variable counts
        its own steps.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.adamax : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `m` and `v`.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015,
       https://arxiv.org/abs/1412.6980

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Adamax(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.9, -1.9])
    """

    beta_1: Hyperparameter = Hyperparameter(varying=True)
    beta_2: Hyperparameter = Hyperparameter(varying=True)
    epsilon: Hyperparameter = Hyperparameter()
    convention: Hyperparameter = Hyperparameter(choice("keras", "torch"))

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: float = 1e-7,
        name: str = "Adamax",
        *,
        convention: str = "keras",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.convention = convention

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        return rules.ADAMAX if self.convention == "keras" else rules.ADAMAX_TORCH


class Nadam(Optimizer):
    """Nadam [1]_: Adam with Nesterov momentum.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of a step.
    beta_1, beta_2 : float or callable, defaults 0.9 and 0.999
        As in `Adam`; `beta_1` is the limit of the growing momentum.
    epsilon : float, default 1e-7
        Added to the root of the corrected mean square.
    name : str, default "Nadam"
        Kept for `get_config`.
    momentum_decay : float, default 0.004, keyword only
        The momentum of step t is ``beta_1 * (1 - 0.96 ** (momentum_decay * t) / 2)``.  Keras has
        had 1.0 since TensorFlow 2.11.
    convention : {"keras", "optax"}, keyword only
        "keras" is torch's as well; "optax" has the momentum `beta_1` at every step.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.nadam : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `m` and `v`.  The product of the momenta, which Keras keeps among the weights, is formed
    anew from the number of steps.

    References
    ----------
    .. [1] T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016,
       https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Nadam(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.894, -1.894])
    """

    beta_1: Hyperparameter = Hyperparameter(varying=True)
    beta_2: Hyperparameter = Hyperparameter(varying=True)
    epsilon: Hyperparameter = Hyperparameter()
    momentum_decay: Hyperparameter = Hyperparameter()
    convention: Hyperparameter = Hyperparameter(choice("keras", "optax"))
    _recent_keras: ClassVar = {"momentum_decay": 1.0}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: float = 1e-7,
        name: str = "Nadam",
        *,
        momentum_decay: float = 0.004,
        convention: str = "keras",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.momentum_decay = momentum_decay
        self.convention = convention

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        return rules.NADAM if self.convention == "keras" else rules.NADAM_OPTAX


class RAdam(Optimizer):
    """Rectified Adam [1]_, which adapts only when it has seen enough gradients.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.001
        Size of a step.
    beta_1, beta_2 : float or callable, defaults 0.9 and 0.999
        As in `Adam`.
    epsilon : float, default 1e-7
        Added to the root of the mean square.
    name : str, default "RAdam"
        Kept for `get_config`.
    convention : {"torch", "optax"}, keyword only
        "torch" adds `epsilon` before the bias correction of the root and adapts where the length of
        the moving average is above 5.  "optax" adds it after the correction, and adapts from 5 on.  With
        "torch" each variable counts its own steps.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.radam : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slots: `m` and `v`.

    References
    ----------
    .. [1] L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020,
       https://arxiv.org/abs/1908.03265

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.RAdam(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.8, -1.6])
    """

    beta_1: Hyperparameter = Hyperparameter(varying=True)
    beta_2: Hyperparameter = Hyperparameter(varying=True)
    epsilon: Hyperparameter = Hyperparameter()
    convention: Hyperparameter = Hyperparameter(choice("torch", "optax"))

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: float = 1e-7,
        name: str = "RAdam",
        *,
        convention: str = "torch",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.convention = convention

    @property
    def rule(self) -> rules.Rule:
        """The update rule that the settings choose."""
        return rules.RADAM if self.convention == "torch" else rules.RADAM_OPTAX


class Lion(Optimizer):
    """Lion [1]_: the sign of a momentum.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable, default 0.0001
        Every step changes every parameter by as much; a third to a tenth of Adam's.
    beta_1, beta_2 : float or callable, defaults 0.9 and 0.99
        Decay factors of the momentum in the direction of a step, and after it, in [0, 1).
    name : str, default "Lion"
        Kept for `get_config`.
    **kwargs
        As in `Adam`.

    See Also
    --------
    nbadam.lion : The method of `scipy.optimize.minimize` with the same rule.
    nbadam.Optimizer : Its methods, and the arguments that all classes share.

    Notes
    -----
    Slot: `m`.

    References
    ----------
    .. [1] X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023,
       https://arxiv.org/abs/2302.06675

    Examples
    --------
    >>> import numpy as np
    >>> import nbadam
    >>> x = np.array([1.0, -2.0])
    >>> opt = nbadam.Lion(learning_rate=0.1)
    >>> opt.apply_gradients([(2 * x, x)])
    1
    >>> x.round(3)
    array([ 0.9, -1.9])
    """

    beta_1: Hyperparameter = Hyperparameter(varying=True)
    beta_2: Hyperparameter = Hyperparameter(varying=True)
    rule: rules.Rule = rules.LION

    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta_1: Any = 0.9,
        beta_2: Any = 0.99,
        name: str = "Lion",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
