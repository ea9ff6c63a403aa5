"""Films to files: GIF everywhere, MP4 where ffmpeg is, HTML with its own player."""

import base64
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter

from jaxnet.run import unfinished

FPS = 8
DPI = 64


def require(kind: str) -> None:
    """Make sure that a film of this kind can be written, before minutes are spent on it.

    Raises:
        ValueError: If the kind is unknown, or ffmpeg is missing.
    """
    if kind not in ("gif", "mp4", "html"):
        raise ValueError(f"a film is a gif, mp4 or html, got {kind!r}")
    if kind == "mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("an mp4 needs ffmpeg on the PATH, which is not there; install it, or take a gif or html")


def write(film: FuncAnimation, path: Path) -> str:
    """Draw every frame and write the film, whole or not at all.

    Args:
        film: From `plot.film`.
        path: Ends in .gif, .mp4 or .html.

    Returns:
        HTML that shows it inside a page.
    """
    kind = path.suffix[1:]
    require(kind)
    figure: Any = film._fig  # pyright: ignore[reportAttributeAccessIssue]
    look: dict[str, Any] = {"savefig_kwargs": {"facecolor": figure.get_facecolor()}, "dpi": DPI}
    with unfinished(path) as temporary:
        if kind == "html":
            figure.set_dpi(DPI)
            with matplotlib.rc_context({"animation.embed_limit": 10_000}):  # MB: leave out no frame
                temporary.write_text(film.to_jshtml(fps=FPS, embed_frames=True))
        else:
            writer = (
                PillowWriter(fps=FPS) if kind == "gif" else FFMpegWriter(fps=FPS, extra_args=["-pix_fmt", "yuv420p"])
            )
            film.save(str(temporary), writer=writer, **look)
    if kind == "html":
        return f'<p><a href="bang/{path.name}">the film, with its own player</a></p>'
    data = base64.b64encode(path.read_bytes()).decode()
    if kind == "gif":
        return f'<figure><img alt="film" src="data:image/gif;base64,{data}"></figure>'
    return f'<figure><video controls loop autoplay muted src="data:video/mp4;base64,{data}"></video></figure>'
