"""The command `jaxnet sweep` as a function: many networks at once, their numbers as tables and as a picture."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnet import bang, claims, ensemble, plot, recipes, record, report, training
from jaxnet import run as folders
from jaxnet.devices import current
from jaxnet.recipes import Settings
from jaxnet.walking import Seen, stoppable, unheeded

HELD_OUT = 10_000
"""Where the settings hold out nothing, a sweep holds out so many training images, or a sixth of a smaller set."""

WRITTEN = frozenset(("sweep.json", "members.csv", "curves.csv", "sweep.npz", "sweep.png", "sweep.html"))


class Swept(NamedTuple):
    """What a sweep found.

    Attributes:
        rows: A row for each combination, the seeds taken together: the settings that vary, `networks`, `diverged`, and of
            cost and accuracy on the held-out images the mean, its 95 % interval and the median.
        results: All the numbers.
        folder: Where they are written.
        interrupted: Whether a signal ended it early.
        signal: The first signal that came before it was saved, None if there was none.
        failed: How many networks diverged, or read hardly better than always the most frequent answer; see `training.learned`.
    """

    rows: tuple[dict[str, Any], ...]
    results: ensemble.Results
    folder: Path
    interrupted: bool
    signal: int | None = None
    failed: int = 0


def sweep(
    settings: Settings = recipes.film,
    axes: Mapping[str, Iterable[Any]] | None = None,
    *,
    seeds: int = 8,
    own_order: bool = False,
    at_once: int = 64,
    evaluate_every: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    files: str | Path | None = None,
    show: Callable[[Seen], None] = lambda seen: None,
) -> Swept:
    """Train a network for every combination of settings and seed, and compare them on held-out training images.

    The test images are not looked at: what a sweep decides is decided without them.

    Args:
        settings: What all have in common. Of presets with several candidates every network here is one.
        axes: Values by setting, such as `{"learning_rate": [0.5, 1, 2]}`; None takes a quarter to four times the preset's
            learning rate.
        seeds: How many seeds each combination gets, counted from the settings' own.
        own_order: Whether each network shuffles for itself. Otherwise all see the same batches, which is faster.
        at_once: Networks trained at the same time, at most.
        evaluate_every: Epochs between evaluations; 0 for the last alone, None for at most 25 of them.
        out: The folder to write; None takes the first free of runs/sweep-1, runs/sweep-2, ...
        overwrite: Whether an existing one may be replaced.
        files: For a data set's name: a folder with its original files, instead of the network.
        show: Called with what there is to see.

    Returns:
        What it found, also written: `members.csv`, `curves.csv`, `sweep.npz` (with all trained parameters), `sweep.json`,
        `sweep.png`, and `sweep.html` with the picture and the table.

    Raises:
        ValueError: If a setting is unknown, makes no sense or has no values.
        FileExistsError: If the folder exists, or another process is writing it.
        OSError: If what was found could not be written to the folder; the message says where it is kept instead.
        Exception: What judging the networks or drawing raised; the numbers and trained parameters that there are by then are
            saved before, and a note says where.
    """
    if axes is None:
        axes = {"learning_rate": [settings.learning_rate * factor for factor in (0.25, 0.5, 1, 2, 4)]}
    axes = {name: list(values) for name, values in axes.items()}
    for name, values in axes.items():
        if name not in Settings._fields or name == "seed":
            raise ValueError(
                f"{name!r} is no setting to vary; there are {', '.join(Settings._fields)} (seeds: --seeds)"
            )
        if not values:
            raise ValueError(f"{name} has no values to try")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    settings, show = settings._replace(candidates=1), unheeded(show)
    folder = folders.place(out, "sweep")
    folders.require_free(folder, overwrite=overwrite, written=WRITTEN)
    folders.require_utf8(settings.data, "rename the file")
    settings = training.with_whole_path(settings)
    current()  # jax says now that it finds no device
    with claims.claimed(folder) as temporary:
        folders.require_free(folder, overwrite=overwrite, written=WRITTEN)
        show(Seen("loading"))
        images = training.dataset(settings, files=files)
        if not settings.validation:
            settings = settings._replace(validation=min(HELD_OUT, len(images.train.labels) // 6))
        members = ensemble.combinations(settings, **axes, seed=range(settings.seed, settings.seed + seeds))
        if "optimizer" in axes and "learning_rate" not in axes:
            members = tuple(recipes.changed(settings, **_differences(member, settings)) for member in members)
        ensemble.check(members)
        with stoppable() as asked:
            unjudged = None
            try:
                results = ensemble.train_together(
                    members, images, shared=not own_order, at_once=at_once, evaluate_every=evaluate_every,
                    stopped=lambda: bool(asked), show=show,
                )  # fmt: skip
            except ensemble.Unjudged as error:
                results, unjudged = error.results, error.__cause__
            interrupted = bool(asked)
            with stoppable(insist=False) as later:
                rows = _compared(results, list(axes))
                failed = _failed(results, images.train.labels, ended=interrupted or unjudged is not None)
                write = lambda to, out: _write(to, results, rows, list(axes), own_order, failed)
                folders.save(
                    write, temporary, folder, overwrite=overwrite, written=WRITTEN, what="what the sweep found"
                )
                try:
                    if unjudged is not None:
                        raise unjudged
                    show(Seen("drawing"))
                    _draw(folder, results, rows, list(axes), failed)
                except Exception as error:
                    error.add_note(f"the numbers and the trained networks are kept in {folder}")
                    raise
        asked += later
    where, number = folder if out is None else Path(out), asked[0] if asked else None
    return Swept(tuple(rows), results, where, interrupted, number, failed)


def _failed(results: ensemble.Results, labels: Any, *, ended: bool) -> int:
    """How many networks diverged or learned nothing; where the training ended early, those not judged do not count."""
    counts = np.bincount(np.asarray(labels))
    guessing, accuracies = int(counts.max()) / int(counts.sum()), results.accuracies[:, -1]
    unlearned = np.array([not training.learned(float(right), guessing) for right in accuracies])
    return int(((results.diverged >= 0) | (unlearned & ~(np.isnan(accuracies) & ended))).sum())


def _differences(member: Settings, settings: Settings) -> dict[str, Any]:
    """The settings in which a member differs from what all have in common."""
    common = settings._asdict()
    return {name: value for name, value in member._asdict().items() if value != common[name]}


def _compared(results: ensemble.Results, names: list[str]) -> list[dict[str, Any]]:
    """A row for each combination, the seeds taken together."""
    together: dict[tuple[Any, ...], list[int]] = {}
    for i, member in enumerate(results.members):
        together.setdefault(tuple(getattr(member, name) for name in names), []).append(i)
    rows = []
    for values, which in together.items():
        row = dict(zip(names, values, strict=True))
        row |= {"networks": len(which), "diverged": int((results.diverged[which] >= 0).sum())}
        for name, numbers in (("cost", results.costs), ("accuracy", results.accuracies)):
            found = ensemble.spread(numbers[which, -1])
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
            row |= {f"{name}_median": found.quantiles[2]}
        rows.append(
            {name: value.item() if isinstance(value, np.ndarray | np.generic) else value for name, value in row.items()}
        )
    return rows


def for_json(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with None for NaN and infinity, which JSON does not know."""
    lost = lambda value: isinstance(value, float) and not math.isfinite(value)
    return [{name: None if lost(value) else value for name, value in row.items()} for row in rows]


