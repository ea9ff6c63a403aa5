"""The commands as functions: each takes plain arguments, does the work, writes what it is told to, and returns what it found."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import bang as bang_for_buck
from jaxnet import claims, losses, recipes, scan, training
from jaxnet import run as folders
from jaxnet._types import Dataset
from jaxnet.data.appearance import MNIST, Appearance, distances, likeness, look_of, shrunk
from jaxnet.data.own import digest
from jaxnet.devices import arithmetic, describe
from jaxnet.recipes import Settings
from jaxnet.walking import Seen, Walked, stoppable, unheeded, walk


class Answer(NamedTuple):
    """What the network made of one picture.

    Attributes:
        file: The picture.
        answer: The class it answers; None where there is nothing to read.
        confidence: The strongest output, 0..1: the softmax of logits, a sigmoid as it is; 0 without an answer.
        outputs: All outputs, 0..1; empty without an answer.
        image: What the network saw, 0..255, of the shape of the training images.
        remarks: What speaks against the answer, in words: nothing there, more than one digit, the edge of the picture
            touched, unlike the training images.
    """

    file: str
    answer: str | None
    confidence: float
    outputs: tuple[float, ...]
    image: np.ndarray
    remarks: tuple[str, ...] = ()


def train(
    settings: Settings = recipes.film,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    evaluate_every: int | None = None,
    watch_every: int = 0,
    files: str | Path | None = None,
    show: Callable[[Seen], None] = lambda seen: None,
    found: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Train a network, score the test images once, and write a run folder.

    Ctrl-C, SIGTERM and SIGHUP end the training early; the network that is there by then is scored and saved. While images are
    loaded they end at once, and nothing is left; while pictures are drawn they end the drawing, and the network is saved already.
    If an evaluation or the scoring fails, the network is saved without scores: they are None in `result.json`.

    Args:
        settings: What to do; `recipes.film._replace(epochs=5)` changes a preset.
        out: The run folder; None takes the first free of runs/PRESET-1, runs/PRESET-2, ...
        overwrite: Whether an existing run folder may be replaced.
        pictures: Whether to draw the pictures and compose `report.html`.
        evaluate_every: Epochs between evaluations on held-out images (or on training images where none are held out);
            0 for none, None for at most 25 of them.
        watch_every: Watch what the gradient does to every array of parameters, one step in so many, into `signals.csv`;
            0 does not. The steps are the same.
        files: For a data set's name: a folder with its original files, instead of the network.
        show: Called with what there is to see, after every chunk of steps; an OSError of its is not heeded.
        found: Called with the result as soon as the run is saved, before anything is drawn.

    Returns:
        The numbers in `result.json`: parameters, test_accuracy (a fraction), test_cost, cost (over all training
        images), seconds (of training, compilation included), out, params_sha256 and more. `signal` is the signal that came
        before the run was saved, also where it cut no step.

    Raises:
        ValueError: If settings and data do not go together.
        FileExistsError: If the folder exists, or another process is writing it.
        Diverged: If the cost becomes NaN or infinite; the last good state is saved before.
        OSError: If the run could not be written to the folder; the message says where it is kept instead.
        Exception: What an evaluation or the scoring raised, with a note that says where the network is kept.
    """
    folders.require_utf8(settings.data, "rename the file")
    settings = training.with_whole_path(settings)
    folders.require_utf8(settings.data, "rename the folder that the file is in")
    recipes.check(settings)
    folder = folders.place(out, settings.preset)
    folders.require_free(folder, overwrite=overwrite)
    show = unheeded(show)
    with (
        arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision),
        claims.claimed(folder) as temporary,
    ):
        folders.require_free(folder, overwrite=overwrite)
        show(Seen("loading"))
        with ThreadPoolExecutor(1) as pool:
            waking = pool.submit(training.keys, settings.seed)  # jax wakes up while the images are unpacked
            images = training.dataset(settings, files=files)
        waking.result()
        plan = training.plan(settings, images)
        show(Seen("compiling", 0, plan.num_steps))
        with stoppable() as asked:
            walked = walk(plan, evaluate_every=evaluate_every, watch_every=watch_every, show=show, asked=asked)
            with stoppable(insist=False) as later:
                run, failed = _unscored(plan, images, walked, str(folder if out is None else out)), walked.failed
                if failed is None:
                    try:
                        run = _scored(plan, images, run)
                    except Exception as error:  # of a device without memory, whatever its driver raises
                        failed = error
                if failed is not None:
                    why = f"{type(failed).__name__}: {folders.reason(failed)}"
                    run = run._replace(result=run.result | {"failed": why})
                bare = run._replace(history={}, evaluations={}, signals={})
                write, less = functools.partial(_write, run), functools.partial(_write, bare)
                folders.save(write, temporary, folder, overwrite=overwrite, less=less)
        asked += later
    if failed is not None:
        failed.add_note(f"the trained network is kept, without scores, in {run.result['out']}")
        raise failed
    result = run.result | ({"signal": asked[0]} if asked else {})
    with (
        _kept(str(folder if out is None else out)),
        arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision),
    ):
        unread = None
        try:
            found(result)
        except OSError as error:  # nobody reads it: the pictures are drawn all the same
            unread = error
        if walked.diverged is not None:
            raise walked.diverged
        if pictures and not asked:
            show(Seen("drawing", result["steps"], plan.num_steps))
            # Here, as matplotlib takes a quarter of a second: the accuracy is known by now.
            from jaxnet.publishing import publish

            publish(folder, run, training.member(plan.params, walked.chosen), plan.train, images)
        if unread is not None:
            raise unread
    return result


