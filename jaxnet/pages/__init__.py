"""The frame of every HTML page: style, scripts, and a player for films, all inside the page."""

import base64
import html
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Frames(NamedTuple):
    """A film as single pictures.

    Attributes:
        images: WebP files.
        fps: Frames a second.
    """

    images: tuple[bytes, ...]
    fps: float | int


@cache
def asset(name: str) -> str:
    """The text of one of the files: style.css, table.js or player.js."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def embedded(image: bytes, kind: str) -> str:
    """A file's bytes as an address that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def player(film: Frames, alt: str) -> str:
    """A film with a button and a slider, as HTML with its own script; it stands still for readers who want less motion.

    Args:
        film: Its frames. A page that is printed shows the one that is on the screen.
        alt: What it shows, as escaped HTML.
    """
    data = json.dumps([embedded(image, "webp") for image in film.images])
    return (
        f'<div class="player" data-fps="{film.fps:g}"><img class="drawn" alt="{alt}" src="{embedded(film.images[-1], "webp")}">'
        '<div class="controls"><button type="button">play</button>'
        f'<input type="range" aria-label="frame" min="0" max="{len(film.images) - 1}" value="0"><output></output></div>'
        f'<script type="application/json">{data}</script>'
        f"<script>{asset('player.js')}jaxnetPlayer(document.currentScript.parentElement);</script></div>"
    )


def whole(title: str, parts: Iterable[str]) -> str:
    """A page of parts that are HTML already, with its style inside."""
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{asset("style.css")}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
