"""Covariances of fits with shared parameters."""

from dataclasses import replace
from typing import Any

import numpy as np

from ... import _linalg as linalg
from ...status import Status
from ..covariance import factored
from ..finish import finish
from ..jacobians import triangle_of
from ..kernels.trust_region import LEAST_PIVOT
from ..problem import Fits
from .factored import refine
from .members import State
from .regions import Equations
from .whole import Whole


class Together:
    """The covariance matrices of each data set's parameters, from those of the whole.

    Parameters
    ----------
    whole : Whole
        When it has run.

    Attributes
    ----------
    roots : list of ndarray, shape (problems, n, n)
        Roots of the covariances of the shared values, for the problems of each size.
    """

    def __init__(self, whole: Whole) -> None:
        self.whole: Any = whole
        self.roots: list[np.ndarray] = [
            np.full((*members.shape, members.shape[1]), np.inf) for members in whole.members
        ]
        self._refined: set[int] = set()  # problems whose roots are from QR factors
        self._inverses: list[dict[int, np.ndarray]] = [{} for _ in whole.parts]
        self._is_precise = whole.plan.dtype == np.float64
        self._which, self._row = np.zeros(whole.sets.fits, int), np.zeros(whole.sets.fits, int)
        for k, part in enumerate(whole.parts):
            self._which[part.numbers], self._row[part.numbers] = k, np.arange(len(part.numbers))

    def finish(self) -> None:
        """Look again at ill-conditioned parameters, own and shared ones."""
        with np.errstate(all="ignore"):
            self._finish_own()
            for index, (members, at) in enumerate(self._equations()):
                self.roots[index], least = roots_of(at, self.whole.used[members])
                first = self.whole.numbers_of(members).start
                for row in np.flatnonzero(~(least > LEAST_PIVOT[self.whole.plan.dtype.name])):
                    number = first + int(row)
                    if self.whole.code[number] != Status.TOO_FEW_POINTS:
                        self.roots[index][row] = refine(self.whole, number)
                        self._refined.add(number)
                        self._evaluate_again(number, bool(np.isinf(self.roots[index][row]).any()))

    def _equations(self) -> list[tuple[np.ndarray, Equations]]:
        whole = self.whole
        return [(members, whole.equations(i, whole.states)) for i, members in enumerate(whole.members)]

    def _finish_own(self) -> None:
        whole = self.whole

        def work(k: int, block: slice, number: int) -> None:
            part, state = whole.parts[k], whole.states[k]
            which = np.flatnonzero(whole.included[k][block]) + block.start
            if not part.own.size:
                return
            n = state.p.shape[1]
            fits = Fits.empty(which.size, n, part.plan.dtype)
            for name in ("information", "chi2", "nfev", "status", "n_points"):
                getattr(fits, name)[:] = getattr(state, name)[which]
            fits.popt[:] = state.p[which]
            finish(whole.sets, part.plan, part.numbers[which], fits, 0)
            state.p[which], state.chi2[which], state.status[which] = fits.popt, fits.chi2, fits.status
            rows, columns = np.triu_indices(n)
            for i in np.flatnonzero(fits.is_inverse):
                inverse = self._inverses[k][int(which[i])] = np.zeros((n, n))
                inverse[rows, columns] = fits.information[i]

        whole.work_through(whole.included, work)

    def _evaluate_again(self, number: int, is_undetermined: bool) -> None:
        """Evaluate a problem where `refine` has left it."""
        whole = self.whole
        which = [included & (whole.problem_of(k) == number) for k, included in enumerate(whole.included)]
        states = whole.fitted([state.p for state in whole.states], which, 1, np.inf)
        for state, new, some in zip(whole.states, states, which, strict=True):
            new.status, new.nfev = state.status, state.nfev
            state.take(some & np.isfinite(new.chi2), new)
            if is_undetermined:
                state.status[some] = Status.UNDETERMINED

    def count(self) -> tuple[float, int, int]:
        """Return chi-square, points and degrees of freedom of the data sets that have parameters."""
        whole = self.whole
        took_part = [whole.has_parameters(k) for k in range(len(whole.parts))]
        chi2, points, fitted, used = 0.0, 0, 0, np.zeros(whole.values.size, bool)
        for part, state, which in zip(whole.parts, whole.states, took_part, strict=True):
            chi2 += float(state.chi2[which].sum())
            points += int(state.n_points[which].sum())
            fitted += part.own.size * int(np.count_nonzero(which))
            used[part.values[which]] = True
        return chi2, points, points - fitted - int(np.count_nonzero(used))

    def shared_errors(self) -> np.ndarray:
        """Return standard errors of all shared values for errors of the data as they are given."""
        self._make_precise()
        errors = np.full(self.whole.values.size, np.nan)
        for members, roots in zip(self.whole.members, self.roots, strict=True):
            errors[members] = np.linalg.norm(roots, axis=2)
        return np.where(self.whole.used, errors, np.nan)

    def roots_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return roots of the covariances of the parameters of some data sets of one model.

        Parameters
        ----------
        numbers : ndarray of int, shape (m,)

        Returns
        -------
        ndarray, shape (m, n, n)
            Infinite where parameters are not determined; the rows of fixed parameters are 0.
        """
        self._make_precise()
        k = int(self._which[numbers[0]]) if numbers.size else 0
        part, state = self.whole.parts[k], self.whole.states[k]
        rows, n = self._row[numbers], part.plan.fixed.size
        border = np.zeros((rows.size, n, part.shared.size))
        information = np.ascontiguousarray(state.information[rows])
        roots = factored(information, np.zeros(rows.size, bool), ~part.plan.fixed)
        with np.errstate(all="ignore"):
            for i, row in enumerate(rows if self._inverses[k] else ()):
                roots[i] = self._inverses[k].get(int(row), roots[i])
            for a, j in enumerate(part.shared):
                for i in part.own:
                    low, high = min(i, j), max(i, j)
                    border[:, i, a] = information[:, high * (high + 1) // 2 + low]
            common = self._of_values(part.values[rows])
            following = -roots @ (np.swapaxes(roots, 1, 2) @ border)
            roots[:, :, part.shared] = following @ common
        roots[:, part.shared[:, None], part.shared] = common
        return roots

    def _of_values(self, values: np.ndarray) -> np.ndarray:
        """Return roots of the covariances of shared values; of shape (m, k), the roots (m, k, k)."""
        distinct, inverse = np.unique(values, axis=0, return_inverse=True)
        whole, k = self.whole, values.shape[1]
        found = np.full((len(distinct), k, k), np.inf)
        for members, roots in zip(whole.members, self.roots, strict=True):
            row = whole.problem[distinct[:, 0]] - whole.numbers_of(members).start
            for i in np.flatnonzero((row >= 0) & (row < len(members))):
                lines = roots[row[i]][whole.slot[distinct[i]]]
                if np.isfinite(lines).all():
                    found[i] = triangle_of(lines.T).T
        return found[inverse.reshape(-1)]

    def _make_precise(self) -> None:
        """Evaluate fits in single precision again, in double precision."""
        if self._is_precise:
            return
        whole = self.whole
        with np.errstate(all="ignore"):
            for k, part in enumerate(whole.parts):
                part.plan = replace(part.plan, dtype=np.dtype(float))
                which, state, new = np.flatnonzero(whole.included[k]), whole.states[k], State.empty(part)
                new.p[:] = state.p
                if which.size:
                    whole.fit_again(k, which, new.p[which], 1, np.inf, new)
                state.information, state.schur, state.reduced = new.information, new.schur, new.reduced
            for index, (members, at) in enumerate(self._equations()):
                roots, _ = roots_of(at, whole.used[members])
                first = whole.numbers_of(members).start
                others = [row for row in range(len(members)) if first + row not in self._refined]
                self.roots[index][others] = roots[others]
        self._is_precise = True


def roots_of(at: Equations, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return roots of the inverses of the matrices, and their least eigenvalues by the diagonals.

    Parameters
    ----------
    at : Equations
    used : ndarray of bool, shape (problems, n)
        The values that data sets have; the others do not matter.
    """
    n = used.shape[1]
    unit = np.where(at.diagonal > 0, 1 / np.sqrt(at.diagonal), 0)
    scaled = unit[:, :, None] * at.matrix * unit[:, None, :]
    values, vectors = linalg.eigh(np.where(used[:, :, None] & used[:, None, :], scaled, np.eye(n)))
    roots = unit[:, :, None] * vectors / np.sqrt(values)[:, None, :]
    least = np.where(((unit > 0) | ~used).all(axis=1), values[:, 0], 0)
    roots[~(least > n * float(np.finfo(float).eps))] = np.inf
    return roots, least
