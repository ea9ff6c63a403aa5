"""The command `jaxnet sweep` as a function: train many networks at once, and write their numbers as tables and a picture."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnet import bang, plot, training
from jaxnet.commands._begin import (
    folder_of,
    keep_for_later,
    note_begin,
    require_cadence,
    require_new,
    require_same_data,
)
from jaxnet.core import folders, locks, stats
from jaxnet.core.devices import current
from jaxnet.core.json_types import as_plain, without_nan
from jaxnet.data.checks import digest
from jaxnet.reports import html
from jaxnet.training import ensemble, presets, records, resume, run_folder
from jaxnet.training.config import TrainConfig
from jaxnet.training.progress import OnProgress, Progress, no_progress
from jaxnet.training.signals import stoppable, unheeded

HELD_OUT = 10_000
"""If the settings hold out no images, a sweep holds out this number of images. Of a small training set, it holds out a sixth."""

WRITTEN = frozenset(("sweep.json", "members.csv", "curves.csv", "sweep.npz", "sweep.png", "sweep.html", resume.FOLDER))


class Swept(NamedTuple):
    """The results of a sweep.

    Attributes:
        rows: One row for each combination of settings. A row has the settings that vary, `networks` and `diverged`.
            It also has the mean, the 95 % interval of the mean and the median over the seeds, for the cost and for
            the accuracy on the held-out images.
        results: All numbers of the sweep.
        folder: The folder with the files.
        axes: The names of the settings that vary.
        interrupted: Whether a signal ended the training early.
        signal: The first signal that came before the results were saved. If no signal came, it is None.
        failed: The number of networks that diverged, or that are hardly better than a network that always gives the
            most frequent class. See `training.learned`.
    """

    rows: tuple[dict[str, Any], ...]
    results: ensemble.Results
    folder: Path
    axes: tuple[str, ...]
    interrupted: bool
    signal: int | None = None
    failed: int = 0


def sweep(
    settings: TrainConfig = presets.film,
    axes: Mapping[str, Iterable[Any]] | None = None,
    *,
    seeds: int = 8,
    own_order: bool = False,
    at_once: int = 64,
    evaluate_every: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    files: str | Path | None = None,
    checkpoint_every: int | float = 30,
    on_progress: OnProgress = no_progress,
) -> Swept:
    """Train a network for every combination of settings and seed, and compare them on held-out training images.

    A sweep does not use the test images.

    Args:
        settings: The settings that all networks share. If a preset has several candidates, the sweep trains only one.
        axes: The values of each setting, such as `{"learning_rate": [0.5, 1, 2]}`. If it is None, five learning
            rates are tried: 0.25, 0.5, 1, 2 and 4 times the learning rate of the settings.
        seeds: The number of seeds for each combination. The first seed is the seed of the settings.
        own_order: Whether each network has its own order of images. Otherwise all networks get the same batches, and the
            training is faster.
        at_once: The largest number of networks that are trained at the same time.
        evaluate_every: The number of epochs between evaluations. If it is 0, only the last epoch is evaluated. If it is None,
            there are at most 25 evaluations.
        out: The folder to write. If it is None, the first free name of runs/sweep-1, runs/sweep-2, ... is used.
        overwrite: Whether an existing folder may be replaced.
        files: If the data set is given by name: a folder with its original files, so that nothing is downloaded.
        checkpoint_every: The number of seconds between two checkpoints of a network, from which `resume_sweep` continues. If
            it is 0, there are no checkpoints.
        on_progress: Called with the progress.

    Returns:
        The results. The folder holds `members.csv`, `curves.csv`, `sweep.npz` (with all trained parameters), `sweep.json`,
        `sweep.png`, and `sweep.html` with the picture and the table.

    Raises:
        ValueError: If a setting is unknown, not valid, or has no values.
        FileExistsError: If the folder exists, or another process is writing to it.
        OSError: If the results could not be written to the folder. The message names the place where they are kept.
        Exception: If the evaluation or the drawing fails. The numbers and the trained parameters are saved before. A note
            names their place.
    """
    if axes is None:
        axes = {"learning_rate": [settings.learning_rate * factor for factor in (0.25, 0.5, 1, 2, 4)]}
    axes = {name: list(values) for name, values in axes.items()}
    for name, values in axes.items():
        if name not in TrainConfig._fields or name == "seed":
            raise ValueError(
                f"{name!r} is not a setting that can vary; choose from {', '.join(TrainConfig._fields)} (seeds: --seeds)"
            )
        if not values:
            raise ValueError(f"{name} has no values to try")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    require_cadence(checkpoint_every)
    settings, on_progress = TrainConfig(*as_plain(settings))._replace(candidates=1), unheeded(on_progress)
    require_new(folders.place(out, "sweep"), overwrite=overwrite, written=WRITTEN)
    folders.require_utf8(settings.data, "rename the file")
    settings = training.with_whole_path(settings)
    current()  # if jax finds no device, the error comes now
    place = None if files is None else str(Path(files).expanduser().absolute())
    values = tuple((name, as_plain(list(values))) for name, values in axes.items())
    begun = resume.BegunSweep(settings, values, seeds, own_order, at_once, evaluate_every, place)
    with folders.reserved(out, "sweep", overwrite=overwrite, written=WRITTEN) as (folder, temporary):
        resume.remove(folder)
        if checkpoint_every:
            note_begin(folder, begun)
        told = folder if out is None else Path(out)
        try:
            return _swept(begun, folder, temporary, told, checkpoint_every, on_progress, overwrite=overwrite)
        except Exception:
            if not any(resume.checkpoints_of(folder).glob("*/*.json")):
                resume.remove(folder)
            raise


def resume_sweep(
    run: str | Path, *, checkpoint_every: int | float = 30, on_progress: OnProgress = no_progress
) -> Swept:
    """Continue a sweep that was ended early or killed. The results are those of a sweep that was never ended, bit for bit.

    Args:
        run: The folder of the sweep.
        checkpoint_every: As in `sweep`.
        on_progress: As in `sweep`.

    Returns:
        As in `sweep`.

    Raises:
        FileNotFoundError: If there is no such folder.
        FileExistsError: If another process is writing to the folder.
        ValueError: If the folder holds nothing to continue, or the data set changed.
    """
    folder = folder_of(run, "sweep", checkpoint_every)
    if not resume.exists(folder):
        raise ValueError(f"{run} has no sweep to continue; it is finished, or it kept no checkpoints")
    with locks.locked(folder) as temporary:
        begun = resume.read(folder, "sweep")
        return _swept(begun, folder, temporary, Path(run), checkpoint_every, unheeded(on_progress), overwrite=True)


def _swept(
    begun: resume.BegunSweep,
    folder: Path,
    temporary: Path,
    told: Path,
    checkpoint_every: int | float,
    on_progress: OnProgress,
    *,
    overwrite: bool,
) -> Swept:
    """Load the data, train, compare, save and draw. If the folder has checkpoints, continue from them."""
    settings, kept = begun.settings, bool(checkpoint_every)
    axes: dict[str, list[Any]] = {name: list(values) for name, values in begun.axes}
    on_progress(Progress("loading"))
    images = training.dataset(settings, files=begun.files)
    sha256 = None if settings.data == "mnist" else digest(images)
    require_same_data(begun.data_sha256 in (None, sha256), settings.data, told, "begin a new sweep")
    begun = begun._replace(data_sha256=sha256)
    if kept:
        note_begin(folder, begun)
    if not settings.validation:
        settings = settings._replace(validation=min(HELD_OUT, len(images.train.labels) // 6))
    members = ensemble.grid(settings, **axes, seed=range(settings.seed, settings.seed + begun.seeds))
    if "optimizer" in axes and "learning_rate" not in axes:
        members = tuple(presets.with_changes(settings, **_differences(member, settings)) for member in members)
    ensemble.check(members)
    with stoppable() as asked:
        unjudged = None
        try:
            results = ensemble.train_together(
                members, images, shared=not begun.own_order, at_once=begun.at_once, evaluate_every=begun.evaluate_every,
                stopped=lambda: bool(asked), on_progress=on_progress,
                checkpoints=resume.checkpoints_of(folder) if kept else None, checkpoint_every=checkpoint_every,
            )  # fmt: skip
        except ensemble.Unjudged as error:
            results, unjudged = error.results, error.__cause__
        interrupted = bool(asked)
        with stoppable(insist=False) as later:
            rows = _compared(results, list(axes))
            failed = _failed(results, images.train.labels, ended=interrupted or unjudged is not None)
            unfinished = begun if kept and (interrupted or unjudged is not None) else None

            def write(to: Path, out: Path) -> None:
                _write(to, results, rows, list(axes), begun.own_order, failed)
                if unfinished is not None:
                    keep_for_later(folder, to, unfinished)

            written = WRITTEN if overwrite else {resume.FOLDER}
            folders.save(
                write, temporary, folder, overwrite=overwrite or resume.exists(folder), written=written,
                what="what the sweep found",
            )  # fmt: skip
            try:
                if unjudged is not None:
                    raise unjudged
                on_progress(Progress("drawing"))
                _draw(folder, results, rows, list(axes), failed)
            except Exception as error:
                error.add_note(f"the numbers and the trained networks are kept in {folder}")
                raise
    asked += later
    return Swept(tuple(rows), results, told, tuple(axes), interrupted, asked[0] if asked else None, failed)


def _failed(results: ensemble.Results, labels: Any, *, ended: bool) -> int:
    """Count networks that diverged or learned nothing. If the training ended early, networks without a score do not count."""
    counts = np.bincount(np.asarray(labels))
    guessing, accuracies = int(counts.max()) / int(counts.sum()), results.accuracies[:, -1]
    unlearned = np.array([not training.learned(float(right), guessing) for right in accuracies])
    return int(((results.diverged >= 0) | (unlearned & ~(np.isnan(accuracies) & ended))).sum())


def _differences(member: TrainConfig, settings: TrainConfig) -> dict[str, Any]:
    """The settings of a member that differ from the common settings."""
    common = settings._asdict()
    return {name: value for name, value in member._asdict().items() if value != common[name]}


def _compared(results: ensemble.Results, names: list[str]) -> list[dict[str, Any]]:
    """One row for each combination, over all its seeds."""
    together: dict[tuple[Any, ...], list[int]] = {}
    for i, member in enumerate(results.members):
        together.setdefault(tuple(getattr(member, name) for name in names), []).append(i)
    rows = []
    for values, which in together.items():
        row = dict(zip(names, values, strict=True))
        row |= {"networks": len(which), "diverged": int((results.diverged[which] >= 0).sum())}
        for name, numbers in (("cost", results.costs), ("accuracy", results.accuracies)):
            found = stats.spread(numbers[which, -1])
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
            row |= {f"{name}_median": found.quantiles[2]}
        rows.append(
            {name: value.item() if isinstance(value, np.ndarray | np.generic) else value for name, value in row.items()}
        )
    return rows


def _write(
    folder: Path, results: ensemble.Results, rows: list[dict[str, Any]], names: list[str], own_order: bool, failed: int
) -> None:
    told = _told
    of = lambda member: {name: told(getattr(member, name)) for name in (*names, "seed")}
    ends = zip(results.members, results.costs[:, -1], results.accuracies[:, -1], results.diverged, strict=True)
    table = records.columns({**of(m), "cost": c, "accuracy": a, "diverged_at": d} for m, c, a, d in ends)
    records.write_csv(folder / "members.csv", table)
    curves = records.columns(
        {"member": i, "epoch": epoch, "cost": results.costs[i, j], "accuracy": results.accuracies[i, j]}
        for i in range(len(results.members))
        for j, epoch in enumerate(results.epochs)
    )
    records.write_csv(folder / "curves.csv", curves)
    arrays = {name: getattr(results, name) for name in ("epochs", "costs", "accuracies", "train_costs", "diverged")}
    for i, group in enumerate(results.groups):
        arrays[f"group{i}/members"] = np.asarray(group.members)
        for name, leaf in bang.named_leaves(group.params):  # numpy's files do not know bfloat16
            arrays[f"group{i}/{name}"] = np.asarray(leaf, np.promote_types(leaf.dtype, np.float32))
    np.savez(folder / "sweep.npz", **arrays)
    whole = {
        "settings": results.members[0]._asdict(),
        "axes": names,
        "own_order": own_order,
        "judged_by": results.judged_by,
        "failed": failed,
        "seconds": results.seconds,
        "versions": run_folder.versions(),
        "rows": without_nan(rows),
    }
    (folder / "sweep.json").write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")


def _draw(folder: Path, results: ensemble.Results, rows: list[dict[str, Any]], names: list[str], failed: int) -> None:
    """Draw the picture and write the page. The numbers are already saved, so they are not lost if the drawing fails."""
    told = _told
    x = next((name for name in names if isinstance(getattr(results.members[0], name), int | float)), None)
    others = [name for name in names if name != x]
    figure = plot.sweep(
        [getattr(member, x) if x else 1 for member in results.members],
        [", ".join(f"{name} {told(getattr(member, name))}" for name in others) for member in results.members],
        results.costs[:, -1], results.train_costs, setting=(x or "").replace("_", " "),
        cost=f"cost on {results.judged_by}",
        title=f"{len(results.members)} networks: cost for each {(x or others[0]).replace('_', ' ')}, and its scatter over seeds",
    )  # fmt: skip
    picture = html.png(figure)
    folders.write_file(folder / "sweep.png", picture)
    folders.write_file(folder / "sweep.html", _page(results, rows, names, picture, failed).encode())


def _page(results: ensemble.Results, rows: list[dict[str, Any]], names: list[str], picture: bytes, failed: int) -> str:
    """The page with the comparison."""
    known = [row for row in rows if math.isfinite(row["cost_median"])]
    facts = {"networks": str(len(results.members)), "diverged": str(sum(row["diverged"] for row in rows))}
    facts["diverged or hardly better than guessing"] = str(failed)
    told = lambda row: ", ".join(f"{name.replace('_', ' ')} {_told(row[name])}" for name in names)
    if known:
        facts["lowest median cost"] = told(min(known, key=lambda row: row["cost_median"]))
    facts["seconds of training"] = f"{results.seconds:.1f}"
    lead = f"Every combination was trained from several seeds and evaluated on {results.judged_by}. No test image was used."
    caption = (
        "Left: every dot is a network, and the line goes through the medians. The band around the line goes from the lower to "
        "the upper quartile. Crosses are networks that diverged. Right: the median cost of each combination at every epoch."
    )
    heads = [name.replace("_", " ") for name in rows[0]]
    table = html.table(
        [head.replace(" low", ", 95 % interval from").replace(" high", ", to") for head in heads],
        [[_told(value) for value in row.values()] for row in rows],
    )
    shared = html.settings_table(results.members[0], without=(*names, "seed"))
    tables = {"The combinations": table, "Settings that all networks share": shared}
    title = f"{len(results.members)} networks compared by {', '.join(name.replace('_', ' ') for name in names)}"
    return html.page(title, lead, facts, {"sweep": (picture, caption)}, tables)


def _told(value: Any) -> Any:
    return "x".join(map(str, value)) if isinstance(value, tuple) else value
