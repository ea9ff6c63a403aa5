"""What makes an experiment something to look at: its question, what the film says, its pictures."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.animation import FuncAnimation

from jaxnet.experiments.findings import Arrays, Experiment
from jaxnet.report import Picture


class Moving(NamedTuple):
    """An animation and the one sentence under it."""

    film: FuncAnimation
    caption: str


class Exhibit(NamedTuple):
    """An experiment on show.

    Attributes:
        name: What to type.
        question: In one sentence.
        said: What the film or paper says.
        experiment: What is measured.
        pictures: From its arrays to figures, by name.
    """

    name: str
    question: str
    said: str
    experiment: Experiment
    pictures: Callable[[Arrays], dict[str, Picture | Moving]]
