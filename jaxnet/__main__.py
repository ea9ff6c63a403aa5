"""The command line: parses, calls one function of `jaxnet.commands`, prints what it returned."""

import json as json_format
import math
import signal
import sys
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import tyro

from jaxnet._version import __version__
from jaxnet.live import progress
from jaxnet.recipes import PRESETS, Preset, Settings

Device = Literal["cpu", "gpu", "tpu"] | None
USER_ERRORS = (ValueError, OSError, ModuleNotFoundError, FloatingPointError, zipfile.BadZipFile)


def _explained() -> dict[str, str]:
    """What every setting means, from the docstring of `Settings`."""
    lines = (Settings.__doc__ or "").partition("Attributes:")[2].strip().splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


_FIELDS: dict[str, Any] = {
    name: Annotated[kind, tyro.conf.arg(help=_explained()[name])]
    for name, kind in Settings.__annotations__.items()
    if name != "preset"
}
Changes = TypedDict("Changes", _FIELDS, total=False)  # pyright: ignore[reportArgumentType]


def train(
    changes: Annotated[Changes, tyro.conf.arg(name="")],
    preset: Preset = "film",
    out: Path | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    evaluate_every: int | None = None,
    watch_every: int = 0,
    json: bool = False,
) -> None:
    """Train a network by gradient descent and write a run folder with its report.

    The presets: film (the film's network, cost and plain gradient descent), nielsen (his book's first network), modern
    (the same 13,002 parameters trained as one would today), wide (one hidden layer of 256, in seconds) and convnet.
    Everything a preset sets can be changed below; what is not given stays as the preset has it.

    Args:
        changes: Settings that differ from the preset's.
        preset: Where the settings start from.
        out: The run folder to write; by default the first free of runs/PRESET-1, runs/PRESET-2, ...
        overwrite: Replace the run folder if it exists.
        pictures: Draw the pictures and compose report.html.
        evaluate_every: Epochs between evaluations on the way; 0 for none, by default at most 25 of them.
        watch_every: Show live what the gradient does to every layer, one step in so many (25 costs a tenth more time; with
            several candidates every step pays for it).
        json: Print the result as one last line of JSON.
    """
    from jaxnet import commands
    from jaxnet.run import versions

    def found(result: dict[str, Any]) -> None:
        print(
            f"{100 * result['test_accuracy']:.2f} % of {result['test_images']:,} test images right; "
            f"{result['parameters']:,} parameters, cost {result['cost'] or math.nan:.4g}, {result['seconds']:.1f} s of training",
            flush=True,
        )

    print(" ".join(f"{name} {version}" for name, version in versions().items()), file=sys.stderr)
    with progress() as show:
        result = commands.train(
            PRESETS[preset]._replace(**changes), out=out, overwrite=overwrite, pictures=pictures,
            evaluate_every=evaluate_every, watch_every=watch_every, show=show, found=found,
        )  # fmt: skip
    if result["interrupted"]:
        print(f"stopped after {result['steps']:,} of {result['num_steps']:,} steps; what there was is saved")
    print(result["out"] + ("/report.html" if pictures else ""))
    if json:
        print(json_format.dumps(result))
    if result["interrupted"]:
        sys.exit(128 + result["signal"])


