"""The docstring that all methods share, with the paragraph of each hyperparameter."""

TEMPLATE = """Minimize a function with {title} [1]_, as a method of `scipy.optimize.minimize`.

    ``minimize(fun, x0, jac=True, method=nbadam.{name}, options={{...}})`` calls it; it can be called
    directly, too, with the options as keywords.  Everything happens in double precision.

    Parameters
    ----------
    fun : callable or nbadam.Minibatch
        ``fun(x, *args) -> float``, or ``fun(x, *args) -> (float, array)`` with ``jac=True``.  It may
        be noisy, and may give another sample at every call.  A function compiled by Numba that
        returns both is stepped inside compiled code; so is ``fun(x, gradient, *args) -> float``, which
        writes the gradient, or adds to it (both with ``jac=True``).
    x0 : array_like, shape (n,)
        Where to start.  Never modified.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    jac : {{True, callable, None}}, optional
        True if `fun` returns the gradient too; ``jac(x, *args) -> array, shape (n,)``, which alone is
        then called at every step, `fun` only every 100 steps; None for finite differences.
    hess, hessp : ignored
        A RuntimeWarning says so.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Every step is projected onto the bounds, and differences stay within them.
    constraints : empty
        Refused with a ValueError otherwise.
    callback : callable, optional
        Called after every iteration, or every `callback_interval` of them, as ``callback(x)`` or, if its only
        parameter has this name, ``callback(intermediate_result=OptimizeResult(x=..., fun=...))``, for which
        `fun` is evaluated there in any case.  StopIteration ends the run.

    Other Parameters
    ----------------
{hyperparameters}
    clipvalue : float, optional
        Every component of the gradient is clipped to ``[-clipvalue, clipvalue]``.
    clipnorm : float, optional
        A gradient whose Euclidean norm is larger is scaled down to it (after `clipvalue`).
    weight_decay : float, default {weight_decay}
        Decoupled weight decay: before each update x shrinks by the fraction
        ``learning_rate * weight_decay``.
    x_scale : float or array_like of shape (n,), default 1
        Unit of each variable.  The run happens in ``x / x_scale``, and the learning rate, the clipping,
        `gtol` and `xtol` belong to these variables.
    steps : int, optional
        Planned number of iterations, whose end is a success.  The tolerances are then off unless given.
    epochs : int, optional
        Planned number of passes over the data of a Minibatch, whose end is a success.  The
        tolerances are then off unless given.  Unless they are given, adam and adamw then take "auto" for
        `learning_rate`, "tail" for `average`, and for `x_scale` what up to 16 batches tell,
        and end with up to ``ceil(epochs / 5)`` more passes over all the data, by BFGS, for up to 300
        variables.  They begin with as many by L-BFGS-B where a few samples outweigh all others.
    maxiter : int, default 50000
        Largest number of iterations, whose end is a failure (status 1).
    maxfun, maxfev : int, optional
        Largest number of evaluations of `fun`, looked at after each iteration (status 2).  With less than 40,
        no noise is looked for without `jac`.
    max_time : float, optional
        Seconds after which this call ends (status 6).
    gtol : float, default 1e-5, or 0 where `learning_rate` is "auto"
        Succeed when no component of the mean gradient over 100 iterations is larger, leaving out
        what points out of the bounds.  At `x0` the gradient itself is looked at; where that is zero, values
        around must not be lower.  Where two calls at one
        point agree `fun` counts as free of noise, and then the gradient at the mean point of these
        iterations, or at the last one, has to meet `gtol` as well: a cycle of large steps does not pass.
    ftol : float, default 1e-9
        Succeed when the mean of the values over 100 iterations differs from that of the 100 before by no more
        than this fraction of the fall from the first value to the lowest one, or by rounding.  Without noise
        the value at the mean point must also be no lower; with noise the means must be exact enough.
    xtol : float, default 0
        Succeed when no component of the mean point over 100 iterations differs from that of the
        100 before by more than ``xtol * max(1, abs(x / x_scale))``.
    patience : int, optional
        Succeed when the mean value over so many steps (at least 10) is lower than that over as
        many steps before by no more than the standard error of the difference, as ten parts of each tell it
        (the smaller error of the two counts), and no straight line falls through the last ten.
        Default: 300, and 20 for each variable, if two evaluations at `x0` show that `fun` is noisy, no option
        but a limit tells the end, and `jac` is None or `learning_rate` is "auto".  `average` is then "tail".
    reductions : int, default 0
        How many times the learning rate is multiplied by `reduction` where `patience` is met, before
        that ends the run (reduce on plateau).  Not with automatic rates.
    reduction : float, default 0.1
        Factor of each of them, in [0, 1).
    on_nonfinite : {{"stop", "skip", "raise"}}
        Action if a value, a gradient or a point is not finite: end the run (status 3), leave the
        evaluation out, or raise a FloatingPointError, whose attribute `result` has the result so far.  "skip"
        evaluates again at the point, and after that each time half as far from the point before; the run
        ends after 20 evaluations in a row that are not finite.  Otherwise runs with automatic rates whose
        values are not noisy first go back to the best point, for shorter steps, up to 30 times in a row.
        ``result.skipped_steps`` counts both.
    tol : float, optional
        Sets those of `gtol`, `ftol` and `xtol` that are not given.
    finite_diff : {{"2-point", "3-point", "noise", "spsa"}}
        The gradient where `jac` is None: forward differences (n evaluations a step more); central ones
        (2 n); "noise", forward ones whose steps suit the noise of `fun`, which is estimated at `x0`, with 7
        to 40 evaluations and 2 to 10 for each variable, and again at every gradient whose number is a power
        of 2 [2]_; "spsa", simultaneous perturbation, two evaluations a step whatever n is, of which `fun` at
        the point is the mean [3]_.  By default "2-point"
        with steps that are found by their effect on `fun`, at `x0` and at every gradient whose number is a
        power of 4, unless ten or more evaluations near `x0` show that noise or rounding hides its
        differences: then "noise" if they are faint.  Otherwise, after 6 to 30 evaluations more, steps go to
        the minimum of a quadratic that is fitted to the values around, for up to 100 variables and automatic
        rates without decay; in other cases "spsa" is taken, with `beta_1` 0.8 and `beta_2` 0.9 unless they
        are given.  Where values that are not finite lie so near `x0` that noise may hide the slope, up to
        100 evaluations more find a point farther inside, around which the first quadratic is fitted.
    finite_diff_rel_step : float or array_like, optional
        Their step relative to ``max(x_scale, abs(x))``; 1.5e-8 for "2-point" and 6.1e-6 for "3-point", if
        that is chosen.  For "spsa"
        the first perturbation relative to `x_scale`, by default found from the values near `x0`; the k-th is
        less by ``k**0.101``, with k rounded down to a power of 4.
    eps : float or array_like, optional
        Their step in units of x; wins over `finite_diff_rel_step`.
    rng : None, int, numpy.random.SeedSequence or numpy.random.Generator, optional
        Where the signs of "spsa" come from; None is another sequence each time.
    average : {{"last", "best", "tail", "ema", "auto"}}
        Which point to return: the last one; that of the lowest value seen; the mean of all points weighted by
        about the cube of the step, three quarters of it on the last 30 % [4]_; or an exponential mean over
        some 100 steps.  "auto", the default with automatic rates, is "best" if the values turned out to be
        free of noise (but for an end by `gtol`).  Otherwise it is "tail" if gradients are noisy in the end,
        and "last" if they are not, unless the other one of these is lower by more than noise explains.
        Without automatic rates "last" is the default, and "auto" the same.
    callback_interval : int, default 1
        Iterations from one call of `callback` to the next.
    state : nbadam.RunState or path-like, optional
        The `state` of a result, or a checkpoint, that the run goes on from instead of `x0`.  All limits but
        `max_time` count from the beginning of the first run.
    checkpoint : path-like, optional
        File that is replaced by the state of the run from time to time, and at its end.
    checkpoint_every : int, optional
        Iterations from one time to the next; by default a minute.
    progress : bool, default False
        Show a progress bar (extra ``progress``).
    disp : bool, default False
        Print a summary at the end; a failure is an OptimizeWarning.
    return_all : bool, default False
        Keep every point in ``result.allvecs``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x`, `fun` and `jac` (at `x`), `nit`, `nfev`, `njev`, `status`, `success`, `message`, `history`
        (nbadam.History) and `state` (nbadam.RunState).  The point is the one that `average` asks for; the
        mean of the last 100 where a tolerance is met and it is better; the best one seen where that is
        worse than the start, by more than noise explains, or not finite.  With steps by a quadratic, and
        values that are not random, the lowest one seen takes the place of the last.  `fun` and `jac` of a
        Minibatch are those over all data, once it has seen an epoch.  Other noisy objectives are evaluated
        up to 20 times there (as often again at another point, if that may be lower), but no more than a tenth
        of the run's evaluations; `fun` is the mean, and
        `fun_stderr` its standard error (19 degrees of freedom: the quantile of 95 % is 2.09, not 1.96).
        With `epochs` alone,
        `x_stderr` estimates the distance of each variable from the minimum over all the data.
        `status` is a number of nbadam.Status: 0 for success, 1 for `maxiter`, 2 for `maxfun`,
        3 for a value, gradient or point that is not finite, 5 for a run that ended at its start or higher,
        6 for `max_time`, 7 for Ctrl-C (see Raises), 99 for a callback's StopIteration.

    Raises
    ------
    ValueError
        If an argument or option is invalid (the message names it and what would be right), or `fun`
        or `jac` returns something of the wrong type or shape.
    KeyboardInterrupt
        After Ctrl-C; its attribute `result` has the result so far.

    Warns
    -----
    OptimizeWarning
        For an unknown option, an `x0` outside of the bounds (it is moved into them), or a point of a run of
        `epochs` alone that may be more than a standard error away from the minimum over all the data.

    See Also
    --------
    nbadam.{optimizer} : The same rule as an optimizer object.
    nbadam.Minibatch : Objectives that see a part of the data at a time.
    nbadam.multistart : Runs from many starts.
    scipy.optimize.minimize : The function that takes it as `method`.

    References
    ----------
    .. [1] {reference}
    .. [2] J. J. Moré and S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33, 2011, and
       "Estimating derivatives of noisy simulations", ACM Trans. Math. Softw. 38, 2012
    .. [3] J. C. Spall, "Implementation of the simultaneous perturbation algorithm for stochastic
       optimization", IEEE Trans. Aerosp. Electron. Syst. 34, 1998
    .. [4] O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization", ICML 2013

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> import nbadam
    >>> result = minimize(rosen, [0.9, 0.9], jac=rosen_der, method=nbadam.{name},
    ...                   options={{"learning_rate": {rate}, "steps": 5000}})
    >>> result.success, bool(result.fun < 0.01)
    (True, True)
    """

