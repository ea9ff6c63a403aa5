"""The commands as functions: each takes plain arguments, does the work, writes what it is told to, and returns what it found."""

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import bang as bang_for_buck
from jaxnet import losses, recipes, scan, training
from jaxnet import run as folders
from jaxnet._types import Dataset
from jaxnet.devices import arithmetic, describe
from jaxnet.recipes import Settings
from jaxnet.walking import Seen, Walked, stoppable, walk


class Answer(NamedTuple):
    """What the network made of one picture.

    Attributes:
        file: The picture.
        answer: The class it answers.
        confidence: The strongest output, 0..1: the softmax of logits, a sigmoid as it is.
        outputs: All outputs, 0..1.
        image: What the network saw, (28, 28).
    """

    file: str
    answer: str
    confidence: float
    outputs: tuple[float, ...]
    image: np.ndarray


def train(
    settings: Settings = recipes.film,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    evaluate_every: int | None = None,
    watch_every: int = 0,
    show: Callable[[Seen], None] = lambda seen: None,
    found: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Train a network, score the test images once, and write a run folder.

    Ctrl-C and SIGTERM end the training early; what there is by then is judged and saved.

    Args:
        settings: What to do; `recipes.film._replace(epochs=5)` changes a preset.
        out: The run folder; None takes the first free of runs/PRESET-1, runs/PRESET-2, ...
        overwrite: Whether an existing run folder may be replaced.
        pictures: Whether to draw the pictures and compose `report.html`.
        evaluate_every: Epochs between evaluations on held-out images (or on training images where none are held out);
            0 for none, None for at most 25 of them.
        watch_every: Watch what the gradient does to every array of parameters, one step in so many, into `signals.csv`;
            0 does not. The steps are the same.
        show: Called with what there is to see, after every chunk of steps.
        found: Called with the result as soon as the test images are scored, before the cost over the training images is
            known and before anything is saved.

    Returns:
        The numbers in `result.json`: parameters, test_accuracy (a fraction), test_cost, cost (over all training
        images), seconds (of training, compilation included), out, params_sha256 and more.

    Raises:
        ValueError: If settings and data do not go together.
        FileExistsError: If the folder exists.
        Diverged: If the cost becomes NaN or infinite; the last good state is saved before.
    """
    if settings.data.endswith(".npz"):
        settings = settings._replace(data=str(Path(settings.data).resolve()))
    recipes.check(settings)
    folder = Path(out) if out is not None else folders.first_free(Path("runs"), settings.preset)
    folders.require_free(folder, overwrite=overwrite)
    with arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision):
        show(Seen("loading"))
        with ThreadPoolExecutor(1) as pool:
            waking = pool.submit(training.keys, settings.seed)  # jax wakes up while the images are unpacked
            images = training.dataset(settings.data)
        waking.result()
        plan = training.plan(settings, images)
        temporary = folders.temporary_folder(folder)
        try:
            show(Seen("compiling", 0, plan.num_steps))
            with stoppable() as asked:
                walked = walk(plan, evaluate_every=evaluate_every, watch_every=watch_every, show=show, asked=asked)
                if out is None:
                    folder = folders.first_free(folder.parent, settings.preset)
                result = _scored(plan, images, walked) | {"out": str(folder)}
                found(result)
                run = _finished(plan, images, walked, result)
                folders.write(temporary, run)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        folders.settle(temporary, folder, overwrite=overwrite)
        if walked.diverged is not None:
            raise walked.diverged
        if pictures and not asked:
            show(Seen("drawing", run.result["steps"], plan.num_steps))
            # Here, as matplotlib takes a quarter of a second: the accuracy is known by now.
            from jaxnet.publishing import publish

            publish(folder, run, training.member(plan.params, walked.chosen), plan.train, images)
    return run.result


def _scored(plan: training.Plan, images: Dataset, walked: Walked) -> dict[str, Any]:
    """Score the test images, once, and tell it with what else is known of the run."""
    settings, recipe, params = plan.settings, plan.recipe, walked.state.params
    outputs = losses.outputs(recipe.apply, params, images.test.images)
    test = losses.evaluate(recipe.loss, outputs, images.test.labels)
    return {
        "preset": settings.preset,
        "data": settings.data,
        "seed": settings.seed,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "steps": int(walked.state.step),
        "num_steps": plan.num_steps,
        "test_accuracy": float(losses.exactly(test.accuracy, len(images.test.labels))),
        "test_images": len(images.test.labels),
        "test_cost": float(test.cost) if np.isfinite(test.cost) else None,  # JSON knows no NaN
        "chosen": walked.chosen,
        "train_images": len(plan.train.labels),
        "judged_by": f"{len(plan.judged.labels):,} {'held-out' if plan.held_out else 'training'} images",
        "seconds": walked.seconds,
        "retraced": list(walked.retraced),
        "interrupted": walked.signal is not None,
        "signal": walked.signal,
        "diverged": None if walked.diverged is None else str(walked.diverged),
        "device": describe(),
        "params_sha256": folders.params_sha256(params),
    }


def _finished(plan: training.Plan, images: Dataset, walked: Walked, result: dict[str, Any]) -> folders.Run:
    """Read all training images too, and put together what there is to keep."""
    settings, recipe, params = plan.settings, plan.recipe, walked.state.params
    trained_on = training.judge(recipe, params, plan.train)
    cost = float(trained_on.cost) if np.isfinite(trained_on.cost) else None
    right = float(losses.exactly(trained_on.accuracy, len(plan.train.labels)))
    result = result | {"cost": cost, "train_accuracy": right}
    return folders.Run(
        settings, params, walked.state, walked.history, walked.evaluations, result,
        tuple(plan.train.images.shape[1:]), images.classes, folders.versions(), recipe, walked.signals,
    )  # fmt: skip


class Inspection(NamedTuple):
    """What `bang` found.

    Attributes:
        nudges: The components of the gradient with the largest magnitude, in order.
        facts: The numbers to see first, by what they are.
        report: The page with everything.
        film: The film, if one was asked for.
    """

    nudges: tuple[bang_for_buck.Nudge, ...]
    facts: dict[str, str]
    report: Path
    film: Path | None


def bang(
    run: str | Path,
    *,
    k: int = 20,
    worth: bool = False,
    budget: bool = False,
    credit: bool = False,
    examples: bool = False,
    film: bool = False,
    film_as: str = "gif",
    at: str = "end",
    images: int = 10_000,
    points: int = 400,
    frames: int = 40,
    device: str | None = None,
    show: Callable[[Seen], None] = lambda seen: None,
) -> Inspection:
    """Look at a finished run with the instruments of `jaxnet.bang`, and write `bang.html` and `bang/` into its folder.

    The gradient, the ranking and the dead knobs are always there; the rest is what was asked for.

    Args:
        run: The run folder.
        k: How many components to return.
        worth: Nudge every parameter alone and measure what it buys, in float64; of a network beyond 50,000 parameters the
            200 (convnet: 20) with the largest gradient, over 500 images.
        budget: How much the best parameters buy, proven by really taking the steps.
        credit: Walk the run again and account for the fall of its cost.
        examples: Gradients image by image: signal to noise, tug of war, hardest images, noise scale.
        film: Walk the run again and film where the bang for the buck was.
        film_as: The film's format, gif, mp4 or html; mp4 needs ffmpeg.
        at: Which parameters to look at, those after training ("end") or before ("start").
        images: Average over so many of the first training images.
        points: Points of the path to account along; with fewer than the run has steps the credit is coarse.
        frames: Pictures of the film, about.
        device: Where to compute; None takes jax's choice, wherever the run was trained.
        show: Called before each instrument.

    Returns:
        The ranking, the numbers, and where the report is.

    Raises:
        FileNotFoundError, ValueError: If there is no such run, or an argument makes no sense.
    """
    from jaxnet import dossier, filming, publishing, retracing

    for name, number in (("k", k), ("points", points), ("frames", frames)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    folder = Path(run)
    with arithmetic(device=device):
        loaded = folders.load(folder)
    if film:
        filming.require(film_as)
    with arithmetic(device=device, dtype=loaded.settings.dtype, precision=loaded.settings.precision):
        of = dossier.subject(loaded, training.dataset(loaded.settings.data), count=images, at=at)
        if film:
            retracing.require_film(of)
        steps = int(loaded.result["steps"])
        stepping = lambda phase: lambda step: show(Seen(phase, step, steps))
        asked: dict[str, Callable[[], dossier.Dossier]] = {"gradient": lambda: dossier.of_gradient(of)}
        asked |= {"worth": lambda: dossier.of_worth(of)} if worth else {}
        asked |= {"budget": lambda: dossier.of_budget(of)} if budget else {}
        asked |= {"examples": lambda: dossier.of_examples(of)} if examples else {}
        asked |= {"credit": lambda: retracing.of_credit(of, points=points, show=stepping("credit"))} if credit else {}
        parts = []
        for name, measure in asked.items():
            show(Seen(name))
            parts.append(measure())
        moving, path = None, None
        if film:
            show(Seen("film: walking the run again"))
            path = folder / "bang" / f"film.{film_as}"
            path.parent.mkdir(exist_ok=True)
            drawn = lambda frame, of: show(Seen("film: drawing its frames", frame, of))
            moving = filming.write(
                retracing.film(of, frames=frames, show=stepping("film: walking the run again")), path, show=drawn
            )
        show(Seen("drawing the page"))
        found = dossier.merged(parts)
        title = f"Bang for the buck: {loaded.settings.preset} on {loaded.settings.data}, {of.moment}"
        lead = (
            f"What each of {found.facts['parameters']} parameters' gradient is worth, looked at with {', '.join(asked)}; costs and "
            f"gradients are averages over {len(of.batch.labels):,} training images."
        )
        page = publishing.publish_bang(folder, loaded, found, title=title, lead=lead, film=path, frames=moving)
        nudges = bang_for_buck.top(of.grads, k, image_shape=loaded.image_shape)
    return Inspection(nudges, found.facts, page, path)


def predict(
    run: str | Path, files: Iterable[str | Path], *, out: str | Path | None = None, device: str | None = None
) -> tuple[Answer, ...]:
    """Read photos or scans of single digits with a trained network.

    Args:
        run: The run folder.
        files: Pictures; ink may be dark on light or light on dark, anywhere, of any size.
        out: Where to save a picture of what was seen and answered; None does not.
        device: Where to compute; None takes jax's choice, wherever the run was trained.

    Returns:
        An answer for each file.

    Raises:
        FileNotFoundError: If a file or the run is missing.
        ValueError: If a file is no picture, shows no digit, or the network does not read 28x28 images.
    """
    from jaxnet import plot, portraits, report

    files = [Path(file) for file in files]
    if not files:
        raise ValueError("there is no picture to read; name at least one file")
    with arithmetic(device=device):
        loaded = folders.load(run)
    if loaded.image_shape != (scan.SIDE, scan.SIDE):
        raise ValueError(f"pictures are read as 28x28 gray images, but this network reads {loaded.image_shape}")
    pages = [scan.read(file) for file in files]
    images = []
    for file, page in zip(files, pages, strict=True):
        try:
            images.append(scan.as_mnist(page))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    with arithmetic(device=device, dtype=loaded.settings.dtype, precision=loaded.settings.precision):
        outputs = losses.outputs(loaded.recipe.apply, loaded.params, np.stack(images), chunk_size=len(images))
        sure = portraits.certainty(loaded.recipe, outputs)
    if out is not None:
        figure = plot.seen(pages, images, sure, [file.name for file in files], classes=loaded.classes)
        folders.write_file(Path(out), report.png(figure))
    return tuple(
        Answer(str(file), loaded.classes[int(row.argmax())], float(row.max()), tuple(map(float, row)), image)
        for file, row, image in zip(files, sure, images, strict=True)
    )
