"""Pictures of fits (extra ``plot``)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...extras import extra
from ...status import Status

GRID = 400  # points of a curve
SPREAD = 0.02, 0.98  # quantiles that the colours of a map span
SCATTERED = 5000  # fits in a scatter plot
DATA, MODEL = "C7", "C3"  # colours: gray and red, which stand out from white and from black


class Plots:
    """Pictures of the fits of a batch, for `FitResult`."""

    def plot(
        self: Any,
        index: Any = (),
        ax: Any = None,
        *,
        residuals: bool = True,
        band: bool = True,
        xlabel: Any = None,
        ylabel: Any = "y",
    ) -> Any:
        """Plot one fit: its data, the model with its parameters, and the residuals.

        Parameters
        ----------
        index : int or tuple of int
            Which fit of the batch.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        residuals : bool
            Whether to draw the residuals below, in units of `sigma` where there is one.  Only a new figure
            has room for them.
        band : bool
            Whether to draw the confidence band of 95.45 % about the curve, where the fit has standard errors.
        xlabel, ylabel : str, optional
            Names and units of the axes; the first is by default the name of the variable.

        Returns
        -------
        matplotlib.axes.Axes
            Where only one variable differs between the points, the model is a curve over it.  Else the
            data are plotted against the model's values, beside the line on which they would agree.

        See Also
        --------
        plot_worst : The fits that agree least.
        band : The numbers of the band.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> ax = fit.plot(0, xlabel="time / s", ylabel="signal")
        >>> ax.get_ylabel()
        'signal'
        """
        if np.size(index) != self.chi2.ndim:
            raise ValueError(
                f"`index` must name one fit of a batch of shape {self.chi2.shape}, not {index!r}."
            )
        fit = self[index]
        x, y, sigma = self._data.one(int(fit._numbers))
        if ax is None and residuals:
            pyplot = extra("matplotlib.pyplot", "plot")
            ax, lowest = pyplot.subplots(2, sharex=True, height_ratios=(3, 1), layout="constrained")[1]
        else:
            lowest = ax = _axes(ax)
        values = fit.model(x, *fit.popt)
        varying = np.flatnonzero((x != x[:, :1]).any(axis=1)) if len(x) > 1 else np.array([0])
        if len(varying) == 1:
            v = varying[0]
            grid = np.tile(x[:, :1], GRID)
            grid[v] = np.linspace(x[v].min(), x[v].max(), GRID)
            at, line, curve = x[v], grid[v], fit.model(grid, *fit.popt)
            if band and fit._plan is not None and fit.success:
                found = fit.band(grid[0] if len(grid) == 1 else grid, sigma=2)
                ends = found.lower, found.upper
                ax.fill_between(line, *ends, color=MODEL, alpha=0.25, lw=0, label="95 % band")
            name = fit.model.variables[v]
        else:
            at = line = curve = values
            name = "model"
        ax.errorbar(at, y, sigma, fmt=".", color=DATA, label="data")
        ax.plot(line, curve, color=MODEL, label="model")
        ax.set_ylabel(ylabel)
        ax.set_title(_title(fit), fontsize="small")
        ax.legend(fontsize="small")
        if lowest is not ax:
            left = y - values if sigma is None else (y - values) / sigma
            lowest.axhline(0, color=MODEL, lw=1)
            lowest.plot(at, left, ".", color=DATA)
            lowest.set_ylabel("residual" if sigma is None else "residual / sigma", fontsize="small")
        lowest.set_xlabel(name if xlabel is None else xlabel)
        return ax

    def plot_worst(self: Any, n: int = 9, **options: Any) -> Any:
        """Plot the fits that agree least with their data: first those that failed, then by `reduced_chi2`.

        Parameters
        ----------
        n : int
            How many.
        **options
            Of `plot`: `band`, `xlabel`, `ylabel`.

        Returns
        -------
        list of matplotlib.axes.Axes
            Each titled by the index of its fit.

        See Also
        --------
        plot : A fit of your choice.
        plot_map : A parameter of all fits.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> [ax.get_title() for ax in fit.plot_worst(1)]
        ['[0]: SUCCESS, reduced chi2 0.024']
        """
        with np.errstate(invalid="ignore"):
            badness = np.where(self.success, self.reduced_chi2, np.inf).ravel()
        badness[(self.n_points == 0).ravel() | np.isnan(self.popt).any(axis=-1).ravel()] = -np.inf
        badness[np.isnan(badness)] = -np.inf
        worst = np.argsort(-badness, kind="stable")[: min(n, np.count_nonzero(badness > -np.inf))]
        if not worst.size:
            raise ValueError("No fit has parameters that could be plotted.")
        columns = min(3, worst.size)
        rows = -(-worst.size // columns)
        pyplot = extra("matplotlib.pyplot", "plot")
        figure = pyplot.figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
        axes = []
        for k, number in enumerate(worst):
            index = tuple(int(i) for i in np.unravel_index(number, self.chi2.shape))
            ax = figure.add_subplot(rows, columns, k + 1)
            self.plot(index, ax, residuals=False, **options)
            name = Status(int(self.status[index])).name
            title = f"{list(index)}: {name}, reduced chi2 {self.reduced_chi2[index]:.3g}"
            ax.set_title(title, fontsize="small")
            axes.append(ax)
        return axes

    def plot_map(
        self: Any, parameter: str, ax: Any = None, *, unit: str = "", extent: Sequence[float] | None = None
    ) -> Any:
        """Plot one parameter of all fits: an image for a batch of two axes, else points.

        Parameters
        ----------
        parameter : str
            A field of `to_structured`; fits that have not converged are left blank, but for ``"status"``
            and ``"success"``.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        unit : str
            Unit of the parameter, for its label.
        extent : sequence of four floats, optional
            Coordinates of the image's edges, as of :meth:`matplotlib.axes.Axes.imshow`.

        Returns
        -------
        matplotlib.axes.Axes
            The colours, or the axis of the points, span 96 % of the fits: single wild ones do not wash out
            the rest.

        See Also
        --------
        plot_histogram : How often each value occurs.
        to_xarray : The same with coordinates.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> image = np.arange(1.0, 7).reshape(2, 3, 1) * x
        >>> fit = nbadam.curve_fit("a * x + b", x, image, p0=[1, 0])
        >>> ax = fit.plot_map("a", unit="V", extent=(0, 3, 0, 2))
        >>> ax.images[0].get_array().shape
        (2, 3)
        """
        columns = self.columns()
        if parameter not in columns:
            raise ValueError(f"`parameter` must be one of {', '.join(columns)}, not {parameter!r}.")
        if self.chi2.ndim not in (1, 2):
            raise ValueError(f"A map needs a batch of one or two axes; this one has {self.chi2.ndim}.")
        values = columns[parameter].astype(float)
        is_code = parameter in ("status", "success")
        if not is_code:
            values = np.where(self.success & np.isfinite(values), values, np.nan)
        known = values[np.isfinite(values)]
        low, high = (None, None) if is_code or not known.size else np.quantile(known, SPREAD)
        label = f"{parameter} / {unit}" if unit else parameter
        ax = _axes(ax)
        if values.ndim == 2:
            image = ax.imshow(values, vmin=low, vmax=high, extent=extent)
            is_cut = not is_code and known.size and (known.min() < low or known.max() > high)
            ax.figure.colorbar(image, ax=ax, label=label, extend="both" if is_cut else "neither")
        else:
            ax.plot(values, ".", color="C0")
            if low is not None and high > low:
                margin = (high - low) / 2
                ends = max(known.min(), low - margin), min(known.max(), high + margin)
                ax.set_ylim(ends[0] - margin / 9, ends[1] + margin / 9)
            ax.set_xlabel("fit")
            ax.set_ylabel(label)
        ax.set_title(parameter)
        return ax

    def plot_histogram(self: Any, field: str = "reduced_chi2", ax: Any = None, *, bins: int = 50) -> Any:
        """Plot how often values of a field occur among the fits.

        Parameters
        ----------
        field : str
            A field of `to_structured`.  Of ``"status"`` the statuses are counted by name.  Of all others only
            fits that succeeded are, without the 2 % at either end that are farthest out.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure.
        bins : int
            Number of bars.

        Returns
        -------
        matplotlib.axes.Axes

        See Also
        --------
        plot_map : The values in their places.
        plot_parameters : Histograms of all parameters, and pairs of them.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> ax = fit.plot_histogram("status")
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['SUCCESS']
        """
        columns = self.columns()
        if field not in columns:
            raise ValueError(f"`field` must be one of {', '.join(columns)}, not {field!r}.")
        ax = _axes(ax)
        if field == "status":
            numbers, counts = np.unique(self.status, return_counts=True)
            bars = ax.barh([Status(int(number)).name for number in numbers], counts)
            ax.bar_label(bars, padding=3)
            ax.margins(x=0.15)
            ax.set_xlabel("fits")
            return ax
        values = columns[field][self.success].astype(float)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = np.quantile(values, SPREAD)
            ax.hist(values[(values >= low) & (values <= high)], bins)
        ax.set_xlabel(field)
        ax.set_ylabel("fits")
        return ax

    def plot_parameters(self: Any) -> Any:
        """Plot each fitted parameter of the fits that succeeded against each other, and its histogram.

        Returns
        -------
        ndarray of matplotlib.axes.Axes, shape (k, k)
            For k parameters that vary; those above the diagonal are not drawn.

        See Also
        --------
        plot_map : A parameter in its place.

        Examples
        --------
        >>> import numpy as np
        >>> import nbadam
        >>> x = np.arange(5.0)
        >>> fit = nbadam.curve_fit("a * x + b", x, [[0.1, 0.9, 2.2, 2.9, 4.1], 3 * x + 1], p0=[1, 0])
        >>> fit.plot_parameters().shape
        (2, 2)
        """
        names = [name for name, varies in zip(self.parameters, self.varies, strict=True) if varies]
        values = self.popt[self.success][:, self.varies].astype(float)
        if not len(values):
            raise ValueError("No fit succeeded.")
        shown = values[:: -(-len(values) // SCATTERED)]
        k = len(names)
        pyplot = extra("matplotlib.pyplot", "plot")
        axes = pyplot.subplots(
            k, k, squeeze=False, figsize=(2 + 1.8 * k, 1.6 + 1.6 * k), layout="constrained"
        )[1]
        limits = np.quantile(values, (0.005, 0.995), axis=0)
        for i in range(k):
            for j in range(k):
                ax = axes[i, j]
                if j > i:
                    ax.remove()
                    continue
                if i == j:
                    low, high = limits[:, i].tolist()
                    edges = np.linspace(low, high, 41) if low < high else 1
                    ax.hist(values[:, i], edges)
                    ax.set_yticks([])
                else:
                    ax.plot(shown[:, j], shown[:, i], ".", ms=2, alpha=0.4, rasterized=True)
                    if limits[0, i] < limits[1, i]:
                        ax.set_ylim(*limits[:, i])
                if limits[0, j] < limits[1, j]:
                    ax.set_xlim(*limits[:, j])
                ax.tick_params(labelbottom=i == k - 1, labelleft=j == 0 and i > 0, labelsize="small")
                ax.set_xlabel(names[j] if i == k - 1 else "")
                ax.set_ylabel(names[i] if j == 0 and i > 0 else "")
        return axes


def _title(fit: Any) -> str:
    perr = fit.perr
    values = [
        f"{name} = {value:.4g}" + (f" ± {error:.2g}" if 0 < error < np.inf else "")
        for name, value, error in zip(fit.parameters, fit.popt, perr, strict=True)
    ]
    rows = [", ".join(values[k : k + 3]) for k in range(0, len(values), 3)]
    return "\n".join(rows if fit.success else [*rows, fit.message()])


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    return extra("matplotlib.pyplot", "plot").figure(layout="constrained").add_subplot()
