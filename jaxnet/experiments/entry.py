"""What a report needs of an experiment: its question, the statement of the film, and its pictures."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.animation import FuncAnimation

from jaxnet.experiments.findings import Arrays, Experiment
from jaxnet.plot.style import Picture


class Moving(NamedTuple):
    """An animation and its caption."""

    animation: FuncAnimation
    caption: str


class Entry(NamedTuple):
    """An experiment for a report.

    Attributes:
        name: The name of the experiment on the command line.
        question: The question in one sentence.
        said: The statement of the film or paper.
        experiment: The functions that measure and that make the verdict.
        pictures: The function that draws the pictures from the arrays; it returns them by name.
    """

    name: str
    question: str
    said: str
    experiment: Experiment
    pictures: Callable[[Arrays], dict[str, Picture | Moving]]
