"""The commands that train: train and sweep, with every setting as an option."""

import contextlib
import json as json_format
import math
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import tyro

from jaxnet.cli.progress import progress_bar, show_file
from jaxnet.training import presets as presets_
from jaxnet.training.config import Preset, TrainConfig, meanings
from jaxnet.training.presets import PRESETS


def _of_presets(name: str) -> str:
    """The values of a setting in the presets: one value if all presets agree, else the value of each preset."""
    by_value: dict[str, list[str]] = {}
    for preset, settings in PRESETS.items():
        value = getattr(settings, name)
        told = " ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
        by_value.setdefault(told, []).append(preset)
    if len(by_value) == 1:
        return f"(all presets: {next(iter(by_value))})"
    return "(" + "; ".join(f"{', '.join(presets)}: {value}" for value, presets in by_value.items()) + ")"


Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
Epochs = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]

_FIELDS: dict[str, Any] = {
    name: Annotated[kind, tyro.conf.arg(help=meanings()[name], help_behavior_hint=_of_presets(name))]
    for name, kind in TrainConfig.__annotations__.items()
    if name != "preset"
}
Changes = TypedDict("Changes", _FIELDS, total=False)  # pyright: ignore[reportArgumentType]


def train(
    changes: Annotated[Changes, tyro.conf.arg(name="")],
    preset: Preset = "film",
    out: Folder = None,
    overwrite: bool = False,
    pictures: bool = True,
    evaluate_every: Epochs = None,
    watch_every: int = 0,
    files: Folder = None,
    checkpoint_every: float = 30.0,
    resume: Folder = None,
    start_from: Folder = None,
    json: bool = False,
) -> None:
    """Train a network by gradient descent and write a run folder with its report.

    A preset has a value for every setting. Options change single settings.

    - film: the film's network, cost and plain gradient descent
    - nielsen: the first network of Nielsen's book
    - modern: the film's 13,002 parameters, trained with today's methods
    - wide: one hidden layer of 256 neurons, trained in seconds
    - convnet: a small convolutional network

    Args:
        changes: Settings that differ from the settings of the preset.
        preset: The preset to start from.
        out: The run folder to write. By default the first free name of runs/PRESET-1, runs/PRESET-2, ... is used.
        overwrite: Replace the run folder if it exists.
        pictures: Draw the pictures and compose report.html.
        evaluate_every: Epochs between evaluations. 0 means no evaluations. By default there are at most 25 evaluations.
        watch_every: After every INT steps, show what the gradient does to each layer. With 25, the training takes 10 % longer.
        files: For --data NAME: a folder with the original files of that data set, so that nothing is downloaded.
        checkpoint_every: Seconds between checkpoints, from which --resume continues. 0 means no checkpoints.
        resume: Continue the training in this run folder, which was ended early or killed. With --epochs, a finished training
            with a constant learning rate gets more epochs.
        start_from: Begin with the parameters of this run folder instead of random parameters.
        json: Print the result as one last line of JSON.
    """
    from jaxnet import commands
    from jaxnet.training.run_folder import versions

    def found(result: dict[str, Any]) -> None:
        print(
            f"{100 * result['test_accuracy']:.2f} % of {result['test_images']:,} test images right; "
            f"{result['parameters']:,} parameters, {result['seconds']:.1f} s of training",
            flush=True,
        )
        if not result["learned"]:
            print(
                f"the training failed: a network that always answers {result['most_frequent']} is right for "
                f"{100 * result['most_frequent_share']:.2f} % of them; another --learning-rate or more --epochs may help",
                flush=True,
            )

    if resume is not None:
        given = {
            "preset": preset != "film",
            "out": out,
            "overwrite": overwrite,
            "pictures": not pictures,
            "files": files,
        }
        given |= {"evaluate_every": evaluate_every is not None, "watch_every": watch_every, "start_from": start_from}
        _require_own_settings(resume, {name for name, value in given.items() if value} | (changes.keys() - {"epochs"}))
    settings = presets_.with_changes(PRESETS[preset], **changes)
    for line in presets_.note_on_rate(PRESETS[preset], changes):
        note(line)
    note(" ".join(f"{name} {version}" for name, version in versions().items()))
    with progress_bar() as on_progress:
        if resume is not None:
            result = commands.resume(
                resume, epochs=changes.get("epochs"), checkpoint_every=checkpoint_every, on_progress=on_progress, on_result=found
            )  # fmt: skip
        else:
            result = commands.train(
                settings, out=out, overwrite=overwrite, pictures=pictures, evaluate_every=evaluate_every,
                watch_every=watch_every, files=files, checkpoint_every=checkpoint_every, start_from=start_from,
                on_progress=on_progress, on_result=found,
            )  # fmt: skip
    with kept(result["out"]):
        if result["interrupted"]:
            print(f"stopped after {result['steps']:,} of {result['num_steps']:,} steps; the network is saved as it is")
            if checkpoint_every:
                print(f"jaxnet train --resume {shlex.quote(result['out'])} continues the training")
        cost = math.nan if result["cost"] is None else result["cost"]
        print(f"average cost {cost:.4g} over {result['train_images']:,} training images")
        written = Path(result["out"], "report.html")
        show_file(written if written.is_file() else Path(result["out"]))
        if json:
            print(json_format.dumps(result))
    if result["signal"] is not None:
        sys.exit(128 + result["signal"])


