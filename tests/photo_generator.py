"""Pictures as people take them, drawn from a seed: ink of known digits under paper, light, shadow, desk, lens and file format."""

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

KINDS = ("paper", "lined", "squared", "blackboard", "screen")


def arc(x, y, across, down, start, end, points=40):
    turns = np.radians(np.linspace(start, end, points))
    return [(x + across * math.cos(t), y + down * math.sin(t)) for t in turns]


STROKES = {
    0: [arc(0.35, 0.5, 0.3, 0.47, -90, 270)],
    1: [[(0.2, 0.22), (0.38, 0.03), (0.38, 0.97)]],
    2: [[*arc(0.35, 0.3, 0.28, 0.27, 190, 380), (0.55, 0.52), (0.08, 0.95), (0.68, 0.95)]],
    3: [[*arc(0.32, 0.27, 0.28, 0.24, 200, 450), *arc(0.32, 0.74, 0.32, 0.24, 270, 520)]],
    4: [[(0.22, 0.03), (0.05, 0.6), (0.66, 0.6)], [(0.5, 0.25), (0.46, 0.98)]],
    5: [[(0.62, 0.04), (0.16, 0.04), (0.12, 0.45), *arc(0.32, 0.68, 0.32, 0.28, 230, 500)]],
    6: [[(0.5, 0.03), (0.22, 0.35), *arc(0.35, 0.7, 0.27, 0.27, 190, 550)]],
    7: [[(0.05, 0.06), (0.65, 0.06), (0.28, 0.97)]],
    8: [[*arc(0.35, 0.26, 0.23, 0.23, 90, 450), *arc(0.35, 0.74, 0.28, 0.25, -90, 270)]],
    9: [[*arc(0.33, 0.3, 0.25, 0.26, 0, 360), (0.56, 0.6), (0.5, 0.97)]],
}
"""Digits in a box 0.7 wide and 1 high, y downwards."""


class Photo(NamedTuple):
    """A picture file.

    Attributes:
        content: Its bytes.
        suffix: Of its name.
        told: What was drawn, to tell apart where readers fail.
    """

    content: bytes
    suffix: str
    told: dict


def drawn(rng, digit, size, pen):
    """A digit drawn by strokes, 0..1, with a hand's slant, proportions and unsteadiness; `size` high, `pen` wide."""
    over = 2
    slant, across, turn = rng.normal(0, 0.1), rng.uniform(0.8, 1.15), rng.normal(0, 0.05)
    margin = pen + 0.25 * size
    side = math.ceil(size + 2 * margin)
    image = Image.new("L", (side * over, side * over))
    draw = ImageDraw.Draw(image)
    wobble = rng.normal(0, 0.02, (8,))
    for stroke in STROKES[digit]:
        points = []
        for x, y in stroke:
            x, y = (x - 0.35) * across, y - 0.5
            x, y = x - slant * y, y
            x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
            x += wobble[0] * math.sin(5 * y + wobble[1] * 90) + wobble[2] * math.sin(9 * y)
            y += wobble[3] * math.sin(5 * x + wobble[4] * 90) + wobble[5] * math.sin(9 * x)
            points.append(((x * size + side / 2) * over, (y * size + side / 2) * over))
        width = max(1, round(pen * over))
        draw.line(points, fill=255, width=width, joint="curve")
        for x, y in points:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return np.asarray(image.reduce(over), np.float32) / 255


def pasted(image, size):
    """An image of 28x28 pixels as ink, 0..1, `size` pixels for its 20 rows."""
    side = max(28, round(28 * size / 20))
    large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32) / 255


