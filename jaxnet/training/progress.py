"""The progress of a run, for display while it works."""

import math
from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """The progress that `train` reports while it works.

    Attributes:
        phase: "loading", "compiling", "training" or "drawing".
        step: How many steps have been taken.
        num_steps: The number of steps of the whole run.
        cost: The mean cost of the latest chunk's batches.
        accuracy: The accuracy at the last finished evaluation. Before the first evaluation, it is None.
        examples_per_second: The speed since the first chunk was finished.
        signals: The latest values of a watched run, by array of parameters and then by signal. If the run is not
            watched, it is None.
        left: The estimated seconds until all of several runs are finished. The estimate uses the times of the runs that
            are already finished. It is None if there is only one run.
    """

    phase: str
    step: int = 0
    num_steps: int = 0
    cost: float = math.nan
    accuracy: float | None = None
    examples_per_second: float = 0.0
    signals: dict[str, dict[str, float]] | None = None
    left: float | None = None


OnProgress = Callable[[Progress], None]
"""A function that is called with the progress of a run."""


def no_progress(progress: Progress) -> None:
    """Show nothing."""
