"""The plan of a fit, the kernel inputs of one block of data sets, and the results."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..blocks import is_called_off
from ..lazy import lazy
from ..status import Status
from .data import DataSets, RaggedSets, as_slice
from .kernels import adam, minibatch
from .kernels.compile import LONG, kernels
from .kernels.losses import Loss
from .kernels.trust_region import least_chi2
from .model.model import Model

# Fits with one of these have parameters, if not the right ones.
ENDED = Status.SUCCESS, Status.MAXITER, Status.UNDETERMINED, Status.NOT_MOVED, Status.RUNAWAY
POOR = 0.1  # share of the data's variation; of fits between bounds that leave less, few are in false minima
HAS_ENDED = np.isin(range(128), ENDED)  # whether a fit with a status has parameters


@dataclass
class Plan:
    """Everything about the fits that is not data."""

    method: str
    search: str
    model: Model
    loss: Loss
    f_scale: float
    dtype: np.dtype
    start: Callable[[np.ndarray], np.ndarray]  # p0 of the data sets with given numbers, shape (fits, n)
    lower: np.ndarray | None  # shape (n,) or (fits, n)
    upper: np.ndarray | None
    fixed: np.ndarray  # bool, shape (n,)
    ftol: float
    xtol: float
    max_nfev: int
    batch_size: int | None  # points that a step of Adam sees, if not all
    seed: tuple[int, ...]  # seed of their order
    workers: int
    progress: bool

    @property
    def bounded(self) -> bool:
        """Whether the kernel must look after bounds; a fixed parameter lies between equal ones."""
        return self.lower is not None or bool(self.fixed.any())


@dataclass
class Fits:
    """Results of the fits, in the order of the data sets."""

    popt: np.ndarray
    information: np.ndarray  # lower triangle of the normal matrix, row by row ...
    is_inverse: np.ndarray  # ... or upper triangle of the inverse of the Jacobian's factor R
    chi2: np.ndarray
    nfev: np.ndarray
    status: np.ndarray
    unsure: np.ndarray  # whether `finish` has to look at the fit
    n_points: np.ndarray
    n_starts: np.ndarray  # starts of a search; 0 where the start was given
    n_reached: np.ndarray  # starts that led to the minimum

    @classmethod
    def empty(cls, fits: int, n: int, dtype: Any) -> "Fits":
        """Room for `fits` results, none of which is there yet: see `clear`."""
        return cls(
            popt=np.empty((fits, n), dtype),
            information=np.empty((fits, n * (n + 1) // 2), dtype),
            is_inverse=np.zeros(fits, bool),
            chi2=np.empty(fits, dtype),
            nfev=np.zeros(fits, np.int32),
            status=np.full(fits, Status.NOT_RUN.value, np.int8),
            unsure=np.ones(fits, bool),
            n_points=np.zeros(fits, np.int64),
            n_starts=np.zeros(fits, np.int32),
            n_reached=np.zeros(fits, np.int32),
        )

    def clear(self, where: Any) -> None:
        """Set the results of some fits to NaN; their status stays."""
        for array in (self.popt, self.information, self.chi2):
            array[where] = np.nan

    def __getitem__(self, which: np.ndarray | slice) -> "Fits":
        """Take some of the fits; those of a slice share their memory with these."""
        return Fits(**{name: array[which] for name, array in vars(self).items()})

    def __setitem__(self, which: np.ndarray, fits: "Fits") -> None:
        """Put some fits in their places."""
        where = which if which.dtype == bool else as_slice(which)
        for name, array in vars(self).items():
            array[where] = getattr(fits, name)


class Problem:
    """A block of data sets with all that kernels need to fit them."""

    sets: DataSets | RaggedSets
    plan: Plan

    def __init__(self, sets: DataSets | RaggedSets, plan: Plan, chosen: np.ndarray) -> None:
        self.sets, self.plan = sets, plan
        block = sets.block(chosen, plan.dtype)
        y = block.data[:, 0]
        if plan.loss.is_likelihood and (y < 0).any():
            raise ValueError(f"`ydata` must be >= 0 with loss={plan.loss.name!r}, not {y[y < 0][0]:g}.")
        self._kernels_of = lambda loss: kernels(
            plan.model,
            plan.dtype.type.__name__,  # NumPy takes long for the name of the dtype itself
            block.weighted,
            block.own_x,
            plan.bounded,
            loss,
            block.correlated,
            block.data.shape[2] >= LONG,
        )
        self._loss = plan.loss
        self._kernels = self._kernels_of(plan.loss)
        self.p0: np.ndarray = np.array(plan.start(chosen), dtype=plan.dtype, order="C")
        self._box = box(plan, chosen, self.p0)
        # Correlated data need columns for whitened residuals and derivatives.
        scratch = (1 + self.p0.shape[1]) * block.correlated
        self._data = block.x, np.pad(block.data, ((0, 0), (0, scratch), (0, 0))) if scratch else block.data
        self._weighted, self._correlated = block.weighted, block.correlated
        self._f_scale = plan.dtype.type(plan.f_scale)
        self.points: np.ndarray = block.points
        self.chi2_of_rounding: Any = block.chi2_of_rounding
        self._too_few = block.points < plan.fixed.size - np.count_nonzero(plan.fixed)

    def fitted(
        self, start: np.ndarray, max_nfev: int, loss: Loss | None = None, room: Fits | None = None
    ) -> Fits:
        """Run Levenberg-Marquardt from `start`, with another loss if one is given; write to `room`."""
        part = Fits.empty(start.shape[0], start.shape[1], start.dtype) if room is None else room
        loss = self._loss if loss is None else loss
        compiled = self._kernels if loss == self._loss else self._kernels_of(loss)
        compiled.fit(
            *self._data, *self._box, self._f_scale, start, self._poor, self.plan.ftol, self.plan.xtol,
            1.0 if loss.is_likelihood else 0.0, max_nfev, part.popt, part.information, part.chi2, part.nfev,
            part.status, part.unsure,
        )  # fmt: skip
        if is_called_off():
            part.clear(part.status == Status.NOT_RUN)
        part.n_points[:] = self.points
        underflow = part.chi2 < least_chi2(start.dtype)
        if underflow.any():
            part.status[self._underflow(underflow)] = Status.UNDERFLOW.value
        part.status[self._too_few] = Status.TOO_FEW_POINTS.value
        if part.status.any():  # not all are successes
            part.clear(~HAS_ENDED[part.status])
        return part

    def bound(self, numbers: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Give some parameters other bounds, shape (fits, len(numbers)); equal ones hold them."""
        self._box[0][:, numbers], self._box[1][:, numbers] = lower, upper

    def evaluated(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return chi-squares, minus half their gradients, and the normal matrices at `p`."""
        return self._kernels.evaluate(*self._data, *self._box, self._f_scale, p)

    def _underflow(self, is_small: np.ndarray) -> np.ndarray:
        """Tell which fits of small chi-square have data so small that the model need not fit them."""
        data = self._data[1][is_small]
        residuals = data[:, 0] * data[:, 1] if self._weighted else data[:, 0]
        size = np.abs(residuals).max(axis=1, initial=0)
        # By their bits: where a library has switched subnormal numbers off, they compare like 0.
        bits = np.ascontiguousarray(data[:, 0]).view(f"u{data.itemsize}") << 1
        counts = (bits != 0) & (data[:, 1] > 0) if self._weighted else bits != 0
        small = size < np.sqrt(least_chi2(data.dtype)) / np.finfo(data.dtype).eps
        underflow = is_small.copy()
        underflow[is_small] = counts.any(axis=1) & small
        return underflow

    def screened(self, trials: np.ndarray, linear: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
        """Solve for the linear parameters of each trial by least squares; return the best: see `screen`."""
        compiled = self._kernels if self._loss.name == "linear" else self._kernels_of(Loss("linear"))
        return compiled.screen(*self._data, *self._box, self._f_scale, trials, linear, kept)

    @lazy
    def _poor(self) -> np.ndarray:
        """Chi-squares that suggest a false minimum between bounds, shape (fits,): a share of those of means.

        Infinite for fits without bounds.  Empty for losses that are no sums of squares and correlated data.
        """
        lower, upper = self._box
        data = self._data[1]
        if not lower.size or self._loss.is_likelihood or self._correlated:
            return np.empty(0, data.dtype)
        y, weight = data[:, 0], data[:, 1] if self._weighted else np.ones(1, data.dtype)
        with np.errstate(all="ignore"):
            square = np.broadcast_to(weight * weight, y.shape)
            mean = (square * y).sum(axis=1) / square.sum(axis=1)
            poor = POOR * (((y - mean[:, None]) * weight) ** 2).sum(axis=1)
        is_bounded = (lower < upper) & ((lower > -np.inf) | (upper < np.inf))
        return np.where(is_bounded.any(axis=1), poor, np.inf).astype(data.dtype)

    @lazy
    def _scale(self) -> np.ndarray:
        """Changes of each parameter that would move the model by the residuals, shape (fits, n)."""
        # Those of a sum of squares: where all points are outliers, robust losses are flat, and one fit in ten
        # ran away.
        sums = self.fitted(self.p0, 1, self._loss if self._loss.is_likelihood else Loss("linear"))
        squares = sums.information[:, [j * (j + 3) // 2 for j in range(self.p0.shape[1])]]
        with np.errstate(all="ignore"):
            scale = np.where(squares > 0, np.sqrt(sums.chi2[:, None] / squares), np.abs(self.p0))
        return np.ascontiguousarray(scale, self.p0.dtype)

    def warmed_up(self, steps: int, learning_rate: float, scaling: int) -> np.ndarray:
        """Make steps of Adam from p0; return the best points, shape (fits, n)."""
        scale = self._scale
        if scaling == adam.ABSOLUTE:
            scale = np.where(self.p0 == 0, scale, np.abs(self.p0))
        return self._kernels.descend(
            *self._data, *self._box, self._f_scale, steps, learning_rate, scale, self.p0
        )

    def descended(self, plan: Plan) -> Fits:
        """Let Adam do it alone; its point has converged only if no full step could improve it."""
        if plan.batch_size is None:
            part = self.fitted(self.warmed_up(plan.max_nfev, adam.LEARNING_RATE, adam.JACOBIAN), 1)
        else:
            part = self._sampled(plan, plan.batch_size)
        part.nfev[part.status != Status.TOO_FEW_POINTS] += plan.max_nfev
        return part

    def _sampled(self, plan: Plan, batch_size: int) -> Fits:
        """Make steps of Adam on batches of the points; look at all of them only before and after."""
        begun = self.fitted(self.p0, 1)
        p, m, v = self.p0.copy(), np.zeros_like(self.p0), np.zeros_like(self.p0)
        mean = self.p0.astype(float)
        counting = plan.max_nfev - max(1, int(minibatch.TAIL * plan.max_nfev))
        done = 0
        for order in minibatch.batches(plan.seed, self._data[1].shape[2], batch_size, plan.max_nfev):
            self._kernels.descend_batches(
                *self._data, *self._box, self._f_scale, done, plan.max_nfev, adam.LEARNING_RATE, counting,
                order, self._scale, p, m, v, mean,
            )  # fmt: skip
            done += len(order)
        part = self.fitted(mean.astype(p.dtype), 1)
        worse = np.isnan(part.chi2) | (part.chi2 > begun.chi2)
        part[worse] = begun[worse]
        part.nfev += begun.nfev
        return part


def bounds_of(plan: Plan, numbers: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of the data sets with given numbers, shape (fits, n)."""
    both = []
    for bound, unlimited in ((plan.lower, -np.inf), (plan.upper, np.inf)):
        values = np.asarray(unlimited if bound is None else bound if bound.ndim == 1 else bound[numbers])
        both.append(np.broadcast_to(values, (numbers.size, n)))
    return both[0], both[1]


def box(plan: Plan, chosen: np.ndarray, p0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of some fits, those of fixed parameters equal; `p0` is moved into them."""
    if not plan.bounded:
        return np.empty((0, 0), plan.dtype), np.empty((0, 0), plan.dtype)
    bounds = [np.array(bound, plan.dtype, order="C") for bound in bounds_of(plan, chosen, p0.shape[1])]
    for bound in bounds:
        bound[:, plan.fixed] = p0[:, plan.fixed]
    np.clip(p0, *bounds, out=p0)
    return bounds[0], bounds[1]
