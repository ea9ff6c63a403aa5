"""The results of every experiment: arrays, numbers with their intervals, and a verdict that is computed from the numbers."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from jaxnet.core.stats import spread

Arrays: TypeAlias = dict[str, np.ndarray]
"""All measured arrays of an experiment by name. The verdict and the pictures need only these arrays."""

Keep: TypeAlias = Callable[[str, Callable[[], Arrays]], Arrays]
"""`keep(part, compute)` returns the arrays of a part of an experiment. They are computed now, or read from an earlier run."""

Verdict = Literal["reproduced", "undecided", "missed", "measured", "not run here"]
"""The possible verdicts. "undecided": our number is outside the published bounds, but a part of its interval is inside."""


class Finding(NamedTuple):
    """One row of the table of results.

    Attributes:
        what: The name of the number, with the protocol.
        published: The number of the film or paper, in words; empty if nothing was published.
        source: The place of the published number.
        value: Our number, for example a mean over the seeds or a percentage of the seeds.
        low: The lower end of the 95 % interval of our number; NaN if there is no interval.
        high: The upper end of the interval.
        seeds: The number of networks behind the value.
        verdict: The verdict; "measured" if nothing was published.
        unit: The unit of the value.
    """

    what: str
    published: str
    source: str
    value: float
    low: float
    high: float
    seeds: int
    verdict: Verdict
    unit: str = ""


class Experiment(NamedTuple):
    """The functions of an experiment: one function measures, and one function makes the verdict from the numbers alone.

    Attributes:
        quick: Settings for a quick look. They take at most two minutes.
        full: Settings for numbers to quote. They take 2.5 to 40 minutes, but `ciresan` takes about ten days.
        measure: `measure(settings, dataset, *, keep, on_progress) -> arrays`. It measures in parts, and `keep` may return
            a part of an earlier run.
        answer: `answer(settings, arrays) -> Answer`.
        plan: `plan(settings)`: the plan of the experiment in one sentence.
        seconds: How long the quick and the full settings take on two CPU cores, in seconds.
    """

    quick: Any
    full: Any
    measure: Callable[..., Arrays]
    answer: Callable[[Any, Arrays], "Answer"]
    plan: Callable[[Any], str]
    seconds: tuple[float | int, float | int]


class Answer(NamedTuple):
    """The answer of an experiment.

    Attributes:
        words: The verdict in sentences. The sentences are made from the numbers.
        findings: The numbers.
    """

    words: str
    findings: tuple[Finding, ...]


def at_once(part: str, compute: Callable[[], Arrays]) -> Arrays:
    """The simplest `Keep`: it computes the part now and keeps nothing on disk."""
    return compute()


def judged(
    value: float, low: float, high: float, *, least: float | int | None = None, most: float | int | None = None
) -> Verdict:
    """Decide whether a number meets the published number.

    Args:
        value: Our number.
        low: The lower end of its interval; NaN if there is no interval.
        high: The upper end of the interval.
        least: The lower bound for our number; None if there is no bound.
        most: The upper bound for our number; None if there is no bound.

    Returns:
        "reproduced" if the number itself meets the bounds, "undecided" if only its interval reaches the bounds, otherwise
        "missed". If there are no bounds: "measured".

    Examples:
        >>> judged(96.2, 96.0, 96.4, least=96), judged(95.9, 95.7, 96.1, least=96), judged(95.3, 95.2, 95.4, least=96)
        ('reproduced', 'undecided', 'missed')
    """
    if least is None and most is None:
        return "measured"
    if (least is None or value >= least) and (most is None or value <= most):
        return "reproduced"
    reaches = math.isfinite(low) and (least is None or high >= least) and (most is None or low <= most)
    return "undecided" if reaches else "missed"


def mean(
    what: str, values: Any, *, published: str = "", source: str = "", least: float | int | None = None,
    most: float | int | None = None, equal: float | int | None = None, within: float | int = 0, unit: str = "",
) -> Finding:  # fmt: skip
    """Make a finding from one number for each seed: the mean, with its interval by Student's distribution.

    Args:
        what: The name of the number.
        values: The numbers, (seed,).
        published: The published number, in words.
        source: The place of the published number.
        least: The lower bound for the mean, as in `judged`.
        most: The upper bound for the mean.
        equal: The number that the mean should equal; it replaces `least` and `most`.
        within: The largest allowed distance from `equal`.
        unit: The unit of the values.

    Examples:
        >>> mean("right", np.array([95.0, 96.0, 97.0]), published="about 96 %", least=96.0).verdict
        'reproduced'
    """
    values = np.asarray(values, np.float64)
    found = spread(values)
    low, high = float(found.low), float(found.high)
    if equal is not None:
        least, most = equal - within, equal + within
    verdict = judged(float(found.mean), low, high, least=least, most=most)
    return Finding(what, published, source, float(found.mean), low, high, len(values), verdict, unit)


def share(
    what: str, successes: int, trials: int, *, published: str = "", source: str = "", least: float | int | None = None
) -> Finding:
    """Make a finding from a share of networks in percent, with its exact binomial interval (Clopper and Pearson, 1934).

    Args:
        what: The name of the share.
        successes: The number of networks that succeeded.
        trials: The number of all networks.
        published: The published number, in words.
        source: The place of the published number.
        least: The lower bound for the share, in percent; None if nothing was published.

    Examples:
        >>> found = share("reach 96 %", 0, 20)
        >>> found.value, round(found.high, 1)
        (0.0, 16.8)
    """
    from scipy import stats

    interval = stats.binomtest(successes, trials).proportion_ci(method="exact")
    value = 100 * successes / trials
    low, high = 100 * float(interval.low), 100 * float(interval.high)
    verdict = judged(value, low, high, least=least)
    return Finding(what, published, source, value, low, high, trials, verdict, "%")


def told(finding: Finding) -> str:
    """Write a finding's value and interval as short text.

    Examples:
        >>> told(mean("right", np.array([95.0, 96.0, 97.0]), unit="%"))
        '96 % (93.52 to 98.48)'
    """
    unit = f" {finding.unit}" if finding.unit else ""
    if not math.isfinite(finding.low):
        return f"{number(finding.value)}{unit}"
    return f"{number(finding.value)}{unit} ({number(finding.low)} to {number(finding.high)})"


def number(value: float | int) -> str:
    """Write a number as text, with four significant digits.

    Examples:
        >>> number(95.331), number(0.00123456), number(123456.7)
        ('95.33', '0.001235', '123,457')
    """
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
