"""Figures and numbers as one self-contained HTML page that a person would forward."""

import base64
import html
import io
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
td.number { font-variant-numeric: tabular-nums; text-align: right; }
@media print { :root { --ground: #fff; --ink: #111; --soft: #444; --line: #ccc; --blue: #0969a8; } figure { break-inside: avoid; } }
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
    for name, (image, caption) in pictures.items():
        data = base64.b64encode(image).decode()
        text = html.escape(caption)
        parts.append(
            f'<figure id="{html.escape(name)}"><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )
    parts += [f"<h2>{html.escape(heading)}</h2>{content}" for heading, content in (tables or {}).items()]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'
