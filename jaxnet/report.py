"""Figures and numbers as one self-contained HTML page that a person would forward."""

import base64
import html
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

DPI = 110

STYLE = """
:root { color-scheme: dark light; --ground: #0d1117; --ink: #e6edf3; --soft: #9da7b3; --line: #30363d; --blue: #58c4dd; }
body { background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; margin: 0 auto;
  max-width: 68rem; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; } h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; }
.lead { color: var(--soft); font-size: 1.1rem; margin: 0 0 2rem; max-width: 48rem; }
.facts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); margin: 0; }
.facts div { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; }
.facts dt { color: var(--soft); font-size: .85rem; } .facts dd { color: var(--blue); font-size: 1.45rem; margin: 0; }
figure { margin: 2.2rem 0; } figure img { border: 1px solid var(--line); border-radius: .5rem; height: auto; max-width: 100%; }
figcaption { color: var(--soft); margin-top: .5rem; max-width: 52rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem 1rem .3rem 0; text-align: left; }
.sortable input { background: transparent; border: 1px solid var(--line); border-radius: .4rem; color: inherit; font: inherit;
  padding: .4rem .7rem; width: 22rem; max-width: 100%; } .sortable .told { color: var(--soft); margin: .5rem 0; }
.sortable button { background: none; border: 0; color: inherit; cursor: pointer; font: inherit; font-weight: 600; padding: 0;
  text-align: left; } .sortable th[aria-sort=ascending] button::after { content: " ▲"; }
.sortable th[aria-sort=descending] button::after { content: " ▼"; } .sortable .more { color: var(--blue); margin-top: .6rem; }
.sortable td, .sortable th { white-space: nowrap; }
section { border-top: 1px solid var(--line); margin-top: 4rem; padding-top: 1rem; }
summary { color: var(--blue); cursor: pointer; margin: .8rem 0; }
nav a { color: var(--blue); } .said { color: var(--soft); font-style: italic; max-width: 52rem; }
.answer { border-left: 4px solid var(--blue); font-size: 1.1rem; max-width: 52rem; padding-left: 1rem; }
td.number { font-variant-numeric: tabular-nums; text-align: right; }
@media print { :root { --ground: #fff; --ink: #111; --soft: #444; --line: #ccc; --blue: #0969a8; } figure { break-inside: avoid; } }
"""


SORTING = """
(() => {
  const box = document.currentScript.parentElement, body = box.querySelector("tbody"), told = box.querySelector(".told");
  const all = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const texts = all.map(row => row.join(" ").toLowerCase());
  const heads = [...box.querySelectorAll("th")], more = box.querySelector(".more"), search = box.querySelector("input");
  let column = -1, up = false, shown = 200;
  const number = value => value === null ? NaN : value === "inf" ? Infinity : value === "-inf" ? -Infinity : value;
  const order = (a, b) => {
    const x = number(all[a][column]), y = number(all[b][column]);
    if (x !== x || y !== y) return (x !== x) - (y !== y);  // what is not known stays last
    const way = x < y ? -1 : x > y ? 1 : 0;
    return (up ? way : -way) || a - b;
  };
  const draw = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const has = (text, word) => (" " + text.replace(/[,()]/g, " ") + " ").includes(/^\\d+$/.test(word) ? ` ${word} ` : word);
    let found = all.map((_, i) => i).filter(i => words.every(word => has(texts[i], word)));
    if (column >= 0) found.sort(order);
    body.replaceChildren(...found.slice(0, shown).map(i => {
      const row = document.createElement("tr");
      for (const value of all[i]) {
        const cell = row.insertCell();
        cell.textContent = value === null ? "" : value === "inf" ? "∞" :
          typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : value;
        if (typeof value === "number" || value === "inf") cell.className = "number";
      }
      return row;
    }));
    told.textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} parameters`;
    more.hidden = found.length <= shown;
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== column ? "none" : up ? "ascending" : "descending"));
  };
  heads.forEach((head, i) => head.firstChild.addEventListener("click", () => {
    up = column === i ? !up : typeof all[0]?.[i] === "string" && !/inf/.test(all[0][i]);
    column = i; shown = 200; draw();
  }));
  search.addEventListener("input", () => { shown = 200; draw(); });
  more.addEventListener("click", () => { shown += 1000; draw(); });
  draw();
})();
"""


