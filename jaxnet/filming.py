"""Films to files: GIF everywhere, MP4 where ffmpeg is, HTML with its own player; and to the frames of a page."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter, FuncAnimation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from jaxnet.pages import Frames, player, whole
from jaxnet.run import unfinished

FPS = 8
DPI = 64

QUALITY = 70
"""Of a frame on a page."""


def require(kind: str) -> None:
    """Make sure that a film of this kind can be written, before minutes are spent on it.

    Raises:
        ValueError: If the kind is unknown, or ffmpeg is missing.
    """
    if kind not in ("gif", "mp4", "html"):
        raise ValueError(f"a film is a gif, mp4 or html, got {kind!r}")
    if kind == "mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("an mp4 needs ffmpeg on the PATH, which is not there; install it, or take a gif or html")


def write(film: FuncAnimation, path: Path, *, show: Callable[[int, int], None] = lambda frame, of: None) -> Frames:
    """Draw every frame and write the film, whole or not at all.

    Args:
        film: From `plot.film`.
        path: Ends in .gif, .mp4 or .html.
        show: Called with the number of frames drawn, and of all.

    Returns:
        Its frames, for a page.
    """
    kind = path.suffix[1:]
    require(kind)
    pictures = _drawn(film, show)
    frames = Frames(tuple(_webp(picture) for picture in pictures), FPS)
    with unfinished(path) as temporary:
        if kind == "html":
            temporary.write_text(whole(path.stem, [player(frames, path.stem)]), encoding="utf-8")
        elif kind == "gif":
            pictures[0].save(
                temporary, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / FPS), loop=0
            )
        else:
            _write_mp4(film, temporary)
    return frames


def _drawn(film: FuncAnimation, show: Callable[[int, int], None]) -> list[Image.Image]:
    """Every frame as a picture."""
    figure: Any = film._fig  # pyright: ignore[reportAttributeAccessIssue]
    figure.set_dpi(DPI)
    canvas, pictures = FigureCanvasAgg(figure), []
    film._init_draw()  # pyright: ignore[reportAttributeAccessIssue]
    places = list(film.new_frame_seq())
    for place in places:
        film._draw_next_frame(place, blit=False)  # pyright: ignore[reportAttributeAccessIssue]
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
        show(len(pictures), len(places))
    return pictures


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def _write_mp4(film: FuncAnimation, path: Path) -> None:
    figure: Any = film._fig  # pyright: ignore[reportAttributeAccessIssue]
    look: dict[str, Any] = {"savefig_kwargs": {"facecolor": figure.get_facecolor()}, "dpi": DPI}
    film.save(str(path), writer=FFMpegWriter(fps=FPS, extra_args=["-pix_fmt", "yuv420p"]), **look)