def light(rng, shape, kind=None):
    """How much light falls where, and what it was called."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    rows, columns = rows / shape[0], columns / shape[1]
    kind = kind or rng.choice(("even", "falls", "soft", "hard", "hand"), p=(0.25, 0.25, 0.2, 0.15, 0.15))
    turn = rng.uniform(0, 2 * math.pi)
    along = (columns - 0.5) * math.cos(turn) + (rows - 0.5) * math.sin(turn)
    if kind == "even":
        return np.ones(shape, np.float32), kind
    if kind == "falls":
        return (1 - rng.uniform(0.2, 0.6) * (along + 0.7) / 1.4).clip(0.4, 1), kind
    low = rng.uniform(0.5, 0.85)
    if kind == "hand":
        shade = np.zeros(shape, bool)
        for finger in range(4):
            offset = (finger - 1.5) * 0.13 + rng.normal(0, 0.01)
            across = -(columns - 0.5) * math.sin(turn) + (rows - 0.5) * math.cos(turn) - offset
            shade |= (np.abs(across) < 0.05) & (along > rng.uniform(-0.2, 0.2))
        shade |= along > 0.35
    else:
        shade = along > rng.uniform(-0.3, 0.4)
    soft = 0.01 * min(shape) if kind == "hard" else rng.uniform(0.03, 0.08) * min(shape)
    return 1 - (1 - low) * ndimage.gaussian_filter(shade.astype(np.float32), soft if kind != "hard" else 0.7), kind


def surface(rng, kind, shape, unit):
    """Ground without light, 0..1, and the level of its ink. `unit` is a 600th of the shorter side."""
    dark = kind in ("blackboard", "screen") and (kind == "blackboard" or rng.random() < 0.6)
    if kind == "screen":
        ground, ink = (
            (rng.uniform(0, 0.12), rng.uniform(0.75, 1)) if dark else (rng.uniform(0.88, 1), rng.uniform(0, 0.3))
        )
    elif kind == "blackboard":
        ground, ink = rng.uniform(0.12, 0.28), rng.uniform(0.7, 0.95)
    else:
        ground, ink = rng.uniform(0.75, 0.97), rng.uniform(0.08, 0.4)
    page = np.full(shape, ground, np.float32)
    if kind != "screen":
        small = tuple(max(2, side // 8) for side in shape)
        cloud = ndimage.gaussian_filter(rng.normal(size=small).astype(np.float32), 4)
        cloud = np.asarray(Image.fromarray(cloud).resize(shape[::-1], Image.Resampling.BILINEAR))
        page *= 1 + 0.03 * cloud / max(float(cloud.std()), 1e-6) * (2 if kind == "blackboard" else 0.5)
    if kind in ("lined", "squared"):
        pitch, width = rng.uniform(28, 70) * unit, max(1, round(rng.uniform(1, 2.5) * unit))
        shade = 1 - rng.uniform(0.12, 0.45)
        tilt = rng.normal(0, 0.015)
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        lines = (rows + tilt * columns) % pitch < width
        if kind == "squared":
            lines |= (columns - tilt * rows) % pitch < width
        page[lines] *= shade
    return page, ink


def photo(
    rng,
    ink_of,
    *,
    kind=None,
    lit=None,
    pixels=None,
    pen=None,
    extras=None,
    count=1,
    small=False,
    bent=None,
    plain=False,
):
    """A photo of what `ink_of(size, pen)` draws.

    Args:
        rng: Decides everything that is not given.
        ink_of: From a size and a width of pen in pixels to ink, 0..1; None for a blank page.
        kind: One of KINDS.
        lit: "even", "falls", "soft", "hard" or "hand".
        pixels: Of the page.
        pen: Width of the pen, in 600ths of the shorter side.
        extras: Of "desk", "box", "fold".
        count: How many digits, side by side.
        small: Whether the digit is small in the picture.
        bent: "perspective" for a page seen at an angle, "curved" for one that bulges, as an open book.
        plain: Neither blur nor noise nor JPEG.
    """
    kind = kind or str(rng.choice(KINDS, p=(0.4, 0.15, 0.15, 0.15, 0.15)))
    pixels = pixels or float(np.exp(rng.uniform(math.log(0.3e6), math.log(2e6))))
    aspect = rng.choice((1.0, 4 / 3, 3 / 4, 16 / 9))
    shape = round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))
    unit = min(shape) / 600
    page, ink_level = surface(rng, kind, shape, unit)
    pen = pen or float(np.exp(rng.uniform(math.log(1.0), math.log(60))))
    size = rng.uniform(0.06, 0.15) if small else rng.uniform(0.3, 0.7)
    size = max(size * min(shape), 3.5 * pen * unit)
    if small:
        pen = min(pen, size / 4 / unit)
    extras = extras if extras is not None else [name for name in ("desk", "box", "fold") if rng.random() < 0.12]
    extras = [name for name in extras if kind not in ("blackboard", "screen")]
    told = {"kind": kind, "pen": round(pen, 1), "size": round(size / min(shape), 2), "extras": "+".join(extras)}
    inks = [ink_of(size / (1 if count == 1 else 1.6), pen * unit) for _ in range(count)] if ink_of else []
    inks = [cut(ink) for ink in inks]
    gap = round(rng.uniform(0.12, 0.5) * size / 1.6)
    height = max((ink.shape[0] for ink in inks), default=round(size))
    width = sum(ink.shape[1] for ink in inks) + gap * max(0, len(inks) - 1) or round(0.7 * size)
    room = [max(1, side - length) for side, length in zip(shape, (height, width), strict=True)]
    border = 0.22 if "desk" in extras else 0.08
    top = round(rng.uniform(border, 1 - border) * room[0])
    left = round(rng.uniform(border, 1 - border) * room[1])
    mask = np.zeros(shape, np.float32)
    at = left
    for ink in inks:
        rows, columns = min(ink.shape[0], shape[0] - top), min(ink.shape[1], shape[1] - at)
        if rows > 0 and columns > 0:
            part = mask[top : top + rows, at : at + columns]
            np.maximum(part, ink[:rows, :columns], out=part)
        at += ink.shape[1] + gap
    if kind == "blackboard":
        mask *= (0.85 + 0.15 * rng.random(shape, np.float32)) ** 2
    page = page * (1 - mask) + ink_level * mask
    image = Image.fromarray((page * 255).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    if "box" in extras and ink_of:
        off = round(rng.uniform(0.12, 0.2) * size) + round(2 * unit)
        draw.rectangle(
            (max(3, left - off), max(3, top - off), min(shape[1] - 4, left + width + off), min(shape[0] - 4, top + height + off)),
            outline=round(255 * rng.uniform(0.1, 0.5)), width=max(1, round(rng.uniform(1, 5) * unit)),
        )  # fmt: skip
    if "desk" in extras:
        wood = round(255 * rng.uniform(0.1, 0.5))
        for side in rng.choice(4, rng.integers(1, 4), replace=False):
            deep = rng.uniform(0.02, 0.1, 2) * shape[1 - side % 2]
            h, w = shape
            corners = {
                0: [(0, 0), (deep[0], 0), (deep[1], h), (0, h)],
                1: [(0, 0), (w, 0), (w, deep[0]), (0, deep[1])],
                2: [(w, 0), (w - deep[0], 0), (w - deep[1], h), (w, h)],
                3: [(0, h), (w, h), (w, h - deep[0]), (0, h - deep[1])],
            }[int(side)]
            draw.polygon([(float(x), float(y)) for x, y in corners], fill=wood)
    page = np.asarray(image, np.float32) / 255
    if "fold" in extras:
        where, steep = rng.uniform(0.1, 0.9) * shape[1], rng.normal(0, 0.1)
        away = np.arange(shape[1], dtype=np.float32) - where - steep * np.arange(shape[0], dtype=np.float32)[:, None]
        wide = rng.uniform(2, 8) * unit
        page = page * (1 - rng.uniform(0.1, 0.3) * np.exp(-((away / wide) ** 2)) + 0.05 * np.tanh(away / wide))
    if bent:
        page, told["bent"] = seen_bent(rng, page, bent), bent
    if kind != "screen":
        falling, told["light"] = light(rng, shape, lit)
        page = page * falling
    if not plain:
        page = ndimage.gaussian_filter(page, rng.uniform(0, 1.2) * max(0.5, unit))
        page = page + rng.normal(0, rng.uniform(0, 0.02), shape).astype(np.float32)
    return saved(rng, (page * 255).clip(0, 255).astype(np.uint8), told, plain=plain)


def seen_bent(rng, page, bent):
    """A page whose corners are up to 8 % of a side further in, or whose rows bulge by 1 to 3 % of its height."""
    height, width = page.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    if bent == "curved":
        bulge = rng.choice((-1, 1)) * rng.uniform(0.01, 0.03) * height
        rows = rows + bulge * (2 * columns / width - rng.uniform(0.5, 1.5)) ** 2
    else:
        across, down = rng.uniform(-0.08, 0.08, 2)
        deep = 1 + across * (2 * columns / width - 1) + down * (2 * rows / height - 1)
        rows, columns = (rows - height / 2) / deep + height / 2, (columns - width / 2) / deep + width / 2
    return ndimage.map_coordinates(page, [rows, columns], order=1, mode="nearest")


def cut(ink):
    """Ink without the empty rows and columns around it."""
    rows, columns = np.flatnonzero(ink.max(1) > 0.2), np.flatnonzero(ink.max(0) > 0.2)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def saved(rng, page, told, *, plain=False):
    """A page as a file, perhaps turned with a note of the turn."""
    turn = 1 if plain else int(rng.choice((1, 1, 1, 3, 6, 8)))
    stored = {1: page, 3: page[::-1, ::-1], 6: np.rot90(page), 8: np.rot90(page, -1)}[turn]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = turn
    content = io.BytesIO()
    if plain or rng.random() < 0.25:
        image.save(content, "PNG", exif=exif, compress_level=1)
        return Photo(content.getvalue(), ".png", told | {"turn": turn})
    image = image.convert("RGB")
    image.save(content, "JPEG", exif=exif, quality=int(rng.integers(50, 96)))
    return Photo(content.getvalue(), ".jpg", told | {"turn": turn})


def on_paper(digit, rng, *, invert=True):
    """A digit as somebody might photograph it: enlarged, off center, with gray ink on noisy paper."""
    side = int(rng.integers(120, 400))
    size = int(side * rng.uniform(0.35, 0.75))
    large = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC), np.float64) / 255
    page = np.zeros((side, side))
    top, left = rng.integers(0, side - size + 1, 2)
    page[top : top + size, left : left + size] = large
    grain = ndimage.gaussian_filter(rng.normal(size=page.shape), 1.0)
    paper, gray = (225, 40) if invert else (30, 220)
    return np.clip(paper + (gray - paper) * page + 12 * grain + 4 * rng.normal(size=page.shape), 0, 255).astype(
        np.uint8
    )
