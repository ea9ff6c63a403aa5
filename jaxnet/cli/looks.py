"""The commands that look at a trained network: bang and predict."""

import json as json_format
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxnet.live import progress, show_file

Run = tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
Pictures = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PICTURE ...", help_behavior_hint="")]
]
Place = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
Device = Annotated[Literal["cpu", "gpu", "tpu"] | None, tyro.conf.arg(metavar="{cpu,gpu,tpu}", help_behavior_hint="")]


def bang(
    run: Run,
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
    data: Place = None,
    device: Device = None,
    json: bool = False,
) -> None:
    """Look at a trained network parameter by parameter, and write RUN/bang.html.

    The page has pictures, and a table of all parameters to sort and to search.

    Args:
        run: The run folder that jaxnet train wrote.
        k: How many of the largest components of the gradient to list.
        worth: Nudge every parameter alone (of more than 50,000 the most important ones), and measure how the cost changes.
        budget: Take a step with only the best parameters, and measure how much of the whole step it buys.
        credit: Train again, and add up how much each parameter, layer, pixel and label lowered the cost.
        examples: Compare the gradients of single images: signal to noise, label against label, hardest images, noise scale.
        film: Train again, and film how the gradient changes.
        film_as: The film's format in RUN/bang; html is one file with its own player, mp4 needs ffmpeg.
        at: Look at the parameters after training (end) or before training (start).
        images: How many of the first training images to average over.
        points: For --credit: how many steps to add up along; if the run has more steps, the result is coarse.
        frames: For --film: about how many pictures the film has.
        data: If the file or folder with the run's data was moved: where it is now.
        device: Where to compute; by default jax chooses.
        json: Print what was found as one last line of JSON.
    """
    from jaxnet import commands

    with progress() as show:
        found = commands.bang(
            run, k=k, worth=worth, budget=budget, credit=credit, examples=examples, film=film, film_as=film_as, at=at,
            images=images, points=points, frames=frames, data=data, device=device, show=show,
        )  # fmt: skip
    print("the gradient of the cost, averaged over training images; dC/dp")
    for rank, nudge in enumerate(found.nudges, start=1):
        print(f"{rank:4d}  {nudge.gradient:+.3e}  {nudge.text}")
    for name, value in found.facts.items():
        print(f"{name}: {value}")
    if found.film is not None:
        show_file(found.film)
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
    """Read photos or scans of single digits with a trained network.

    It prints what the network saw of each picture, and its answer.

    Doubts go to standard error: nothing there, more than one digit, something small beside
    the digit, an unusual picture.

    The exit code is 1 if a picture cannot be read or shows nothing.

    Args:
        run: The run folder that jaxnet train wrote.
        files: Pictures of one digit each, dark on light or light on dark, on plain, lined or squared paper.
        as_is: Only resize the pictures; do not look for a digit in them.
        out: Also save a PNG of what the network saw and answered.
        device: Where to compute; by default jax chooses.
        json: Print the answers as one last line of JSON.
    """
    from jaxnet import commands

    unread = []

    def tell(error: ValueError | OSError) -> None:
        unread.append(str(error))
        print(f"jaxnet: {error}", file=sys.stderr)

    answers = commands.predict(run, files, as_is=as_is, out=out, device=device, found=_print_answers, unread=tell)
    if json:
        print(json_format.dumps([answer._asdict() | {"image": answer.image.tolist()} for answer in answers]))
    if unread or any(answer.answer is None for answer in answers):
        sys.exit(1)


def _print_answers(answers: tuple[Any, ...]) -> None:
    from jaxnet.scan import as_text

    for answer in answers:
        if answer.answer is not None:
            print(as_text(answer.image))
            print(f"{answer.file}: {answer.answer} ({100 * answer.confidence:.0f} %)", flush=True)
        for remark in answer.remarks:
            print(f"jaxnet: {answer.file}: {remark}", file=sys.stderr)