_VARIED = ("learning_rate", "gain", "initializer", "optimizer", "weight_decay", "batch_size", "activation")
_AXES: dict[str, Any] = {
    name: Annotated[
        tuple[Settings.__annotations__[name], ...], tyro.conf.arg(help=f"Values to try. {_explained()[name]}")
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
    widths: tuple[int, ...] = (),
    seeds: int = 8,
    own_order: bool = False,
    at_once: int = 64,
    evaluate_every: int | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Train many networks at once, for every combination of the values given and several seeds, and compare them.

    They are compared on held-out training images (10,000, unless --validation says otherwise); the test images are not
    looked at.

    Args:
        axes: The values to try; without any, a quarter to four times the preset's learning rate.
        rest: Settings that all networks share and that differ from the preset's.
        preset: Where the settings start from.
        widths: Values to try for the neurons of all hidden layers.
        seeds: Networks for each combination: seed, seed + 1, ...
        own_order: Let each network shuffle for itself. Otherwise all see the same batches, which is faster.
        at_once: Networks in one program, at most; fewer need less memory.
        evaluate_every: Epochs between evaluations; 0 for the last alone, by default at most 25 of them.
        out: The folder to write; by default the first free of runs/sweep-1, runs/sweep-2, ...
        overwrite: Replace the folder if it exists.
        json: Print the comparison as one last line of JSON.
    """
    from jaxnet.sweeping import for_json, sweep

    settings = PRESETS[preset]._replace(**rest)
    tried: dict[str, Any] = dict(axes)
    if widths:
        if not settings.sizes:
            raise ValueError(f"preset {preset} has no hidden layers whose width could vary")
        tried["sizes"] = [(width,) * len(settings.sizes) for width in widths]
    with progress() as show:
        found = sweep(
            settings, tried or None, seeds=seeds, own_order=own_order, at_once=at_once, evaluate_every=evaluate_every,
            out=out, overwrite=overwrite, show=show,
        )  # fmt: skip
    best = min(found.rows, key=lambda row: row["cost_median"])
    for row in found.rows:
        what = ", ".join(f"{name} {row[name]}" for name in tried or ("learning_rate",))
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
    print(f"{len(results.members)} networks judged by {results.judged_by}, {results.seconds:.1f} s of training")
    if found.interrupted:
        print("stopped early; what there was is saved")
    print(found.folder / "sweep.png")
    if json:
        print(json_format.dumps(for_json(found.rows)))
    if found.interrupted:
        sys.exit(130)


def bang(
    run: tyro.conf.Positional[Path],
    k: int = 20,
    worth: bool = False,
    budget: bool = False,
    credit: bool = False,
    examples: bool = False,
    film: bool = False,
    film_as: Literal["gif", "mp4", "html"] = "gif",
    at: Literal["start", "end"] = "end",
    images: int = 10_000,
    points: int = 400,
    frames: int = 40,
    device: Device = None,
    json: bool = False,
) -> None:
    """Look at a trained network parameter by parameter, and write RUN/bang.html: sortable, searchable, with pictures.

    Args:
        run: The run folder.
        k: How many of the largest components of the gradient to list.
        worth: Nudge every parameter alone and measure what it really buys (half a minute for 13,002 of them; beyond 50,000
            only those with the largest gradient, over 500 images).
        budget: How much the best parameters buy, proven by really taking the steps.
        credit: Walk the run again and account for the fall of its cost, by parameter, layer, pixel and label.
        examples: Gradients image by image: signal to noise, tug of war, hardest images, noise scale.
        film: Walk the run again and film where the bang for the buck was.
        film_as: The film's format; mp4 needs ffmpeg.
        at: Look at the parameters after training (end) or before (start).
        images: Average over so many of the first training images.
        points: For --credit: points of the path; with fewer than the run has steps it is coarse.
        frames: For --film: about so many pictures.
        device: Where to compute; by default jax's choice.
        json: Print what was found as one last line of JSON.
    """
    from jaxnet import commands

    with progress() as show:
        found = commands.bang(
            run, k=k, worth=worth, budget=budget, credit=credit, examples=examples, film=film, film_as=film_as, at=at,
            images=images, points=points, frames=frames, device=device, show=show,
        )  # fmt: skip
    print("the gradient of the cost, averaged over training images; dC/dp")
    for rank, nudge in enumerate(found.nudges, start=1):
        print(f"{rank:4d}  {nudge.gradient:+.3e}  {nudge.text}")
    for name, value in found.facts.items():
        print(f"{name}: {value}")
    if found.film is not None:
        print(found.film)
    print(found.report)
    if json:
        rows = [
            nudge._asdict() | {"ratio": nudge.ratio if math.isfinite(nudge.ratio) else None} for nudge in found.nudges
        ]
        print(json_format.dumps({"nudges": rows, "facts": found.facts}))


def predict(
    run: tyro.conf.Positional[Path],
    files: tyro.conf.Positional[tuple[Path, ...]],
    out: Path | None = None,
    device: Device = None,
    json: bool = False,
) -> None:
    """Read photos or scans of single digits with a trained network, and show what it saw of them.

    Args:
        run: The run folder.
        files: Pictures of one digit each, dark on light or light on dark.
        out: Save a picture of what the network saw and answered, as PNG.
        device: Where to compute; by default jax's choice.
        json: Print the answers as one last line of JSON.
    """
    from jaxnet import commands
    from jaxnet.scan import as_text

    answers = commands.predict(run, files, out=out, device=device)
    for answer in answers:
        print(as_text(answer.image))
        print(f"{answer.file}: {answer.answer} ({100 * answer.confidence:.0f} %)")
    if json:
        print(json_format.dumps([answer._asdict() | {"image": answer.image.tolist()} for answer in answers]))


def main() -> None:
    """Run the command that the arguments name.

    What is compiled is kept in the user's cache, so that the next time it need not be compiled again; the environment
    variable JAXNET_NO_COMPILATION_CACHE, set to anything, switches that off.

    Exit codes: 0 done; 1 could not be done, with one line why; 2 the arguments make no sense; 130 and 143 ended early by
    Ctrl-C or SIGTERM, with what there was by then saved.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that temporary folders are removed
    if sys.argv[1:] == ["--version"]:
        print(f"jaxnet {__version__}")
        return
    if not {"-h", "--help"} & set(sys.argv):
        from jaxnet.devices import keep_compilations

        keep_compilations()
    try:
        tyro.extras.subcommand_cli_from_dict(
            {"train": train, "sweep": sweep, "bang": bang, "predict": predict},
            prog="jaxnet",
            description="Gradient descent you can see through: train a network, look at every gradient, read your own digits.",
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except BrokenPipeError:
        sys.exit(1)  # whoever read our output has gone
    except USER_ERRORS as error:
        print(f"jaxnet: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("jaxnet: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
