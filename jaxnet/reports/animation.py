"""Write an animation to a file (GIF, MP4 with ffmpeg, or HTML with its own player), and get its frames for a page."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter, FuncAnimation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from jaxnet.core.folders import unfinished
from jaxnet.reports.page import Frames, player, whole

FPS = 8
DPI = 64

QUALITY = 70
"""The WebP quality of a frame on a page, 0..100."""


def require(kind: str) -> None:
    """Check that an animation can be written in this format, before the long computation starts.

    Raises:
        ValueError: If the format is unknown, or ffmpeg is missing.
    """
    if kind not in ("gif", "mp4", "html"):
        raise ValueError(f"the format of an animation must be gif, mp4 or html, got {kind!r}")
    if kind == "mp4" and not FFMpegWriter.isAvailable():
        raise ValueError("an mp4 needs ffmpeg, which is not on the PATH; install ffmpeg, or choose gif or html")


def write(
    animation: FuncAnimation, path: Path, *, on_progress: Callable[[int, int], None] = lambda frame, of: None
) -> Frames:
    """Draw every frame and write the animation. If the writing fails, no incomplete file is left.

    Args:
        animation: The animation, from `plot.animate`.
        path: The file to write. Its name ends in .gif, .mp4 or .html.
        on_progress: A function that is called after every frame with the number of drawn frames and the number of all frames.

    Returns:
        The frames of the animation, for a page.
    """
    kind = path.suffix[1:]
    require(kind)
    pictures = _drawn(animation, on_progress)
    frames = Frames(tuple(_webp(picture) for picture in pictures), FPS)
    with unfinished(path) as temporary:
        if kind == "html":
            temporary.write_text(whole(path.stem, [player(frames, path.stem)]), encoding="utf-8")
        elif kind == "gif":
            pictures[0].save(
                temporary, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / FPS), loop=0
            )
        else:
            _write_mp4(animation, temporary)
    return frames


def _drawn(animation: FuncAnimation, on_progress: Callable[[int, int], None]) -> list[Image.Image]:
    """Every frame as a picture."""
    figure: Any = animation._fig  # pyright: ignore[reportAttributeAccessIssue]
    figure.set_dpi(DPI)
    canvas, pictures = FigureCanvasAgg(figure), []
    animation._init_draw()  # pyright: ignore[reportAttributeAccessIssue]
    places = list(animation.new_frame_seq())
    for place in places:
        animation._draw_next_frame(place, blit=False)  # pyright: ignore[reportAttributeAccessIssue]
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
        on_progress(len(pictures), len(places))
    return pictures


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def _write_mp4(animation: FuncAnimation, path: Path) -> None:
    figure: Any = animation._fig  # pyright: ignore[reportAttributeAccessIssue]
    look: dict[str, Any] = {"savefig_kwargs": {"facecolor": figure.get_facecolor()}, "dpi": DPI}
    animation.save(str(path), writer=FFMpegWriter(fps=FPS, extra_args=["-pix_fmt", "yuv420p"]), **look)