HYPERPARAMETERS = {
    "learning_rate": """\
    learning_rate : float, array_like of shape (n,), callable or "auto", default {default}
        Size of a step, in units of ``x / x_scale`` (of that per gradient for plain SGD).  An array gives
        each variable its own.  A schedule is called with the number of steps done so far (0 at the first);
        a callable without parameters is called at every step.  "auto", for adam and adamw, finds a rate
        for each variable; they fall to 0 at the end of `steps`, `epochs`, `maxiter` or `maxfun`, whichever
        is the least.""",
    "beta_1": """\
    beta_1 : float, default {default}
        Decay of the running mean of the gradient, in [0, 1).""",
    "beta_2": """\
    beta_2 : float, default {default}
        Decay of the running mean of its square (Adamax: of its largest size; Lion: of the gradient in the
        momentum), in [0, 1).""",
    "epsilon": """\
    epsilon : float, default {default}
        Keeps the denominator from 0, placed where Keras has it ("epsilon hat").  With 0, the default where
        the learning rate is "auto", a variable whose gradients were all zero stays where it is.""",
    "amsgrad": """\
    amsgrad : bool, default {default}
        Divide by the largest mean square so far (Reddi, Kale and Kumar, ICLR 2018).""",
    "momentum_decay": """\
    momentum_decay : float, default {default}
        How fast the momentum grows from ``beta_1 / 2`` to `beta_1`.""",
    "momentum": """\
    momentum : float, default {default}
        Fraction of the last step that is made again, in [0, 1].""",
    "rho": """\
    rho : float, default {default}
        Decay of the running means, in [0, 1).""",
    "learning_rate_power": """\
    learning_rate_power : float, default {default}
        How the learning rate falls with the sum of the squared gradients, at most 0.  `learning_rate` must
        be one number above 0, or give such.""",
    "l1_regularization_strength": """\
    l1_regularization_strength : float, default {default}
        Penalty on the absolute values of the (scaled) variables, added once to the sum of all gradients: a
        variable whose gradients add up to less is 0.""",
    "l2_regularization_strength": """\
    l2_regularization_strength : float, default {default}
        Penalty on their squares, added once as well.""",
    "l2_shrinkage_regularization_strength": """\
    l2_shrinkage_regularization_strength : float, default {default}
        Penalty on the squares that acts on the gradient only, not on the sum of its squares.""",
    "beta": """\
    beta : float, default {default}
        The paper's smoothing of the learning rate.""",
}