def _write(
    folder: Path, results: ensemble.Results, rows: list[dict[str, Any]], names: list[str], own_order: bool, failed: int
) -> None:
    told = _told
    of = lambda member: {name: told(getattr(member, name)) for name in (*names, "seed")}
    ends = zip(results.members, results.costs[:, -1], results.accuracies[:, -1], results.diverged, strict=True)
    table = record.columns({**of(m), "cost": c, "accuracy": a, "diverged_at": d} for m, c, a, d in ends)
    record.write_csv(folder / "members.csv", table)
    curves = record.columns(
        {"member": i, "epoch": epoch, "cost": results.costs[i, j], "accuracy": results.accuracies[i, j]}
        for i in range(len(results.members))
        for j, epoch in enumerate(results.epochs)
    )
    record.write_csv(folder / "curves.csv", curves)
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
        "versions": folders.versions(),
        "rows": for_json(rows),
    }
    (folder / "sweep.json").write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")


def _draw(folder: Path, results: ensemble.Results, rows: list[dict[str, Any]], names: list[str], failed: int) -> None:
    """Draw the picture and compose the page, after the numbers are saved: a failure costs only these two."""
    told = _told
    x = next((name for name in names if isinstance(getattr(results.members[0], name), int | float)), None)
    others = [name for name in names if name != x]
    figure = plot.sweep(
        [getattr(member, x) if x else 1 for member in results.members],
        [", ".join(f"{name} {told(getattr(member, name))}" for name in others) for member in results.members],
        results.costs[:, -1], results.train_costs, setting=(x or "").replace("_", " "),
        cost=f"cost on {results.judged_by}",
        title=f"{len(results.members)} networks: cost by {(x or others[0]).replace('_', ' ')}, and its spread over seeds",
    )  # fmt: skip
    picture = report.png(figure)
    folders.write_file(folder / "sweep.png", picture)
    folders.write_file(folder / "sweep.html", _page(results, rows, names, picture, failed).encode())


def _page(results: ensemble.Results, rows: list[dict[str, Any]], names: list[str], picture: bytes, failed: int) -> str:
    """The comparison as a page."""
    known = [row for row in rows if math.isfinite(row["cost_median"])]
    facts = {"networks": str(len(results.members)), "diverged": str(sum(row["diverged"] for row in rows))}
    facts["diverged or no better than guessing"] = str(failed)
    told = lambda row: ", ".join(f"{name.replace('_', ' ')} {_told(row[name])}" for name in names)
    if known:
        facts["lowest median cost"] = told(min(known, key=lambda row: row["cost_median"]))
    facts["seconds of training"] = f"{results.seconds:.1f}"
    lead = f"Every combination was trained from several seeds and judged by {results.judged_by}; no test image was looked at."
    caption = (
        "Left: every dot is a network, and the line goes through the medians; the band around it reaches from quartile to "
        "quartile. Crosses are networks that diverged. Right: how the median cost of each combination changed from epoch to epoch."
    )
    heads = [name.replace("_", " ") for name in rows[0]]
    table = report.table(
        [head.replace(" low", ", 95 % interval from").replace(" high", ", to") for head in heads],
        [[_told(value) for value in row.values()] for row in rows],
    )
    shared = report.settings_table(results.members[0], without=(*names, "seed"))
    tables = {"The combinations": table, "What all networks share": shared}
    title = f"{len(results.members)} networks compared by {', '.join(name.replace('_', ' ') for name in names)}"
    return report.page(title, lead, facts, {"sweep": (picture, caption)}, tables)


def _told(value: Any) -> Any:
    return "x".join(map(str, value)) if isinstance(value, tuple) else value