class Picture(NamedTuple):
    """A figure and the one sentence under it."""

    figure: Figure
    caption: str


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """A figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, facecolor=figure.get_facecolor())
    return file.getvalue()


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as an HTML table; numbers to the right."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    kind = ' class="number"' if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"


def sortable(names: Sequence[str], columns: Sequence[Sequence[object]]) -> str:
    """A long table that a reader can sort by any column (click its name) and search (every word must occur in the row).

    Args:
        names: Of the columns.
        columns: Their values: text, numbers, or None for what is not known.

    Returns:
        HTML with its own script; two hundred rows are shown at a time.
    """
    rows = [[_plain(value) for value in row] for row in zip(*columns, strict=True)]
    data = json.dumps(rows, separators=(",", ":")).replace("<", "\\u003c")
    head = "".join(f'<th><button type="button">{html.escape(name)}</button></th>' for name in names)
    return (
        '<div class="sortable"><input type="search" placeholder="search: layer 2 neuron 7" aria-label="search">'
        f'<p class="told"></p><div class="scroll"><table><thead><tr>{head}</tr></thead><tbody></tbody></table></div>'
        f'<button type="button" class="more">more</button><script type="application/json">{data}</script>'
        f"<script>{SORTING}</script></div>"
    )


def _plain(value: object) -> object:
    """What JSON holds: numbers with six digits, None for NaN and infinity beyond it as words."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def page(
    title: str,
    lead: str,
    facts: Mapping[str, str],
    pictures: Mapping[str, tuple[bytes, str]],
    tables: Mapping[str, str] | None = None,
) -> str:
    """Compose the page.

    Args:
        title: The headline.
        lead: One or two sentences that say what was done.
        facts: The numbers to see first, by name.
        pictures: By name, a PNG and its caption.
        tables: By heading, HTML from `table`.

    Returns:
        HTML with style and pictures inside; it loads nothing from anywhere.
    """
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="lead">{html.escape(lead)}</p>',
        '<dl class="facts">',
        *(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in facts.items()),
        "</dl>",
    ]
    parts += [_figure(name, *picture) for name, picture in pictures.items()]
    parts += [f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in (tables or {}).items()]
    return _whole(title, parts)


class Chapter(NamedTuple):
    """One question of a longer page.

    Attributes:
        name: Where a link to it leads.
        heading: The question.
        said: What the film or paper says.
        words: The answer.
        pictures: By name, a PNG or GIF and its caption.
        tables: By heading, HTML from `table`.
    """

    name: str
    heading: str
    said: str
    words: str
    pictures: Mapping[str, tuple[bytes, str]]
    tables: Mapping[str, str]


def book(title: str, lead: str, chapters: Sequence[Chapter], tables: Mapping[str, str] | None = None) -> str:
    """Compose a page of several questions, with a list of them at its head.

    Args:
        title: The headline.
        lead: One or two sentences that say what was done.
        chapters: In their order.
        tables: What stands before the first chapter, by heading.

    Returns:
        HTML as `page` makes it.
    """
    links = "".join(f'<li><a href="#{c.name}">{html.escape(c.heading)}</a></li>' for c in chapters)
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="lead">{html.escape(lead)}</p>']
    parts += [f"<nav><ol>{links}</ol></nav>"] if len(chapters) > 1 else []
    parts += [f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in (tables or {}).items()]
    for chapter in chapters:
        parts.append(f'<section id="{chapter.name}"><h2>{html.escape(chapter.heading)}</h2>')
        parts.append(
            f'<p class="said">{html.escape(chapter.said)}</p><p class="answer">{html.escape(chapter.words)}</p>'
        )
        parts += [_figure(f"{chapter.name}-{name}", *picture) for name, picture in chapter.pictures.items()]
        parts += [
            f"<details><summary>{html.escape(heading)}</summary>{content}</details>"
            for heading, content in chapter.tables.items()
        ]
        parts.append("</section>")
    return _whole(title, parts)


def _figure(name: str, image: bytes, caption: str) -> str:
    data, text = base64.b64encode(image).decode(), html.escape(caption)
    kind = "gif" if image.startswith(b"GIF8") else "png"
    return (
        f'<figure id="{html.escape(name)}"><img alt="{text}" src="data:image/{kind};base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _whole(title: str, parts: Iterable[str]) -> str:
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'
