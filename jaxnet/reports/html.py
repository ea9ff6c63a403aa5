"""Figures and numbers as one HTML page. The page needs no other file, so it can be sent to other people."""

import html
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from jaxnet.reports.glossary import BASICS, meanings
from jaxnet.reports.page import Frames, asset, embedded, player, whole
from jaxnet.training.config import TrainConfig
from jaxnet.training.config import meanings as meanings_of_settings

DPI = 110

LOSSLESS = 80_000
"""Pictures up to this number of bytes are stored on a page without loss. Larger pictures are compressed with loss."""

PHOTOGRAPHS = "photographs"
"""The comment in the file of a picture whose colors must not be inverted on a light page."""


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """A figure as the bytes of a PNG file."""
    file = io.BytesIO()
    told = {"Comment": PHOTOGRAPHS} if _shows_photographs(figure) else {}
    figure.savefig(file, format="png", dpi=dpi, facecolor=figure.get_facecolor(), metadata=told)
    return file.getvalue()


def _shows_photographs(figure: Figure) -> bool:
    pictures = (np.asarray(image.get_array()) for image in figure.findobj(AxesImage) if isinstance(image, AxesImage))
    return any(one.ndim == 3 and (one[..., :1] != one[..., 1:3]).any() for one in pictures)


def webp(image: bytes) -> bytes:
    """Convert a picture's file to WebP, which takes 25 to 50 % of the space. Small results are lossless."""
    picture, lossless, lossy = Image.open(io.BytesIO(image)).convert("RGB"), io.BytesIO(), io.BytesIO()
    picture.save(lossless, "WEBP", lossless=True)
    if lossless.tell() <= LOSSLESS:
        return lossless.getvalue()
    picture.save(lossy, "WEBP", quality=85)
    return lossy.getvalue()


def table(names: Sequence[str], rows: Iterable[Sequence[object]], *, explained: bool = True) -> str:
    """Rows as an HTML table, with numbers aligned to the right. If `explained` is True, the meanings of its words stand below."""
    rows = [tuple(row) for row in rows]
    numbers = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(names))]
    head = "".join(
        f'<th scope="col"{" class=number" if right else ""}>{html.escape(name)}</th>'
        for name, right in zip(names, numbers, strict=True)
    )
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    words = " ; ".join([*names, *(value for row in rows for value in row if isinstance(value, str))])
    return _scrolled(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>") + (
        terms(words) if explained else ""
    )


def settings_table(settings: TrainConfig, without: Sequence[str] = ()) -> str:
    """The settings of a run as an HTML table. Each setting has its meaning beside it.

    Args:
        settings: The settings of the run.
        without: Names of settings to leave out.
    """
    told = lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    rows = [
        (name, told(value), words)
        for (name, value), words in zip(settings._asdict().items(), meanings_of_settings().values(), strict=True)
        if name not in without
    ]
    return table(("setting", "value", "what it means"), rows, explained=False)


