"""The command `jaxnet predict` as a function: a trained network recognizes your own pictures."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxnet.core import folders, metrics
from jaxnet.core.devices import arithmetic
from jaxnet.data import photo
from jaxnet.data.appearance import MNIST, Appearance, distances, shrunk
from jaxnet.training import run_folder
from jaxnet.training.functions import certainty


class Prediction(NamedTuple):
    """The network's answer for one picture.

    Attributes:
        file: The file of the picture.
        answer: The class that the network chose. It is None if the picture shows nothing to recognize.
        confidence: The largest output, 0..1. Logits go through the softmax first. Outputs of a sigmoid stay unchanged.
            Without an answer, it is 0.
        outputs: All outputs, 0..1. Without an answer, the array is empty.
        image: The image that the network got, 0..255, with the shape of the training images.
        remarks: Reasons to doubt the answer: the picture is empty, shows more than one digit, shows a digit that touches the
            edge, or does not look like the training images.
    """

    file: str
    answer: str | None
    confidence: float
    outputs: tuple[float, ...]
    image: np.ndarray
    remarks: tuple[str, ...] = ()


UNLIKE = "this does not look like the images that the network was trained on"


def predict(
    run: str | Path,
    files: Iterable[str | Path],
    *,
    as_is: bool = False,
    out: str | Path | None = None,
    device: str | None = None,
    on_result: Callable[[tuple[Prediction, ...]], None] = lambda answers: None,
    unread: Callable[[ValueError | OSError], None] | None = None,
) -> tuple[Prediction, ...]:
    """Read photos or scans with a trained network: each digit is cut out and made to look like the training images.

    The run records the look of the training images: drawn lines or shaded objects, dark or light, the size and the place of
    the object, gray or color. A picture that already has the size and the background of these images is used unchanged. Old
    runs do not record the look. For an old run, 28x28 gray images count as MNIST's, and all other pictures are only resized.

    A picture can get the remark that it is unlike the training images. For this test the picture is blurred and shrunk to at
    most 28 pixels a side. A normal distribution is fitted to one part of the training images (60 principal components, and one
    variance for all other directions). The limit is a likelihood. It is chosen so that 0.5 % of another part of the
    training images have a smaller likelihood. Among MNIST's test images, 0.24 % get the remark by mistake.

    Args:
        run: The run folder.
        files: Pictures of one digit each. The ink may be dark on light or light on dark, at any place and of any size.
        as_is: Only resize the pictures to the size of the training images.
        out: Where to save a picture of the images and the answers. Its folder must exist. If it is None, nothing is saved.
        device: Where to compute. If it is None, jax chooses. The run may have been trained on another device.
        on_result: Called with the answers before the picture is saved.
        unread: Called with the error if a file is missing, damaged or not a picture. The other files are still read. If
            `unread` is None, the error is raised.

    Returns:
        An answer for each file that is a picture, in the order of the files.

    Raises:
        FileNotFoundError: If a file, the run or the folder of `out` is missing.
        ValueError: If a file is not a picture.

    Source: Tipping and Bishop, "Probabilistic principal component analysis", 1999, for the distribution.
    """
    files = [Path(file) for file in files]
    if not files:
        raise ValueError("there is no picture to read; name at least one file")
    if out is not None:
        _require_place(Path(out))
    with arithmetic(device=device):
        loaded = run_folder.load(run)
    look = loaded.look or _appearance_of_old(loaded)
    seen, pages = [], []
    for file in files:
        try:
            page = photo.read(file, color=len(look.shape) == 3)
        except (ValueError, OSError) as error:
            if unread is None:
                raise
            unread(error)
            continue
        try:
            image, remarks = photo.cut(page, look, as_is=as_is)
        except ValueError as error:
            image, remarks = None, (str(error),)
        seen.append((str(file), image, remarks))
        step = max(1, max(page.shape[:2]) // 400)
        pages.append(page[::step, ::step].copy())
    answers = _answers(loaded, look, seen, device)
    on_result(answers)
    if out is not None and answers:
        from jaxnet import plot
        from jaxnet.reports import html

        blank = (0.0,) * len(loaded.classes)
        figure = plot.network_inputs(
            pages,
            [answer.image for answer in answers],
            np.array([answer.outputs or blank for answer in answers]),
            [Path(answer.file).name for answer in answers],
            classes=loaded.classes,
        )
        folders.write_file(Path(out), html.png(figure))
    return answers


def _answers(
    run: run_folder.Run,
    look: Appearance,
    seen: list[tuple[str, np.ndarray | None, tuple[str, ...]]],
    device: str | None,
) -> tuple[Prediction, ...]:
    """Compute the network's answers. For each file, `seen` has the name, the image (or None) and the remarks."""
    images = [image for _, image, _ in seen if image is not None]
    rows, odd = np.zeros((0, len(run.classes))), np.zeros(0, bool)
    if images:
        stacked = photo.values(np.stack(images), look)
        with arithmetic(device=device, dtype=run.settings.dtype, precision=run.settings.precision):
            outputs = metrics.predict(run.functions.apply, run.params, stacked, chunk_size=min(len(images), 100))
            rows = np.asarray(certainty(run.functions, outputs), np.float64)
        odd = np.zeros(len(images), bool)
        if run.likeness is not None:
            odd = distances(run.likeness, shrunk(stacked, look)) > run.likeness.limit
    read = iter(zip(rows, odd, strict=True))
    answers = []
    for file, image, remarks in seen:
        if image is None:
            empty = np.full(look.shape, round(255 * look.ground), np.uint8)
            answers.append(Prediction(file, None, 0.0, (), empty, remarks))
            continue
        row, unlike = next(read)
        best = int(row.argmax())
        more = (UNLIKE,) * bool(unlike)
        answers.append(
            Prediction(file, run.classes[best], float(row[best]), tuple(map(float, row)), image, (*remarks, *more))
        )
    return tuple(answers)


def _require_place(out: Path) -> None:
    """Check that the file can be written, before any picture is read."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name the file to write, such as {out / 'seen.png'}")
    if not out.parent.is_dir():
        raise FileNotFoundError(
            f"{out.name} cannot be written, because there is no folder {out.parent}; "
            "make this folder, or choose another --out"
        )
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"nothing can be written into {out.parent}; choose another --out")


def _appearance_of_old(loaded: run_folder.Run) -> Appearance:
    """The look of the training images of an old run. An old run did not record the look."""
    if loaded.image_shape == MNIST.shape and "fashion" not in loaded.settings.data:
        return MNIST
    return MNIST._replace(shape=loaded.image_shape, isolated=False, drawn=False)
