"""The argument `shared`: which parameters data sets have in common, and in which groups."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...checks import shown


class SharedValues(NamedTuple):
    """The values of one shared parameter.

    Attributes
    ----------
    groups : ndarray or None
        The labels of the groups, shape (n_groups,); None where all data sets share one value.
    values, errors : ndarray
        Values and standard errors, of shape (n_groups,), or numbers.
    """

    groups: np.ndarray | None
    values: np.ndarray
    errors: np.ndarray


# Shared values that data sets may couple to each other, all of them or in one dense system.
MOST, MOST_ENTRIES = 2000, 1 << 25


@dataclass
class Sharing:
    """The values of shared parameters, numbered one after the other.

    Attributes
    ----------
    names : tuple of str
        The shared parameters.
    groups : dict of str to ndarray
        For each the labels of its groups, None for a single group.
    first : dict of str to int
        For each the number of the value of its first group.
    values : ndarray of int, shape (fits, len(names))
        The numbers of each data set's values.
    """

    names: tuple[str, ...]
    groups: dict[str, np.ndarray | None]
    first: dict[str, int]
    values: np.ndarray

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(1 if labels is None else labels.size for labels in self.groups.values())


def parse_shared(shared: Any, parameters: tuple[str, ...], batch: tuple[int, ...]) -> Sharing:
    """Return which data sets share which values.

    Parameters
    ----------
    shared : str, sequence of str, or dict of str to array of labels
    parameters : tuple of str
        All parameters that there are.
    batch : tuple of int
        Shape of the batch.

    Raises
    ------
    ValueError
        If `shared` has another form, or names what is no parameter; if labels do not go with the batch.
    """
    if not batch:
        raise ValueError("`shared` goes with several data sets, `ydata` of shape (..., m); there is one.")
    given = [shared] if isinstance(shared, str) else shared
    try:
        names = tuple(given)
    except TypeError:
        names = ()
    unknown = [name for name in names if not isinstance(name, str) or name not in parameters]
    if not names or unknown or len(set(names)) < len(names):
        raise ValueError(
            f"`shared` must list some of the parameters {parameters}, each once, or give the groups of each "
            f"as {{'{parameters[-1]}': labels}}, not {shown(shared)}."
        )
    fits = int(np.prod(batch, dtype=int))
    groups: dict[str, np.ndarray | None] = {}
    first, columns, count = {}, [], 0
    for name in names:
        labels, numbers = (None, np.zeros(fits, int))
        if isinstance(given, dict) and given[name] is not None:
            labels, numbers = _grouped(name, given[name], batch)
        groups[name], first[name] = labels, count
        columns.append(count + numbers)
        count += 1 if labels is None else labels.size
    return Sharing(names, groups, first, np.stack(columns, axis=1))


def _grouped(name: str, given: Any, batch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels of a parameter, and the number of each data set's label."""
    try:
        labels = np.asarray(given)
        if not labels.ndim:  # a name, for example
            raise TypeError
        labels = labels.astype(str) if labels.dtype == object else labels
        each = np.broadcast_to(labels, batch).ravel()
        distinct, numbers = np.unique(each, return_inverse=True)
    except (TypeError, ValueError):
        raise ValueError(
            f"`shared` must give {name!r} one label for each data set, an array of shape {batch}, not "
            f"{shown(given)}."
        ) from None
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"The labels of {name!r} in `shared` must be finite: {shown(given)}.")
    return distinct, numbers.reshape(-1)


def independent(count: int, tables: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Part the shared values into those that no data set couples.

    Parameters
    ----------
    count : int
        How many values there are.
    tables : list of ndarray of int, shape (fits, k)
        The numbers of the values of each data set.

    Returns
    -------
    problem, slot : ndarray of int, shape (count,)
        For each value the number of its problem, and its place in it.
    members : list of ndarray of int, shape (problems, n)
        The values of all problems of one size, least size first; problems are numbered in this order.

    Raises
    ------
    ValueError
        If too many values are coupled.
    """
    label = np.arange(count)
    if any(table.shape[1] > 1 for table in tables):
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        edges = [table[:, [0, j]] for table in tables for j in range(1, table.shape[1])]
        ends = np.unique(np.concatenate(edges), axis=0)
        graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
        label = connected_components(graph, directed=False)[1]
    sizes = np.bincount(label)
    largest = int(sizes.max())
    if largest > MOST or (sizes.astype(float) ** 2).sum() > MOST_ENTRIES:
        raise ValueError(
            f"`shared` couples {largest:,} values to each other, {count:,} in all; they are solved for in a "
            f"dense system, and at most {MOST:,} may be coupled: use fewer groups, or such that do not cross."
        )
    order = np.argsort(sizes, kind="stable")  # problems by size
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    problem = rank[label]
    by_problem = np.argsort(problem, kind="stable")
    slot = np.empty(count, int)
    members, start = [], 0
    for size in np.unique(sizes):
        number = int(np.count_nonzero(sizes == size))
        rows = by_problem[start : start + number * size].reshape(number, size)
        slot[rows] = np.arange(size)
        members.append(rows)
        start += number * size
    return problem, slot, members