def _write(run: folders.Run, to: Path, out: Path) -> None:
    """Write a run into a folder, and into its result where it is, if that is not where it was asked for."""
    elsewhere = {"out": str(out)} if to == out else {}
    folders.write(to, run._replace(result=run.result | elsewhere))


@contextlib.contextmanager
def _kept(out: str) -> Iterator[None]:
    """Say of whatever goes wrong after a run was saved where it is."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the trained network is kept in {out}")
        raise


def _unscored(plan: training.Plan, images: Dataset, walked: Walked, out: str) -> folders.Run:
    """Put together what is known of a run before any image is read with the trained network."""
    settings, params = plan.settings, walked.state.params
    counts = np.bincount(np.asarray(images.test.labels))
    result = {
        "preset": settings.preset,
        "data": settings.data,
        "data_sha256": None if settings.data == "mnist" else digest(images),
        "seed": settings.seed,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "steps": int(walked.state.step),
        "num_steps": plan.num_steps,
        "test_accuracy": None,
        "test_images": len(images.test.labels),
        "test_cost": None,
        "cost": None,
        "train_accuracy": None,
        "chosen": walked.chosen,
        "train_images": len(plan.train.labels),
        "judged_by": f"{len(plan.judged.labels):,} {'held-out' if plan.held_out else 'training'} images",
        "seconds": walked.seconds,
        "retraced": list(walked.retraced),
        "interrupted": walked.signal is not None,
        "signal": walked.signal,
        "most_frequent": images.classes[int(counts.argmax())],
        "most_frequent_share": int(counts.max()) / len(images.test.labels),
        "learned": None,
        "diverged": None if walked.diverged is None else str(walked.diverged),
        "failed": None,
        "device": describe(),
        "params_sha256": folders.params_sha256(params),
        "out": out,
    }
    return folders.Run(
        settings, params, walked.state, walked.history, walked.evaluations, result, tuple(plan.train.images.shape[1:]),
        images.classes, folders.versions(), plan.recipe, walked.signals,
    )  # fmt: skip


def _scored(plan: training.Plan, images: Dataset, run: folders.Run) -> folders.Run:
    """Score the test images, once, and the training images, and add how these look."""
    test = losses.evaluate(
        run.recipe.loss, losses.outputs(run.recipe.apply, run.params, images.test.images), images.test.labels
    )
    trained_on = training.judge(run.recipe, run.params, plan.train)
    known = lambda cost: float(cost) if np.isfinite(cost) else None  # JSON knows no NaN
    right = float(losses.exactly(test.accuracy, len(images.test.labels)))
    scores = {
        "test_accuracy": right,
        "test_cost": known(test.cost),
        "cost": known(trained_on.cost),
        "train_accuracy": float(losses.exactly(trained_on.accuracy, len(plan.train.labels))),
        "learned": training.learned(right, run.result["most_frequent_share"]) or not run.result["steps"],
    }
    look = look_of(plan.train.images)
    return run._replace(result=run.result | scores, look=look, likeness=likeness(plan.train.images, look))


def _require_same(dataset: Dataset, loaded: folders.Run, name: str) -> None:
    """Refuse data that a run was not trained on, where the run knows: every number found with it would mislead."""
    expected = loaded.result.get("data_sha256")
    if expected is not None and digest(dataset) != expected:
        raise ValueError(
            f"{name} holds other data than the run was trained on, their sha256 differ; give those with --data PATH "
            "(data= in Python)"
        )


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
    data: str | Path | None = None,
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
        data: Where the run's data are now; None looks where they were.
        device: Where to compute; None takes jax's choice, wherever the run was trained.
        show: Called before each instrument.

    Returns:
        The ranking, the numbers, and where the report is.

    Raises:
        FileNotFoundError, ValueError: If there is no such run, an argument makes no sense, or the data are not those that the
            run was trained on.
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
        source = loaded.settings if data is None else training.with_whole_path(loaded.settings._replace(data=str(data)))
        dataset = training.dataset(source)
        _require_same(dataset, loaded, source.data)
        of = dossier.subject(loaded, dataset, count=images, at=at)
        if film:
            retracing.require_film(of)
        steps = int(loaded.result["steps"])
        stepping = lambda phase: lambda step: show(Seen(phase, step, steps))
        counting = lambda phase: lambda done, total: show(Seen(phase, done, total))
        asked: dict[str, Callable[[], dossier.Dossier]] = {"gradient": lambda: dossier.of_gradient(of)}
        asked |= {"worth": lambda: dossier.of_worth(of, on_progress=counting("worth"))} if worth else {}
        asked |= {"budget": lambda: dossier.of_budget(of, on_progress=counting("budget"))} if budget else {}
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


UNLIKE = "this looks unlike anything that the network was trained on"


def predict(
    run: str | Path,
    files: Iterable[str | Path],
    *,
    as_is: bool = False,
    out: str | Path | None = None,
    device: str | None = None,
    found: Callable[[tuple[Answer, ...]], None] = lambda answers: None,
    unread: Callable[[ValueError | OSError], None] | None = None,
) -> tuple[Answer, ...]:
    """Read photos or scans with a trained network: the digit on each is cut out to look like the training images.

    How the training images look is kept in the run: drawn or shaded things, dark or light, their size and place, gray or
    color. A picture that already has their size and ground is read as it is. Of a run written before this was kept,
    28x28 gray images are taken for MNIST's, and other pictures are only resized.

    A picture gets the remark that it is unlike anything trained on if, shrunk to at most 28 pixels a side and blurred,
    it is less likely than all but one in 200 of the training images under a normal distribution fitted to others of them
    (60 principal components and one variance for the rest). On MNIST's test images 0.24 % get it in error.

    Args:
        run: The run folder.
        files: Pictures of one digit each; ink may be dark on light or light on dark, anywhere, of any size.
        as_is: Only resize the pictures to the size of the training images.
        out: Where to save a picture of what was seen and answered; its folder must exist. None does not save.
        device: Where to compute; None takes jax's choice, wherever the run was trained.
        found: Called with the answers before the picture is saved.
        unread: Called with what is wrong with a file that is missing, damaged or no picture; the others are answered.
            None raises it.

    Returns:
        An answer for each file that is a picture, in their order.

    Raises:
        FileNotFoundError: If a file, the run or the folder of `out` is missing.
        ValueError: If a file is no picture.

    Source: Tipping and Bishop, "Probabilistic principal component analysis", 1999, for the distribution.
    """
    files = [Path(file) for file in files]
    if not files:
        raise ValueError("there is no picture to read; name at least one file")
    if out is not None:
        _require_place(Path(out))
    with arithmetic(device=device):
        loaded = folders.load(run)
    look = loaded.look or _look_of_old(loaded)
    seen, pages = [], []
    for file in files:
        try:
            page = scan.read(file, color=len(look.shape) == 3)
        except (ValueError, OSError) as error:
            if unread is None:
                raise
            unread(error)
            continue
        try:
            image, remarks = scan.cut(page, look, as_is=as_is)
        except ValueError as error:
            image, remarks = None, (str(error),)
        seen.append((str(file), image, remarks))
        step = max(1, max(page.shape[:2]) // 400)
        pages.append(page[::step, ::step].copy())
    answers = _answers(loaded, look, seen, device)
    found(answers)
    if out is not None and answers:
        from jaxnet import plot, report

        blank = (0.0,) * len(loaded.classes)
        figure = plot.seen(
            pages,
            [answer.image for answer in answers],
            np.array([answer.outputs or blank for answer in answers]),
            [Path(answer.file).name for answer in answers],
            classes=loaded.classes,
        )
        folders.write_file(Path(out), report.png(figure))
    return answers


def _answers(
    run: folders.Run,
    look: Appearance,
    seen: list[tuple[str, np.ndarray | None, tuple[str, ...]]],
    device: str | None,
) -> tuple[Answer, ...]:
    """Let the network read what was seen: for each file an image, or None, and remarks."""
    from jaxnet import portraits

    images = [image for _, image, _ in seen if image is not None]
    rows, odd = np.zeros((0, len(run.classes))), np.zeros(0, bool)
    if images:
        stacked = scan.values(np.stack(images), look)
        with arithmetic(device=device, dtype=run.settings.dtype, precision=run.settings.precision):
            outputs = losses.outputs(run.recipe.apply, run.params, stacked, chunk_size=min(len(images), 100))
            rows = np.asarray(portraits.certainty(run.recipe, outputs), np.float64)
        odd = np.zeros(len(images), bool)
        if run.likeness is not None:
            odd = distances(run.likeness, shrunk(stacked, look)) > run.likeness.limit
    read = iter(zip(rows, odd, strict=True))
    answers = []
    for file, image, remarks in seen:
        if image is None:
            empty = np.full(look.shape, round(255 * look.ground), np.uint8)
            answers.append(Answer(file, None, 0.0, (), empty, remarks))
            continue
        row, unlike = next(read)
        best = int(row.argmax())
        more = (UNLIKE,) * bool(unlike)
        answers.append(
            Answer(file, run.classes[best], float(row[best]), tuple(map(float, row)), image, (*remarks, *more))
        )
    return tuple(answers)


def _require_place(out: Path) -> None:
    """Make sure that a file can be written, before anything is read."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name the file that is to be written, such as {out / 'seen.png'}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} to write {out.name} into; make it, or choose another --out")
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"nothing can be written into {out.parent}; choose another --out")


def _look_of_old(loaded: folders.Run) -> Appearance:
    """The look of the images of a run that did not keep it."""
    if loaded.image_shape == MNIST.shape and "fashion" not in loaded.settings.data:
        return MNIST
    return MNIST._replace(shape=loaded.image_shape, isolated=False, drawn=False)
