"""Covariances of fits with shared parameters."""

import numpy as np

from .covariance import factors_kernel
from .whole import Whole


class Together:
    """The covariance matrices of each data set's parameters, from those of the whole.

    Parameters
    ----------
    whole : Whole
        When it has run.

    Attributes
    ----------
    chi2 : float
        The sum over the data sets that took part.
    points, dof : int
        Their points, and degrees of freedom.
    """

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self._is_precise = False
        took_part = [whole.has_parameters(k) for k in range(len(whole.parts))]
        pairs = list(zip(whole.parts, whole.states, took_part, strict=True))
        self.chi2 = float(sum(state.chi2[which].sum() for _, state, which in pairs))
        self.points = int(sum(state.n_points[which].sum() for _, state, which in pairs))
        own = sum(part.own.size * np.count_nonzero(which) for part, _, which in pairs)
        used = np.zeros(whole.values.size, bool)
        for part, _, which in pairs:
            used[part.values[which]] = True
        self.dof = self.points - own - int(np.count_nonzero(used))
        fits = whole.sets.fits
        self.which, self.row = np.zeros(fits, int), np.zeros(fits, int)
        for k, part in enumerate(whole.parts):
            self.which[part.numbers], self.row[part.numbers] = k, np.arange(len(part.numbers))

    def tables(self) -> list[np.ndarray]:
        """Return roots of the covariances of the shared values, for the problems of each size."""
        if self.whole.plan.dtype == np.float32 and not self._is_precise:
            self.whole.make_precise()
            self._is_precise = True
        return self.whole.roots

    def shared_errors(self) -> np.ndarray:
        """Return standard errors of all shared values for errors of the data as they are given."""
        errors = np.full(self.whole.values.size, np.nan)
        for members, roots in zip(self.whole.members, self.tables(), strict=True):
            errors[members] = np.linalg.norm(roots, axis=2)
        return errors

    def roots(self, numbers: np.ndarray) -> tuple[np.ndarray, float]:
        """Return roots of the covariances of some data sets of one model, and chi-square of the whole.

        Parameters
        ----------
        numbers : ndarray of int, shape (m,)

        Returns
        -------
        ndarray, shape (m, n, n)
            Infinite where parameters are not determined; the rows of fixed parameters are 0.
        """
        if not numbers.size:
            return np.zeros((0, 0, 0)), self.chi2
        k = int(self.which[numbers[0]])
        part, state = self.whole.parts[k], self.whole.states[k]
        rows = self.row[numbers]
        self.tables()
        n = part.plan.fixed.size
        roots = np.zeros((numbers.size, n, n))
        information = np.ascontiguousarray(state.information[rows])
        with np.errstate(all="ignore"):
            factors_kernel()(information, ~part.plan.fixed, roots)
        known, inverses = self.whole.inverses(k, rows)
        roots[known] = inverses
        border = np.zeros((numbers.size, n, part.shared.size))
        for a, j in enumerate(part.shared):
            for i in part.own:
                low, high = min(i, j), max(i, j)
                border[:, i, a] = information[:, high * (high + 1) // 2 + low]
        common = self._of_values(part.values[rows])
        with np.errstate(invalid="ignore"):
            following = -roots @ (np.swapaxes(roots, 1, 2) @ border)
            roots[:, :, part.shared] = following @ common
        roots[:, part.shared[:, None], part.shared] = common
        return roots, self.chi2

    def _of_values(self, values: np.ndarray) -> np.ndarray:
        """Return roots of the covariances of some shared values, for values of shape (m, k), shape (m, k, k)."""
        distinct, inverse = np.unique(values, axis=0, return_inverse=True)
        whole, k = self.whole, values.shape[1]
        found = np.empty((len(distinct), k, k))
        tables = self.tables()
        for members, roots in zip(whole.members, tables, strict=True):
            first = whole.problem[members[0, 0]]
            row = whole.problem[distinct[:, 0]] - first
            some = np.flatnonzero((row >= 0) & (row < len(members)))
            for i in some:
                lines = roots[row[i]][whole.slot[distinct[i]]]
                if np.isfinite(lines).all():
                    found[i] = np.linalg.qr(lines.T, mode="r").T
                else:
                    found[i] = np.inf
        return found[inverse.reshape(-1)]