def _require_own_settings(run: Path, given: set[str]) -> None:
    """Refuse options that would change a training that is continued."""
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise ValueError(f"--resume continues {run} with its own settings, got {options}; leave {options} out")


def note(line: str) -> None:
    """Print a line on standard error. If standard error is closed or the disk is full, do nothing."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def kept(out: Any) -> Iterator[None]:
    """If the output cannot be written, add the place of the saved results to the error."""
    try:
        yield
        if sys.stdout is not None:  # it is None if the output was closed before Python started
            sys.stdout.flush()
    except OSError as error:
        error.add_note(f"everything is kept in {out}")
        raise


_VARIED = ("learning_rate", "gain", "initializer", "optimizer", "weight_decay", "batch_size", "activation")
_AXES: dict[str, Any] = {
    name: Annotated[
        tuple[TrainConfig.__annotations__[name], ...],
        tyro.conf.arg(help=f"Values to try. {meanings()[name]}", help_behavior_hint=_of_presets(name)),
    ]
    for name in _VARIED
}
_REST: dict[str, Any] = {name: kind for name, kind in _FIELDS.items() if name not in (*_VARIED, "candidates")}
Axes = TypedDict("Axes", _AXES, total=False)  # pyright: ignore[reportArgumentType]
Rest = TypedDict("Rest", _REST, total=False)  # pyright: ignore[reportArgumentType]


def sweep(
    axes: Annotated[Axes, tyro.conf.arg(name="")],
    rest: Annotated[Rest, tyro.conf.arg(name="")],
    preset: Preset = "film",
    widths: Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...", help_behavior_hint="")] = (),
    seeds: int = 8,
    own_order: bool = False,
    at_once: int = 64,
    evaluate_every: Epochs = None,
    out: Folder = None,
    overwrite: bool = False,
    files: Folder = None,
    checkpoint_every: float = 30.0,
    resume: Folder = None,
    json: bool = False,
) -> None:
    """Train many networks at once, and compare them.

    There is one network for every combination of values and every seed.

    The networks are compared on 10,000 held-out training images (see --validation).

    The test images are not used.

    Args:
        axes: The values to try. By default: learning rates of 0.25, 0.5, 1, 2 and 4 times the preset's.
        rest: Settings that all networks share and that differ from the settings of the preset.
        preset: The preset to start from.
        widths: Numbers of neurons to try. Each number is tried as the width of every hidden layer.
        seeds: The number of networks for each combination. Their seeds are --seed, --seed + 1, ...
        own_order: Give each network its own order of images. Otherwise all networks get the same batches (faster).
        at_once: The largest number of networks to train at the same time. Fewer networks need less memory.
        evaluate_every: Epochs between evaluations. 0 means only the last epoch. By default there are at most 25 evaluations.
        out: The folder to write. By default the first free name of runs/sweep-1, runs/sweep-2, ... is used.
        overwrite: Replace the folder if it exists.
        files: For --data NAME: a folder with the original files of that data set, so that nothing is downloaded.
        checkpoint_every: Seconds between checkpoints, from which --resume continues. 0 means no checkpoints.
        resume: Continue the sweep in this folder, which was ended early or killed.
        json: Print the comparison as one last line of JSON.
    """
    from jaxnet import commands
    from jaxnet.core.json_types import without_nan
    from jaxnet.training.presets import note_on_rate

    if resume is not None:
        given = {"preset": preset != "film", "widths": widths, "seeds": seeds != 8, "own_order": own_order, "out": out}
        given |= {
            "at_once": at_once != 64,
            "evaluate_every": evaluate_every is not None,
            "overwrite": overwrite,
            "files": files,
        }
        _require_own_settings(resume, {name for name, value in given.items() if value} | axes.keys() | rest.keys())
    settings = PRESETS[preset]._replace(**rest)
    tried: dict[str, Any] = dict(axes)
    if "optimizer" in tried and "learning_rate" not in tried:
        for optimizer in tried["optimizer"]:
            for line in note_on_rate(settings, {"optimizer": optimizer}):
                note(line)
    if widths:
        if not settings.sizes:
            raise ValueError(f"preset {preset} has no hidden layers, so --widths cannot change their width")
        tried["sizes"] = [(width,) * len(settings.sizes) for width in widths]
    with progress_bar() as on_progress:
        if resume is not None:
            found = commands.resume_sweep(resume, checkpoint_every=checkpoint_every, on_progress=on_progress)
        else:
            found = commands.sweep(
                settings, tried or None, seeds=seeds, own_order=own_order, at_once=at_once, evaluate_every=evaluate_every,
                out=out, overwrite=overwrite, files=files, checkpoint_every=checkpoint_every, on_progress=on_progress,
            )  # fmt: skip
    with kept(found.folder):
        best = min(found.rows, key=lambda row: row["cost_median"])
        for row in found.rows:
            what = ", ".join(f"{name} {row[name]}" for name in found.axes)
            if not math.isfinite(row["cost_median"]):
                print(f"{what}: no cost to compare, {row['diverged']} of {row['networks']} diverged")
                continue
            right, low, high = (min(max(100 * row[f"accuracy{end}"], 0.0), 100.0) for end in ("", "_low", "_high"))
            lost = f", {row['diverged']} diverged" if row["diverged"] else ""
            print(
                f"{what}: cost {row['cost_median']:.4f} (median of {row['networks']}), {right:.2f} % right on average "
                f"({low:.2f} to {high:.2f}){lost}{'  <- lowest' if row is best else ''}"
            )
        results = found.results
        print(f"{len(results.members)} networks evaluated on {results.judged_by}, {results.seconds:.1f} s of training")
        if found.interrupted:
            print("stopped early; the networks are saved as they are")
            if checkpoint_every:
                print(f"jaxnet sweep --resume {shlex.quote(str(found.folder))} continues the sweep")
        if found.failed:
            count, lowest = len(results.members), min(member.learning_rate for member in results.members)
            which = f"all {count}" if found.failed == count else f"{found.failed} of {count}"
            print(
                f"{which} networks failed: they diverged, or they are hardly better than a network that always gives "
                f"the most frequent answer; try lower values of --learning-rate (the lowest here is {lowest:g})"
            )
        show_file(found.folder / "sweep.html")
        if json:
            print(json_format.dumps(without_nan(found.rows)))
    if found.signal is not None:
        sys.exit(128 + found.signal)