def _scrolled(content: str) -> str:
    """Put a table into a box. On a narrow screen the reader can scroll the box, also by keyboard."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="table">{content}</div>'


def terms(text: str, known: set[str] | None = None, *, basics: bool = False) -> str:
    """The unfamiliar words of a text and their meanings, as HTML. If the text has no unfamiliar words, the result is empty."""
    found = meanings(text, known, basics=basics)
    told = " ".join(f"<b>{html.escape(word)}</b>: {html.escape(meaning)}" for word, meaning in found.items())
    return f'<p class="terms">{told}</p>' if told else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        told = f"{value:.4g}".replace("inf", "∞") if not np.isnan(value) else ""
        return f'<td class="number">{told}</td>'
    kind = ' class="number"' if _is_number(value) else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"


def sortable(names: Sequence[str], columns: Sequence[Sequence[object]]) -> str:
    """A long table for sorting and searching. A click on the name of a column sorts the rows by this column.

    A search finds the rows that contain all words of the search. A number must match completely. The word before the
    number must match too: "layer 2 neuron 7" finds one neuron. If the search is the complete text of a row's first
    column, only this row is found.

    Args:
        names: The names of the columns.
        columns: The values of each column: text or numbers. An unknown value is None.

    Returns:
        HTML with its own script. The page shows 200 rows at a time. A printed page shows 40 rows.
    """
    rows = [[_plain(value) for value in row] for row in zip(*columns, strict=True)]
    data = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    head = "".join(f'<th scope="col"><button type="button">{html.escape(name)}</button></th>' for name in names)
    return (
        '<div class="sortable"><label>Search, for example: layer 2 neuron 7<br><input type="search"></label>'
        f'{terms(" ; ".join(names))}<p class="told" role="status"></p>'
        f"{_scrolled(f'<table><thead><tr>{head}</tr></thead><tbody></tbody></table>')}"
        f'<button type="button" class="more">more</button>'
        '<p class="paper">These are the first 40 rows. On a screen the page shows all rows, to sort and to search.</p>'
        f'<script type="application/json">{data}</script>'
        f"<script>{asset('table.js')}jaxnetTable(document.currentScript.parentElement);</script></div>"
    )


def _plain(value: object) -> object:
    """Prepare a value for JSON. A number gets six digits, NaN becomes None, and infinity becomes a word."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def page(
    title: str,
    lead: str,
    facts: Mapping[str, str],
    pictures: Mapping[str, tuple[bytes | Frames, str]],
    tables: Mapping[str, str] | None = None,
) -> str:
    """Compose the page.

    Args:
        title: The headline.
        lead: One or two sentences about the content.
        facts: For each name: one of the most important numbers. The page explains the name below the number.
        pictures: For each name: a PNG or the frames of an animation, and a caption.
        tables: For each heading: HTML from `table`.

    Returns:
        HTML that contains the style and the pictures. The page loads no other file.
    """
    known: set[str] = set()
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="lead">{html.escape(lead)}</p>']
    parts += [terms(lead, known, basics=True), '<dl class="facts">']
    for name, value in facts.items():
        why = " ".join(meanings(name).values())
        known |= set(meanings(name))
        told = f'<dd class="why">{html.escape(why)}</dd>' if why else ""
        parts.append(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>{told}</div>")
    parts.append("</dl>")
    parts += [_figure(name, *picture, known) for name, picture in pictures.items()]
    parts += [f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in (tables or {}).items()]
    return whole(title, parts)


class Chapter(NamedTuple):
    """One question of a longer page.

    Attributes:
        name: The name for links to the chapter.
        heading: The question.
        said: The statement of the film or of the paper.
        words: The answer in words.
        pictures: For each name: a PNG or the frames of an animation, and a caption.
        tables: For each heading: HTML from `table`.
    """

    name: str
    heading: str
    said: str
    words: str
    pictures: Mapping[str, tuple[bytes | Frames, str]]
    tables: Mapping[str, str]


def book(title: str, lead: str, chapters: Sequence[Chapter], tables: Mapping[str, str] | None = None) -> str:
    """Compose a page of several questions, with a list of the questions at the top.

    Args:
        title: The headline.
        lead: One or two sentences about the content.
        chapters: The chapters, in the order of the page.
        tables: For each heading: a table that stands before the first chapter.

    Returns:
        HTML that contains the style and the pictures, as in `page`.
    """
    known: set[str] = set()
    links = "".join(f'<li><a href="#{c.name}">{html.escape(c.heading)}</a></li>' for c in chapters)
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="lead">{html.escape(lead)}</p>']
    parts += [f"<nav><ol>{links}</ol></nav>"] if len(chapters) > 1 else []
    parts += [f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in (tables or {}).items()]
    for chapter in chapters:
        known &= BASICS.keys()  # a reader may start at any chapter
        parts.append(f'<section id="{chapter.name}"><h2>{html.escape(chapter.heading)}</h2>')
        parts.append(
            f'<p class="said">{html.escape(chapter.said)}</p><p class="answer">{html.escape(chapter.words)}</p>'
            f"{terms(f'{chapter.said} {chapter.words}', known, basics=True)}"
        )
        parts += [_figure(f"{chapter.name}-{name}", *picture, known) for name, picture in chapter.pictures.items()]
        parts += [
            f"<details><summary>{html.escape(heading)}</summary>{content}</details>"
            for heading, content in chapter.tables.items()
        ]
        parts.append("</section>")
    return whole(title, parts)


def _figure(name: str, image: bytes | Frames, caption: str, known: set[str] | None = None) -> str:
    text = html.escape(caption)
    if isinstance(image, Frames):
        shown = player(image, text)
    else:
        turned = Image.open(io.BytesIO(image)).info.get("Comment") != PHOTOGRAPHS
        kind = ' class="drawn"' if turned else ""
        shown = f'<img{kind} alt="{text}" src="{embedded(webp(image), "webp")}">'
    return (
        f'<figure id="{html.escape(name)}"><div class="pan" tabindex="0" role="group" aria-label="picture">{shown}</div>'
        f"<figcaption>{text}</figcaption>{terms(caption, known, basics=True)}</figure>"
    )
