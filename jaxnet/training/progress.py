"""The progress of a run, for display while it works."""

import math
from typing import NamedTuple


class Progress(NamedTuple):
    """The progress that `train` reports while it works.

    Attributes:
        phase: "loading", "compiling", "training" or "drawing".
        step: How many steps have been taken.
        num_steps: The number of steps of the whole run.
        cost: The mean cost of the latest chunk's batches.
        accuracy: The accuracy at the last finished evaluation; None before the first.
        examples_per_second: The speed since the first chunk was finished.
        signals: If the run is watched, the latest values: by array of parameters, then by signal; else None.
        left: With several runs, the estimated seconds until all are finished, from the times of the finished ones; else
            None.
    """

    phase: str
    step: int = 0
    num_steps: int = 0
    cost: float = math.nan
    accuracy: float | None = None
    examples_per_second: float = 0.0
    signals: dict[str, dict[str, float]] | None = None
    left: float | None = None
