"""The commands that use a trained network: bang and predict."""

import dataclasses
import json as json_format
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from jaxnet import commands
from jaxnet.cli.progress import progress_bar, show_file

Run = tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
Pictures = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PICTURE ...", help_behavior_hint="")]
]
Place = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
Device = Annotated[Literal["cpu", "gpu", "tpu"] | None, tyro.conf.arg(metavar="{cpu,gpu,tpu}", help_behavior_hint="")]


if TYPE_CHECKING:

    class Instruments:
        """The command line has a flag for each instrument."""
else:
    Instruments = dataclasses.make_dataclass(
        "Instruments",
        [(name, Annotated[bool, tyro.conf.arg(help=one.help)], False) for name, one in commands.INSTRUMENTS.items()],
        frozen=True,
    )


def bang(
    run: Run,
    k: int = 20,
    instruments: tyro.conf.OmitArgPrefixes[Instruments] = Instruments(),  # noqa: B008
    animate: bool = False,
    animate_as: Literal["gif", "mp4", "html"] = "gif",
    at: Literal["start", "end"] = "end",
    images: int = 10_000,
    points: int = 400,
    frames: int = 40,
    data: Place = None,
    device: Device = None,
    json: bool = False,
) -> None:
    """Look at a trained network parameter by parameter, and write RUN/bang.html.

    The page has pictures, and a table of all parameters to sort and to search.

    Args:
        run: The run folder that jaxnet train wrote.
        k: The number of components of the gradient to list, the largest first.
        instruments: What to measure besides the gradient and the dead parameters.
        animate: Train again, and make an animation of how the gradient changes.
        animate_as: The format of the animation in RUN/bang. An html file has its own player. The format mp4 needs ffmpeg.
        at: Look at the parameters after training (end) or before training (start).
        images: The number of training images to average over, from the first image on.
        points: For --credit: the number of points on the training path. If the run has more steps, the result is coarse.
        frames: For --animate: the approximate number of pictures of the animation.
        data: The new path of the run's data, if the file or folder was moved.
        device: Where to compute. By default jax chooses.
        json: Print the results as one last line of JSON.
    """
    with progress_bar() as on_progress:
        found = commands.bang(
            run, [name for name, wanted in vars(instruments).items() if wanted], k=k, animate=animate, animate_as=animate_as,
            at=at, images=images, points=points, frames=frames, data=data, device=device, on_progress=on_progress,
        )  # fmt: skip
    print("the gradient of the cost, dC/dp, averaged over training images")
    for rank, nudge in enumerate(found.nudges, start=1):
        print(f"{rank:4d}  {nudge.gradient:+.3e}  {nudge.text}")
    for name, value in found.facts.items():
        print(f"{name}: {value}")
    if found.animation is not None:
        show_file(found.animation)
    show_file(found.report)
    if json:
        rows = [
            nudge._asdict() | {"ratio": nudge.ratio if math.isfinite(nudge.ratio) else None} for nudge in found.nudges
        ]
        print(json_format.dumps({"nudges": rows, "facts": found.facts}))


def predict(
    run: Run,
    files: Pictures,
    as_is: bool = False,
    out: Place = None,
    device: Device = None,
    json: bool = False,
) -> None:
    """Recognize photos or scans of single digits with a trained network.

    For each picture, the command prints the network's input and its answer.

    Remarks about doubtful pictures go to standard error.

    Examples: an empty picture, several digits, a small mark, an unusual picture.

    The exit code is 1 if a picture cannot be read or shows no digit.

    Args:
        run: The run folder that jaxnet train wrote.
        files: Pictures of one digit each, dark on light or light on dark, on plain, lined or squared paper.
        as_is: Only resize the pictures, and do not look for a digit in them.
        out: Also save a PNG with the images that the network got, and its answers.
        device: Where to compute. By default jax chooses.
        json: Print the answers as one last line of JSON.
    """
    from jaxnet import commands

    unread = []

    def tell(error: ValueError | OSError) -> None:
        unread.append(str(error))
        print(f"jaxnet: {error}", file=sys.stderr)

    answers = commands.predict(run, files, as_is=as_is, out=out, device=device, on_result=_print_answers, unread=tell)
    if json:
        print(json_format.dumps([answer._asdict() | {"image": answer.image.tolist()} for answer in answers]))
    if unread or any(answer.answer is None for answer in answers):
        sys.exit(1)


def _print_answers(answers: tuple[Any, ...]) -> None:
    from jaxnet.data.photo import as_text

    for answer in answers:
        if answer.answer is not None:
            print(as_text(answer.image))
            print(f"{answer.file}: {answer.answer} ({100 * answer.confidence:.0f} %)", flush=True)
        for remark in answer.remarks:
            print(f"jaxnet: {answer.file}: {remark}", file=sys.stderr)
