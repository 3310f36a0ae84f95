"""Results of fits as text and HTML: a table of one fit, a summary of many."""

from html import escape
from typing import Any

import numpy as np

from ...status import Status

STRONG = 0.9  # absolute correlation from which on a table mentions it


def table(fit: Any) -> tuple[str, list[list[str]], list[str]]:
    """Return title, rows and remarks on the fit of one data set; the first row holds the headings."""
    perr, n = fit.perr, len(fit.parameters)
    with np.errstate(all="ignore"):
        correlation = fit.pcov / np.outer(perr, perr)
    rows = [["parameter", "value", "standard error", "correlation"]]
    for i, name in enumerate(fit.parameters):
        value, error = rounded(float(fit.popt[i]), float(perr[i]))
        if not fit.varies[i]:
            error = "fixed"
        strong = [
            f"{fit.parameters[j]} {correlation[i, j]:+.4f}"
            for j in range(n)
            if j != i and abs(correlation[i, j]) >= STRONG
        ]
        rows.append([name, value, error, ", ".join(strong)])
    free = int(np.count_nonzero(fit.free))
    whole = _whole(fit)
    remarks = whole or [
        f"chi2 {fit.chi2:.6g} for {int(fit.n_points)} points and {free} free parameters, "
        f"reduced {float(fit.reduced_chi2):.4g}",
    ]
    remarks += [
        f"derivatives: {fit.derivatives}; {int(fit.nfev)} evaluations",
        fit.message(),
    ]
    if fit.n_starts > 1:
        remarks.insert(2, f"{int(fit.n_starts):,} starts, of which {int(fit.n_reached):,} led here")
    return f"Fit of {fit.model.name}: {Status(int(fit.status)).name}", rows, remarks


def summary(fit: Any) -> tuple[str, list[list[str]], list[str]]:
    """Return title, rows and remarks on the fits of a batch, which are statistics of those that succeeded."""
    good = fit.success
    rows = [["parameter", "median", "spread", "median standard error"]]
    for i, name in enumerate(fit.parameters):
        values, errors = fit.popt[..., i][good].astype(float), fit.perr[..., i][good]
        if values.size:
            low, middle, high = np.quantile(values, [0.1587, 0.5, 0.8413])
            value, spread = rounded(middle, (high - low) / 2)
            error = f"{np.median(errors):.2g}" if fit.varies[i] else "fixed"
            rows.append([name, value, spread, error])
        else:
            rows.append([name, "", "", ""])
    remarks = ["spread: half of the interval that holds the middle 68 %", *_whole(fit), *_counts(fit)]
    return f"{fit.chi2.size:,} fits of {fit.model.name}, shape {fit.chi2.shape}", rows, remarks


def _whole(fit: Any) -> list[str]:
    """Say what data sets share, if they do."""
    if not hasattr(type(fit), "shared"):
        return []
    lines = []
    for name, (_, values, errors) in fit.shared.items():
        if np.ndim(values):
            lines.append(f"{name}: {np.size(values):,} shared values")
        else:
            value, error = rounded(float(values), float(errors))
            lines.append(f"{name}, shared: {value}, standard error {error}")
    reduced = fit.total_chi2 / fit._total_dof if fit._total_dof > 0 else np.nan
    return [*lines, f"chi2 {fit.total_chi2:.6g} of the whole, {fit._total_dof:,} degrees of freedom, "
            f"reduced {reduced:.4g}"]  # fmt: skip


def _counts(fit: Any) -> list[str]:
    numbers, counts = np.unique(fit.status, return_counts=True)
    found = sorted(zip(counts, numbers, strict=True), reverse=True)
    return [f"{count:,} {Status(int(number)).name}: {Status(int(number)).message}" for count, number in found]


def counted(fit: Any) -> str:
    """Count the fits by status, in words."""
    return "; ".join(_counts(fit))


def rounded(value: float, error: float) -> tuple[str, str]:
    """Write a value to the second digit of its error, and the error."""
    if not (np.isfinite(value) and 0 < error < np.inf):
        return f"{value:.6g}", f"{error:.2g}"
    size = max(abs(value), error)
    digits = int(np.floor(np.log10(size))) - int(np.floor(np.log10(error))) + 2
    if 1e-4 <= size < 1e6:
        decimals = max(0, digits - 1 - int(np.floor(np.log10(size))))
        return f"{value:.{decimals}f}", f"{error:.{decimals}f}"
    return f"{value:.{min(digits, 17) - 1}e}", f"{error:.1e}"


def as_text(fit: Any) -> str:
    """Lay out a table or a summary with spaces."""
    title, rows, remarks = table(fit) if fit.chi2.ndim == 0 else summary(fit)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if k in (0, 3) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([title, *lines, *remarks])


def as_html(fit: Any) -> str:
    """Lay out a table or a summary in HTML."""
    title, rows, remarks = table(fit) if fit.chi2.ndim == 0 else summary(fit)
    head, *body = ["".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row)
                   for row, tag in zip(rows, ["th"] + ["td"] * (len(rows) - 1), strict=True)]  # fmt: skip
    table_rows = "".join(f"<tr>{row}</tr>" for row in body)
    notes = "<br>".join(map(escape, remarks))
    return (
        f"<p><b>{escape(title)}</b></p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{table_rows}</tbody></table><p>{notes}</p>"
    )
