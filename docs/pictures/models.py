"""Write a page with a picture for each model that ships, from its description: run by `conf.py`."""

import re
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from nbadam import models
from nbadam.fitting.model.projection import Projection, Term

GREY = "#888888"  # legible on light and on dark pages
STYLE = {
    "svg.hashsalt": "nbadam",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY),
}


def write(folder: Path) -> None:
    """Write pages, pictures, and the list of all models by theme."""
    folder.mkdir(exist_ok=True)
    shipped = [getattr(models, name) for name in models.__all__]
    lines = []
    for group in dict.fromkeys(model.group for model in shipped):
        lines += [f"**{group}**", "", ".. list-table::", "   :widths: 32 68", ""]
        for model in shipped:
            if model.group == group:
                lines += [f"   * - :doc:`/shipped/{model.constant}`", f"     - {model.summary}"]
        lines.append("")
    (folder / "list.txt").write_text("\n".join(lines))
    for model in shipped:
        (folder / f"{model.constant}.rst").write_text(page(model))
        draw(model, folder / f"{model.constant}.svg")


def page(model) -> str:
    """Return the text of a page."""
    lines = [model.constant, "=" * len(model.constant), "", model.summary, "", ".. code-block:: text", ""]
    lines += [f"   y = {model.expression}", "", f".. image:: {model.constant}.svg", ""]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 20 60 20", ""]
    lines += ["   * - name", "     - meaning", "     - unit"]
    for name, text in model.means.items():
        meaning, unit = re.fullmatch(r"(.*?)(?: \[(.*)\])?", text).groups()
        lines += [f"   * - ``{name}``", f"     - {meaning}", f"     - {unit or ''}"]
    lines += ["", *[text for text in (model.notes, model.hint) if text for text in (text, "")]]
    lines += [f"Guess: {guess(model)}", "", ".. code-block:: python", ""]
    points = "x" if len(model.variables) == 1 else f"({', '.join(model.variables)})"
    lines += [f"   fit = nbadam.curve_fit(nbadam.models.{model.constant}, {points}, y)", ""]
    return "\n".join(lines)


def guess(model) -> str:
    """Tell how a model guesses."""
    if model.shapes is None:
        return "from the brightest or the darkest place, with several widths around it."
    if not set(model.shapes.linear) <= set(model.parameters):
        return "linear regression for heights, at each point of a grid of the other parameters that suits x."
    linear = [name for name in model.parameters if name in model.shapes.linear]
    others = [f"``{name}``" for name in model.parameters if name not in linear]
    if not others:
        return "linear regression, which is the fit."
    return f"a grid of {', '.join(others)} that suits x, with linear regression at each of its points."


def draw(model, path: Path) -> None:
    """Draw simulated data with noise, the true curve, and the curve of the guess."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.patch.set_visible(False)
        if model.group == "Images":
            x, y = np.meshgrid(*(np.linspace(*ends, 60) for ends in model.domain))
            values = model(np.stack([x.ravel(), y.ravel()]), *model.example).reshape(x.shape)
            image = axes.imshow(values, origin="lower", extent=np.ravel(model.domain), cmap="viridis")
            figure.colorbar(image)
            axes.set(xlabel="x", ylabel="y")
        else:
            curves(model, axes)
        figure.savefig(path, transparent=True, metadata={"Date": None})


def curves(model, axes) -> None:
    """Draw one curve, or one for each of some values of the second variable."""
    rng = np.random.default_rng(0)
    first = model.domain if len(model.variables) == 1 else model.domain[0]
    seconds = [None] if len(model.variables) == 1 else np.unique(np.linspace(*model.domain[1], 3))
    fine, some = np.linspace(*first, 300), np.linspace(*first, 41)
    fine, some = (np.where(x == 0, 1e-9 * first[1], x) for x in (fine, some))
    for k, second in enumerate(seconds):

        def at(x, second=second):
            return x if second is None else np.stack([x, np.full(x.size, second)])

        curve, y = model(at(fine), *model.example), model(at(some), *model.example)
        y = y + 0.03 * (np.ptp(y) or 1) * rng.standard_normal(y.size)
        name = "curve" if second is None else f"{model.variables[1]} = {second:g}"
        axes.plot(some, y, ".", color=f"C{k}", ms=4)
        axes.plot(fine, curve, color=f"C{k}", label=name)
        if second is None:
            start = Projection([Term(model, None)])(some, y)
            axes.plot(fine, model(fine, *start), "--", color="C1", lw=1, label="guess")
    axes.set(xlabel=model.variables[0], ylabel="y")
    axes.legend(frameon=False, fontsize=8)
