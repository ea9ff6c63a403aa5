"""The parts that all HTML pages share: style, scripts, and a player for animations. The page contains all of them."""

import base64
import html
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Frames(NamedTuple):
    """The frames of an animation, as single pictures.

    Attributes:
        images: The pictures as bytes of WebP files.
        fps: The number of frames in a second.
    """

    images: tuple[bytes, ...]
    fps: float | int


@cache
def asset(name: str) -> str:
    """The text of one asset: style.css, table.js or player.js."""
    return files("jaxnet.reports").joinpath("assets", name).read_text(encoding="utf-8")


def embedded(image: bytes, kind: str) -> str:
    """A data URL that contains the bytes of a picture's file."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def player(frames: Frames, alt: str) -> str:
    """An animation with a button and a slider, as HTML with its own script.

    If the reader's system asks for less motion, the animation does not start by itself.

    Args:
        frames: The frames of the animation. A printed page shows the frame that is on the screen.
        alt: The description of the animation, as escaped HTML.
    """
    data = json.dumps([embedded(image, "webp") for image in frames.images])
    return (
        f'<div class="player" data-fps="{frames.fps:g}"><img class="drawn" alt="{alt}" src="{embedded(frames.images[-1], "webp")}">'
        '<div class="controls"><button type="button">play</button>'
        f'<input type="range" aria-label="frame" min="0" max="{len(frames.images) - 1}" value="0"><output></output></div>'
        f'<script type="application/json">{data}</script>'
        f"<script>{asset('player.js')}jaxnetPlayer(document.currentScript.parentElement);</script></div>"
    )


def whole(title: str, parts: Iterable[str]) -> str:
    """Join parts that are already HTML into a complete page. The page contains the style."""
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{asset("style.css")}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
