"""What every experiment gives back: arrays, numbers with their intervals, and a verdict that follows from them."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from jaxnet.ensemble import spread

Arrays: TypeAlias = dict[str, np.ndarray]
"""Everything an experiment measured, by name: enough to judge and to draw."""

Keep: TypeAlias = Callable[[str, Callable[[], Arrays]], Arrays]
"""`keep(part, compute)`: the arrays of a part of an experiment, computed now or found where they were kept."""

Verdict = Literal["reproduced", "undecided", "missed", "measured", "not run here"]
"""Undecided: our number does not meet the published one, but its interval reaches it."""


class Finding(NamedTuple):
    """One row of the ledger.

    Attributes:
        what: What was measured, and by which protocol.
        published: The film's or paper's figure, in words; empty where there is none.
        source: Where that figure stands.
        value: Ours: the mean over the seeds, or the share of them.
        low: The lower end of its 95 % interval; NaN where there is none.
        high: The upper end.
        seeds: Networks it rests on.
        verdict: "measured" where nothing was published.
        unit: Of the value.
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
    """A question as functions: measure, then judge by the numbers alone.

    Attributes:
        quick: Settings that take seconds.
        full: Settings to quote, of minutes to an hour.
        measure: `measure(settings, dataset, *, keep, show) -> arrays`, in parts that `keep` may find already computed.
        answer: `answer(settings, arrays) -> Answer`.
        plan: `plan(settings)`: what it is about to do, in a sentence.
        seconds: How long quick and full take on two CPU cores.
    """

    quick: Any
    full: Any
    measure: Callable[..., Arrays]
    answer: Callable[[Any, Arrays], "Answer"]
    plan: Callable[[Any], str]
    seconds: tuple[float | int, float | int]


class Answer(NamedTuple):
    """What an experiment found.

    Attributes:
        words: The verdict, in sentences that follow from the numbers.
        findings: The numbers.
    """

    words: str
    findings: tuple[Finding, ...]


def at_once(part: str, compute: Callable[[], Arrays]) -> Arrays:
    """The simplest `Keep`: compute now, keep nothing."""
    return compute()


def judged(
    value: float, low: float, high: float, *, least: float | int | None = None, most: float | int | None = None
) -> Verdict:
    """Whether a number meets what was published.

    Args:
        value: The number.
        low: The lower end of its interval; NaN where there is none.
        high: The upper end.
        least: What it should reach; None for no such bound.
        most: What it should not exceed.

    Returns:
        "reproduced" if the number itself meets the bounds, "undecided" if only its interval reaches them, else "missed";
        "measured" without bounds.

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
    """A finding from one number a seed: the mean, with its interval by Student's distribution.

    Args:
        what: What was measured.
        values: (seed,), the numbers.
        published: The published figure, in words.
        source: Where it stands.
        least: What the mean should reach, as `judged` takes it.
        most: What it should not exceed.
        equal: A figure that it should neither exceed nor fall short of, instead of bounds.
        within: By how much it may miss that figure.
        unit: Of the values.

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
    """A finding that is a share of networks, in percent, with its exact binomial interval (Clopper and Pearson, 1934).

    Args:
        what: What was measured.
        successes: How many did.
        trials: Of how many.
        published: The published figure, in words.
        source: Where it stands.
        least: What the share should reach, in percent; None where nothing was published.

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
    """A finding's value with its interval, as short text.

    Examples:
        >>> told(mean("right", np.array([95.0, 96.0, 97.0]), unit="%"))
        '96 % (93.52 to 98.48)'
    """
    unit = f" {finding.unit}" if finding.unit else ""
    if not math.isfinite(finding.low):
        return f"{number(finding.value)}{unit}"
    return f"{number(finding.value)}{unit} ({number(finding.low)} to {number(finding.high)})"


def number(value: float | int) -> str:
    """Four significant digits.

    Examples:
        >>> number(95.331), number(0.00123456), number(123456.7)
        ('95.33', '0.001235', '123,457')
    """
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
