"""The commands that look at a trained network: bang and predict."""

import json as json_format
import math
import sys
from pathlib import Path
from typing import Any, Literal

import tyro

from jaxnet.live import progress, show_file

Device = Literal["cpu", "gpu", "tpu"] | None


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
    data: Path | None = None,
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
        film_as: The film's format in RUN/bang; html is one file with its own player, mp4 needs ffmpeg.
        at: Look at the parameters after training (end) or before (start).
        images: Average over so many of the first training images.
        points: For --credit: points of the path; with fewer than the run has steps it is coarse.
        frames: For --film: about so many pictures.
        data: Where the file or folder with the run's data is now, if it was moved.
        device: Where to compute; by default jax's choice.
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
    run: tyro.conf.Positional[Path],
    files: tyro.conf.Positional[tuple[Path, ...]],
    as_is: bool = False,
    out: Path | None = None,
    device: Device = None,
    json: bool = False,
) -> None:
    """Read photos or scans of single digits with a trained network, and show what it saw of them.

    What speaks against an answer is said on stderr: nothing there, more than one digit, the edge touched, something
    faint and small, unlike the training images. The exit code is 1 if a file could not be read or shows nothing; the
    others are answered.

    Args:
        run: The run folder.
        files: Pictures of one digit each, dark on light or light on dark, in any light, on plain, lined or squared paper.
        as_is: Take the pictures as they are, only resized, instead of looking for a digit.
        out: Save a picture of what the network saw and answered, as PNG.
        device: Where to compute; by default jax's choice.
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
