"""What was drawn and measured of a run, written into its folder: pictures, tables, and the two reports."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnet import bang, losses, portraits, report
from jaxnet import run as folders
from jaxnet._types import Batch, Dataset, Params
from jaxnet.dossier import Dossier
from jaxnet.pages import Frames
from jaxnet.report import Picture

MOST_ROWS = 20_000
"""A page with a longer table is slow to open."""


def publish(folder: Path, run: folders.Run, start: Params, train: Batch, images: Dataset) -> None:
    """Draw every picture of a run into its folder and compose `report.html`.

    Args:
        folder: The run folder.
        run: What is in it.
        start: The parameters before training.
        train: The images it was trained on.
        images: The data set, for test images and names of classes.
    """
    found = portraits.gradients(run.recipe, start, run.params, train)
    outputs = losses.outputs(run.recipe.apply, run.params, images.test.images)
    drawn = {
        **dict(portraits.of_gradients(run.settings, run.params, found, train, images.classes)),
        "history": portraits.of_history(run.history, run.evaluations, run.result["judged_by"]),
        **({"signals": portraits.of_signals(run.signals, run.params)} if len(run.signals.get("step", ())) else {}),
        **dict(portraits.of_reading(run.settings, run.recipe, start, run.params, images, outputs)),
    }
    _write(folder, run, drawn, bang.top(found.start, 50, image_shape=run.image_shape))


def _write(folder: Path, run: folders.Run, pictures: Mapping[str, Picture], nudges: Sequence[bang.Nudge]) -> None:
    """Draw the pictures into the run folder and compose its report."""
    (folder / "pictures").mkdir(exist_ok=True)
    drawn = {}
    for name, (figure, caption) in pictures.items():
        image = report.png(figure)
        folders.write_file(folder / "pictures" / f"{name}.png", image)
        drawn[name] = (image, caption)
    shown = {name: picture for name, picture in drawn.items() if name != "bang_print"}
    result, settings = run.result, run.settings
    right = 100 * result["test_accuracy"]
    facts = {
        "right on test images": f"{right:.2f} %",
        "parameters": f"{result['parameters']:,}",
        "steps": f"{result['steps']:,}",
        "average cost": "not finite" if result["cost"] is None else f"{result['cost']:.4g}",
        "seconds of training": f"{result['seconds']:.1f}",
        "seed": str(settings.seed),
    }
    ended = " It was stopped early." if result["interrupted"] else ""
    if not result.get("learned", True):
        ended += (
            f" The training failed: always answering {result['most_frequent']} would be right for "
            f"{100 * result['most_frequent_share']:.2f} %."
        )
    lead = (
        f"A network with {result['parameters']:,} parameters, started at random, walked {result['steps']:,} steps downhill "
        f"on {result['train_images']:,} images and now reads {right:.2f} % of {result['test_images']:,} "
        f"test images it has never seen.{ended}"
    )
    ranking = [(i, *_told(nudge)) for i, nudge in enumerate(nudges, start=1)]
    heads = ("rank", "what to do", "array", "position", "dC/dp", "times the next")
    if settings.model == "dense":  # what to do says it in words
        heads, ranking = (*heads[:2], *heads[4:]), [(*row[:2], *row[4:]) for row in ranking]
    tables = {
        "The fifty largest components of the gradient, before training": report.table(heads, ranking),
        **_classes(run.classes),
        "Settings, enough to repeat the run": report.settings_table(settings),
        "Versions": report.table(("package", "version"), run.versions.items()),
    }
    page = report.page(f"jaxnet: {settings.preset} on {settings.data}", lead, facts, shown, tables)
    folders.write_file(folder / "report.html", page.encode())


def publish_bang(
    folder: Path, run: folders.Run, found: Dossier, *, title: str, lead: str, film: Path | None = None,
    frames: Frames | None = None,
) -> Path:  # fmt: skip
    """Write what the instruments found into a run's folder: `bang.html`, and `bang/` with pictures, table and arrays.

    Args:
        folder: The run folder.
        run: What is in it.
        found: Pictures, columns, facts and arrays.
        title: The page's headline.
        lead: What was done, in a sentence or two.
        film: The film, already in `bang/`, None for none.
        frames: Its frames, for the page.

    Returns:
        The path of `bang.html`.
    """
    (folder / "bang").mkdir(exist_ok=True)
    drawn: dict[str, tuple[bytes | Frames, str]] = {}
    if frames is not None:
        told = (
            "The negative gradient from the start of the run to its end. Blue (the right end of the bar): move the parameter up. "
            "Orange (the left end): move it down. Every frame has its own scale; the small curve shows the cost."
        )
        drawn["film"] = (frames, told)
    columns = {name: list(values) for name, values in found.columns.items()}
    archive, table = io.BytesIO(), io.StringIO(newline="")
    arrays: dict[str, Any] = {name.replace("/", "."): array for name, array in found.arrays.items()}
    np.savez_compressed(archive, **arrays)
    folders.write_file(folder / "bang" / "arrays.npz", archive.getvalue())
    writer = csv.writer(table)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    folders.write_file(folder / "bang" / "parameters.csv", table.getvalue().encode())
    # After the numbers, so that a failure here costs none that took minutes to measure.
    for name, (figure, caption) in found.pictures.items():
        image = report.png(figure)
        drawn[name] = (image, caption)
        folders.write_file(folder / "bang" / f"{name}.png", image)
    count = len(next(iter(columns.values())))
    best = np.argsort(-np.abs(np.asarray(columns["dC/dp"])), kind="stable")[:MOST_ROWS]
    left_out = {"array"} if run.settings.model == "dense" else set()  # the first column says it already
    shown = {name: [values[i] for i in best] for name, values in columns.items() if name not in left_out}
    heading = (
        "Every parameter"
        if count <= MOST_ROWS
        else f"The {MOST_ROWS:,} with the largest gradient of {count:,} parameters"
    )
    tables = {name: report.table(heads, rows) for name, (heads, rows) in found.tables.items()}
    tables |= {f"{heading}, by the size of its gradient": report.sortable(list(shown), list(shown.values()))}
    tables |= _classes(run.classes)
    tables |= {"Settings of the run": report.settings_table(run.settings)}
    kept = {"arrays.npz", "parameters.csv", *(f"{name}.png" for name in found.pictures), *([film.name] if film else [])}
    for path in (folder / "bang").iterdir():
        if path.name not in kept:
            path.unlink()  # of an earlier look, at other parameters or with other instruments
    page = folder / "bang.html"
    folders.write_file(page, report.page(title, lead, found.facts, drawn, tables).encode())
    return page


def _classes(classes: Sequence[str]) -> dict[str, str]:
    """The names of the classes by number, where they are more than that: pictures show numbers for letters they lack."""
    if all(name == str(i) for i, name in enumerate(classes)):
        return {}
    return {"Classes": report.table(("number of the class", "name"), list(enumerate(classes)))}


def _told(nudge: bang.Nudge) -> tuple[str, str, str, float, float]:
    words = nudge.text.partition(";")[0]
    return words, nudge.leaf, ", ".join(map(str, nudge.position)), nudge.gradient, nudge.ratio
