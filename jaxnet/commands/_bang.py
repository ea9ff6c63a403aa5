"""The command `jaxnet bang` as a function: apply the instruments of `jaxnet.bang` to a finished run, and write one page."""

import importlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from jaxnet import bang as bang_for_buck
from jaxnet import training
from jaxnet.core.devices import arithmetic
from jaxnet.core.types import Dataset
from jaxnet.data.checks import digest
from jaxnet.training import run_folder
from jaxnet.training.progress import OnProgress, Progress, no_progress


def _require_same(dataset: Dataset, loaded: run_folder.Run, name: str) -> None:
    """Raise an error if the run records its data and was trained on other data, because every number would be wrong."""
    expected = loaded.result.get("data_sha256")
    if expected is not None and digest(dataset) != expected:
        raise ValueError(
            f"{name} does not hold the data that the run was trained on: the sha256 differs; name the right data with "
            "--data PATH (data= in Python)"
        )


class Instrument(NamedTuple):
    """An instrument of `jaxnet bang`.

    Attributes:
        module: The module with the function. It imports matplotlib, so it is imported only when the instrument is used.
        function: The name of the function: `function(subject, on_progress) -> BangResults`.
        help: What the instrument does, for the command line.
    """

    module: str
    function: str
    help: str


INSTRUMENTS = {
    "worth": Instrument(
        "jaxnet.reports.bang_report", "of_worth",
        "Nudge every parameter alone, and measure how the cost changes. "
        "Above 50,000 parameters, nudge only the most important.",
    ),
    "budget": Instrument(
        "jaxnet.reports.bang_report", "of_budget",
        "Move only the best parameters in a step, and measure which part of the full fall of the cost remains.",
    ),
    "examples": Instrument(
        "jaxnet.reports.bang_report", "of_examples",
        "Compare the gradients of single images: signal to noise, the pull of each label, the hardest images, the noise scale.",
    ),
    "precision": Instrument(
        "jaxnet.reports.bang_report", "of_precision",
        "Compute the gradient in bfloat16 and float16, and compare signs, ranks and direction layer by layer.",
    ),
    "credit": Instrument(
        "jaxnet.reports.replaying", "of_credit",
        "Train again, and add up how much each parameter, layer, pixel and label lowered the cost.",
    ),
}  # fmt: skip
"""For each name: an instrument. The command line, its help and the report use this table."""


class Inspection(NamedTuple):
    """The results of `bang`.

    Attributes:
        nudges: The components of the gradient with the largest magnitude, the largest first.
        facts: For each name: one of the most important numbers.
        report: The page with all results.
        animation: The file of the animation. Without `animate` it is None.
    """

    nudges: tuple[bang_for_buck.Nudge, ...]
    facts: dict[str, str]
    report: Path
    animation: Path | None


def bang(
    run: str | Path,
    instruments: Collection[str] = (),
    *,
    k: int = 20,
    animate: bool = False,
    animate_as: str = "gif",
    at: str = "end",
    images: int = 10_000,
    points: int = 400,
    frames: int = 40,
    data: str | Path | None = None,
    device: str | None = None,
    on_progress: OnProgress = no_progress,
) -> Inspection:
    """Look at a finished run with the instruments of `jaxnet.bang`, and write `bang.html` and `bang/` into its folder.

    The page always shows the gradient, the ranking and the dead parameters. The arguments add the other instruments.

    Args:
        run: The run folder.
        instruments: Names from `INSTRUMENTS`, such as ("worth", "credit"). In a network with more than 50,000 parameters "worth"
            nudges only the 200 with the largest gradient (convnet: 20), and the cost is the mean over 500 images.
        k: The number of components to return.
        animate: Train again, and make an animation of the gradient.
        animate_as: The format of the animation: gif, mp4 or html. The format mp4 needs ffmpeg.
        at: Which parameters to look at: the parameters after training ("end") or before training ("start").
        images: The number of training images to average over, from the first image on.
        points: For "credit": the number of points on the training path. If the run has more steps, the result is coarse.
        frames: The approximate number of pictures of the animation.
        data: The present place of the run's data. If it is None, the place that the run recorded is used.
        device: Where to compute. If it is None, jax chooses. The run may have been trained on another device.
        on_progress: Called before each instrument.

    Returns:
        The ranking, the numbers, and the path of the report.

    Raises:
        FileNotFoundError: If the run does not exist.
        ValueError: If an argument is not valid, or the run was trained on other data.
    """
    from jaxnet.reports import animation, bang_report, publishing, replaying

    if unknown := sorted(set(instruments) - set(INSTRUMENTS)):
        raise ValueError(f"there is no instrument {unknown[0]!r}, only {', '.join(INSTRUMENTS)}")
    for name, number in (("k", k), ("points", points), ("frames", frames)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    folder = Path(run)
    with arithmetic(device=device):
        loaded = run_folder.load(folder)
    if animate:
        animation.require(animate_as)
    with arithmetic(device=device, dtype=loaded.settings.dtype, precision=loaded.settings.precision):
        source = loaded.settings if data is None else training.with_whole_path(loaded.settings._replace(data=str(data)))
        dataset = training.dataset(source)
        _require_same(dataset, loaded, source.data)
        of = bang_report.subject(loaded, dataset, count=images, at=at, points=points)
        if animate:
            replaying.require_animation(of)
        asked = ["gradient", *(name for name in INSTRUMENTS if name in instruments)]
        parts = []
        for name in asked:
            on_progress(Progress(name))
            counting = lambda done, total, name=name: on_progress(Progress(name, done, total))
            parts.append(_measure(name)(of, counting))
        moving, path = None, None
        if animate:
            on_progress(Progress("animation: training again"))
            path = folder / "bang" / f"animation.{animate_as}"
            path.parent.mkdir(exist_ok=True)
            training_again = lambda step, steps: on_progress(Progress("animation: training again", step, steps))
            drawn = lambda frame, of: on_progress(Progress("animation: drawing its frames", frame, of))
            moving = animation.write(
                replaying.animate(of, frames=frames, on_progress=training_again),
                path,
                on_progress=drawn,
            )
        on_progress(Progress("drawing the page"))
        found = bang_report.merged(parts)
        title = f"Bang for the buck: {loaded.settings.preset} on {loaded.settings.data}, {of.moment}"
        lead = (
            f"The gradient of each of {found.facts['parameters']} parameters. The instruments are: {', '.join(asked)}. Costs and "
            f"gradients are averages over {len(of.batch.labels):,} training images."
        )
        page = publishing.publish_bang(folder, loaded, found, title=title, lead=lead, animation=path, frames=moving)
        nudges = bang_for_buck.top(of.grads, k, image_shape=loaded.image_shape)
    return Inspection(nudges, found.facts, page, path)


def _measure(name: str) -> Callable[..., Any]:
    """The function of an instrument, or the function of the gradient. Every report begins with the gradient."""
    module, function, _ = INSTRUMENTS.get(name, Instrument("jaxnet.reports.bang_report", "of_gradient", ""))
    return getattr(importlib.import_module(module), function)
