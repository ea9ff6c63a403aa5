"""Write the pictures, the tables and the two reports of a run into its folder."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnet import bang
from jaxnet.core import folders, metrics
from jaxnet.core.types import Batch, Dataset, Params
from jaxnet.plot.style import Picture
from jaxnet.reports import html, run_report
from jaxnet.reports.bang_report import BangResults
from jaxnet.reports.page import Frames
from jaxnet.training import run_folder

MOST_ROWS = 20_000
"""A table on a page has at most this many rows. A page with a longer table opens slowly."""


def publish(folder: Path, run: run_folder.Run, start: Params, train: Batch, images: Dataset) -> None:
    """Draw every picture of a run into its folder and compose `report.html`.

    Args:
        folder: The run folder.
        run: The run in this folder.
        start: The parameters before training.
        train: The training images of the run.
        images: The data set. It has the test images and the names of the classes.
    """
    found = run_report.gradients(run.functions, start, run.params, train)
    outputs = metrics.predict(run.functions.apply, run.params, images.test.images)
    drawn = {
        **dict(run_report.of_gradients(run.settings, run.params, found, train, images.classes)),
        "history": run_report.of_history(run.history, run.evaluations, run.result["judged_by"]),
        **({"signals": run_report.of_signals(run.signals, run.params)} if len(run.signals.get("step", ())) else {}),
        **dict(run_report.of_reading(run.settings, run.functions, start, run.params, images, outputs)),
    }
    _write(folder, run, drawn, bang.top(found.start, 50, image_shape=run.image_shape))


def _write(folder: Path, run: run_folder.Run, pictures: Mapping[str, Picture], nudges: Sequence[bang.Nudge]) -> None:
    """Draw the pictures into the run folder and compose its report."""
    (folder / "pictures").mkdir(exist_ok=True)
    drawn = {}
    for name, (figure, caption) in pictures.items():
        image = html.png(figure)
        folders.write_file(folder / "pictures" / f"{name}.png", image)
        drawn[name] = (image, caption)
    shown = {name: picture for name, picture in drawn.items() if name != "bang_print"}
    result, settings = run.result, run.settings
    right = 100 * result["test_accuracy"]
    facts = {
        "right answers on test images": f"{right:.2f} %",
        "parameters": f"{result['parameters']:,}",
        "steps": f"{result['steps']:,}",
        "average cost": "not finite" if result["cost"] is None else f"{result['cost']:.4g}",
        "seconds of training": f"{result['seconds']:.1f}",
        "seed": str(settings.seed),
    }
    ended = " The training was stopped early." if result["interrupted"] else ""
    if not result.get("learned", True):
        ended += (
            f" The training failed: a network that always answers {result['most_frequent']} is right for "
            f"{100 * result['most_frequent_share']:.2f} %."
        )
    lead = (
        f"A network with {result['parameters']:,} random parameters was trained with {result['steps']:,} steps downhill on "
        f"{result['train_images']:,} images. Now it recognizes {right:.2f} % of {result['test_images']:,} test images that it "
        f"has never seen.{ended}"
    )
    ranking = [(i, *_told(nudge)) for i, nudge in enumerate(nudges, start=1)]
    heads = ("rank", "what to do", "array", "position", "dC/dp", "times the next")
    if settings.model == "dense":  # the column "what to do" already names the array and the position
        heads, ranking = (*heads[:2], *heads[4:]), [(*row[:2], *row[4:]) for row in ranking]
    tables = {
        "The 50 largest components of the gradient, before training": html.table(heads, ranking),
        **_classes(run.classes),
        "All settings of the run, to repeat the run": html.settings_table(settings),
        "Versions": html.table(("package", "version"), run.versions.items()),
    }
    page = html.page(f"jaxnet: {settings.preset} on {settings.data}", lead, facts, shown, tables)
    folders.write_file(folder / "report.html", page.encode())


def publish_bang(
    folder: Path, run: run_folder.Run, found: BangResults, *, title: str, lead: str, animation: Path | None = None,
    frames: Frames | None = None,
) -> Path:  # fmt: skip
    """Write the results of the instruments into a run's folder: `bang.html`, and `bang/` with pictures, a table and arrays.

    Args:
        folder: The run folder.
        run: The run in this folder.
        found: Pictures, columns, facts and arrays.
        title: The page's headline.
        lead: One or two sentences about the content.
        animation: The file of the animation in `bang/`. If it is None, the page has no animation.
        frames: The frames of the animation, for the page.

    Returns:
        The path of `bang.html`.
    """
    (folder / "bang").mkdir(exist_ok=True)
    drawn: dict[str, tuple[bytes | Frames, str]] = {}
    if frames is not None:
        told = (
            "The negative gradient from the start to the end of the run. Blue (the right end of the bar): move the parameter up. "
            "Orange (the left end): move it down. Every frame has its own scale. The small curve shows the cost."
        )
        drawn["animation"] = (frames, told)
    columns = {name: list(values) for name, values in found.columns.items()}
    archive, table = io.BytesIO(), io.StringIO(newline="")
    arrays: dict[str, Any] = {name.replace("/", "."): array for name, array in found.arrays.items()}
    np.savez_compressed(archive, **arrays)
    folders.write_file(folder / "bang" / "arrays.npz", archive.getvalue())
    writer = csv.writer(table)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    folders.write_file(folder / "bang" / "parameters.csv", table.getvalue().encode())
    # The numbers took minutes to measure. They are already saved, so they are not lost if the drawing fails.
    for name, (figure, caption) in found.pictures.items():
        image = html.png(figure)
        drawn[name] = (image, caption)
        folders.write_file(folder / "bang" / f"{name}.png", image)
    count = len(next(iter(columns.values())))
    best = np.argsort(-np.abs(np.asarray(columns["dC/dp"])), kind="stable")[:MOST_ROWS]
    left_out = {"array"} if run.settings.model == "dense" else set()  # the first column already names the array
    shown = {name: [values[i] for i in best] for name, values in columns.items() if name not in left_out}
    heading = (
        "Every parameter"
        if count <= MOST_ROWS
        else f"The {MOST_ROWS:,} parameters with the largest gradient (of {count:,})"
    )
    tables = {name: html.table(heads, rows) for name, (heads, rows) in found.tables.items()}
    tables |= {f"{heading}, sorted by the size of the gradient": html.sortable(list(shown), list(shown.values()))}
    tables |= _classes(run.classes)
    tables |= {"Settings of the run": html.settings_table(run.settings)}
    kept = {
        "arrays.npz",
        "parameters.csv",
        *(f"{name}.png" for name in found.pictures),
        *([animation.name] if animation else []),
    }
    for path in (folder / "bang").iterdir():
        if path.name not in kept:
            path.unlink()  # a file of an earlier call, with other parameters or instruments
    page = folder / "bang.html"
    folders.write_file(page, html.page(title, lead, found.facts, drawn, tables).encode())
    return page


def _classes(classes: Sequence[str]) -> dict[str, str]:
    """A table of class names, for pictures that show a number because no font has the letters.

    If every name is just the class's number, there is no table.
    """
    if all(name == str(i) for i, name in enumerate(classes)):
        return {}
    return {"Classes": html.table(("number of the class", "name"), list(enumerate(classes)))}


def _told(nudge: bang.Nudge) -> tuple[str, str, str, float, float]:
    words = nudge.text.partition(";")[0]
    return words, nudge.leaf, ", ".join(map(str, nudge.position)), nudge.gradient, nudge.ratio
