"""Methods of results that say how sure they are: predictions, intervals, the bootstrap."""

from typing import Any

import numpy as np

from . import bootstrap, intervals, predictions
from .bootstrap import Bootstrap
from .intervals import Profile
from .predictions import Band, Derived


class Inference:
    """Predictions, intervals and criteria of the fits of a batch, for `FitResult`."""

    popt: np.ndarray
    chi2: np.ndarray
    n_points: np.ndarray
    free: np.ndarray
    _is_absolute: bool
    _plan: Any
    _ties: Any

    def predict(self, x: Any = None) -> np.ndarray:
        """Evaluate the models of all fits.

        Parameters
        ----------
        x : array, shape (m,), (n_variables, m), (..., m) or (..., n_variables, m), optional
            The variables: the same for all fits, or each one's own.  By default those of the data; data sets
            of different lengths are then filled up with the last point.

        Returns
        -------
        ndarray, shape (..., m)
            In units of the data, double precision; NaN where a fit has no `popt`.

        See Also
        --------
        band : The same, with errors.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [2 * x, 3 * x + 1], p0=[1, 0])
        >>> fit.predict([10, 20]).round(6)
        array([[20., 40.],
               [31., 61.]])
        """
        return predictions.predict(self, x)

    @property
    def residuals(self) -> np.ndarray:
        """Data less models, shape (..., m), in units of the data; NaN where a point is left out.

        Data sets of different lengths are filled up with NaN.
        """
        return predictions.residuals(self)

    @property
    def r_squared(self) -> np.ndarray:
        """Coefficient of determination, shape (...).

        1 less the sum of squared residuals by that of a constant, both weighted with ``1 / sigma**2``,
        whatever the loss.  It tells no good nonlinear model from a bad one: see `reduced_chi2`.
        """
        return predictions.r_squared(self)

    @property
    def aic(self) -> np.ndarray:
        """Akaike's information criterion, shape (...); differences count, least is best.

        ``chi2 + 2 * k`` for `k` fitted parameters where the errors of the data are known
        (``absolute_sigma``, counts), else ``n * log(chi2 / n) + 2 * k`` for `n` points.  With a robust loss
        `chi2` is no likelihood, and the criterion a rule of thumb.
        """
        return self._deviance() + 2 * np.count_nonzero(self.free)

    @property
    def bic(self) -> np.ndarray:
        """Schwarz's Bayesian information criterion, shape (...): `aic` with ``log(n)`` in place of 2."""
        with np.errstate(divide="ignore"):
            return self._deviance() + np.log(self.n_points) * np.count_nonzero(self.free)

    def _deviance(self) -> np.ndarray:
        chi2 = self.chi2.astype(float)
        if self._is_absolute:
            return chi2
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.n_points * np.log(chi2 / self.n_points)

    def band(
        self,
        x: Any = None,
        kind: str = "confidence",
        level: float | None = None,
        *,
        sigma: float | None = None,
    ) -> Band:
        """Return the models' values and bands around them, from the derivatives by the parameters.

        Parameters
        ----------
        x : array, optional
            As in `predict`.
        kind : {"confidence", "prediction"}
            Where the curve is, or where a new point would be.  The latter needs errors that are the same
            everywhere, so a fit without `sigma` and with the linear loss.
        level : float, optional
            Confidence level in (0, 1), at each point by itself; by default 68.27 %.
        sigma : float, optional
            The same as a number of standard deviations of a normal distribution.

        Returns
        -------
        Band
            Named tuple of `values`, `lower` and `upper`, each of shape (..., m).  Infinite where the data
            do not determine the parameters.

        Raises
        ------
        ValueError
            If an argument is out of range or shapes do not go together.

        See Also
        --------
        predict : The values alone.
        plot : A picture with the band.

        Notes
        -----
        To first order in the errors of the parameters, so as symmetric and as wrong as `perr`.  Half widths
        are quantiles of Student's t, or, where the errors of the data are known, of the normal distribution.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [0.1, 0.9, 2.2, 2.9, 4.1], p0=[1, 0])
        >>> values, lower, upper = fit.band([0, 10], level=0.95)
        >>> (upper - lower).round(2)
        array([0.76, 2.53])
        """
        return predictions.band(self, x, kind, level, sigma)

    def derive(self, formula: str) -> Derived:
        """Compute a quantity from the parameters, with its standard error.

        Parameters
        ----------
        formula : str
            A formula in the parameters, such as ``"a * tau"``, in the grammar of `Model`.

        Returns
        -------
        Derived
            Named tuple of `value` and `error`, both of shape (...).  The error follows to first order
            from the covariance matrix; infinite where the data do not determine a parameter of it.

        Raises
        ------
        ValueError
            If the formula cannot be read, or has names that are no parameters.

        See Also
        --------
        to_uncertainties : Parameters as numbers with errors, of another package.
        conf_int : Intervals of the parameters themselves.

        Examples
        --------
        The half-life of a decay:

        >>> import numpy as np
        >>> import nbadam
        >>> x = np.linspace(0, 4, 30)
        >>> y = 3 * np.exp(-1.2 * x) + 0.02 * np.random.default_rng(0).standard_normal(30)
        >>> fit = nbadam.curve_fit("a * exp(-k * x)", x, y, p0=[1, 1])
        >>> value, error = fit.derive("log(2) / k")
        >>> bool(abs(value - np.log(2) / 1.2) < 3 * error)
        True
        """
        return predictions.derive(self, formula)

    def profile(self, parameter: str, values: Any = None, *, points: int = 25) -> Profile:
        """Return the least `chi2` as a function of one parameter.

        Parameters
        ----------
        parameter : str
            A parameter that was fitted.
        values : array, shape (n,) or (..., n), optional
            Its trial values.  By default `points` of them within 3 standard errors and the bounds.
        points : int

        Returns
        -------
        Profile
            Named tuple of `values` and `chi2`, each of shape (..., n).  The other parameters are fitted at
            each value, from the solution at its neighbour.  Infinite where the model is not; NaN where the
            fit has no success.

        Raises
        ------
        ValueError
            If the parameter was not fitted, or shapes do not go together.

        See Also
        --------
        conf_int : Intervals from the profile.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [0.1, 0.9, 2.2, 2.9, 4.1], p0=[1, 0])
        >>> trial, chi2 = fit.profile("a", points=3)
        >>> bool(chi2[1] < chi2[0])
        True
        """
        return intervals.profile(self, parameter, values, points)

    def conf_int(
        self,
        level: float | None = None,
        *,
        sigma: float | None = None,
        method: str = "profile",
        **options: Any,
    ) -> np.ndarray:
        """Return confidence intervals of the parameters.

        Parameters
        ----------
        level : float, optional
            Confidence level in (0, 1); by default 68.27 %.
        sigma : float, optional
            The same as a number of standard deviations of a normal distribution.
        method : {"profile", "normal", "bootstrap"}
            ``"profile"``: where `chi2`, with the other parameters fitted anew, has risen by the square of
            the quantile [1]_, as MINOS has it.  ``"normal"``: `popt` plus and minus a multiple of `perr`.
            ``"bootstrap"``: percentiles of :meth:`bootstrap`.
        **options
            Arguments of :meth:`bootstrap`.

        Returns
        -------
        ndarray, shape (..., n_params, 2)
            Lower and upper ends.  An end is the bound where a bound comes first, and infinite where `chi2`
            never rises enough; fixed parameters have intervals of no width.  NaN where the fit has no
            success, where it was not at its least `chi2` (with a warning), and by ``"profile"`` for tied
            parameters: see :meth:`derive`.

        Raises
        ------
        ValueError
            If an argument is out of range.

        Warns
        -----
        scipy.optimize.OptimizeWarning
            If the search found a lower `chi2` than the fit.

        See Also
        --------
        profile : The curve from which the ends come.
        bootstrap : Fits of resampled data.
        nbadam.compare : Comparison of two models.

        Notes
        -----
        The quantile belongs to the normal distribution if the data's errors are known
        (``absolute_sigma``, counts), so that `chi2` rises by 1 by default.  Else it is Student's t with
        `dof` degrees of freedom, times `reduced_chi2`: the F test of lmfit's ``conf_interval``.  Fits in
        single precision are refined in double precision.  With a robust loss, intervals are approximate.

        References
        ----------
        .. [1] D. M. Bates and D. G. Watts, "Nonlinear Regression Analysis and Its Applications", Wiley,
           1988, chapter 6.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(8.0)
        >>> y = [3.1, 1.6, 1.2, 0.6, 0.9, 0.4, 0.7, 0.5]
        >>> model = "a * exp(-k * x) + c"
        >>> fit = nbadam.curve_fit(model, x, y, [3, 1, 0], sigma=0.3 * np.ones(8), absolute_sigma=True)
        >>> (fit.conf_int() - fit.popt[:, None]).round(3)
        array([[-0.327,  0.327],
               [-0.234,  0.326],
               [-0.195,  0.166]])
        """
        return intervals.conf_int(self, level, sigma=sigma, method=method, **options)

    def bootstrap(self, n: int = 1000, *, kind: str = "residuals", rng: Any = None) -> Bootstrap:
        """Fit resampled data: `n` data sets for each, all in one batch.

        Parameters
        ----------
        n : int
            Resamples of each data set.
        kind : {"residuals", "points", "poisson", "parametric"}
            ``"residuals"``: the model plus residuals drawn with replacement, in units of `sigma`, centred and
            scaled by ``sqrt(n_points / dof)``.  ``"points"``: the points themselves, drawn with
            replacement.  ``"poisson"``: counts around the model.  ``"parametric"``: the model plus normal
            errors of size `sigma`, times ``sqrt(reduced_chi2)`` unless ``absolute_sigma``.
        rng : None, int, array_like of ints, numpy.random.SeedSequence or numpy.random.Generator
            Seed.  A data set's resamples depend on it and on the data set's number alone: they are the same
            bits in any selection and on any number of threads.

        Returns
        -------
        Bootstrap
            With `popt` of shape (..., n, n_params), `conf_int` and `perr`.

        Raises
        ------
        ValueError
            If an argument is out of range, or the kind does not go with the loss or with correlated data.

        See Also
        --------
        conf_int : Intervals, from it or without.
        nbadam.Bootstrap : The result.

        References
        ----------
        .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.linspace(0, 4, 30)
        >>> y = 3 * np.exp(-1.2 * x) + 0.02 * np.random.default_rng(0).standard_normal(30)
        >>> fit = nbadam.curve_fit("a * exp(-k * x)", x, y, p0=[1, 1])
        >>> sample = fit.bootstrap(500, rng=1)
        >>> sample.popt.shape, sample.conf_int(0.95).shape
        ((500, 2), (2, 2))
        """
        return bootstrap.bootstrap(self, n, kind, rng)
