"""The output at a terminal while a command works: a progress bar, and the table of measurements."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MEASURED = 2.0
"""The remaining time of a phase is estimated only after this number of seconds."""


class Clock(NamedTuple):
    """The times of the current phase.

    Attributes:
        phase: The name of the phase.
        since: The time when the phase began, in seconds of a monotonic clock.
        step: The step at which the phase began.
        last: The last step that was reported.
        changed: The time of the last report.
    """

    phase: str
    since: float
    step: int
    last: int
    changed: float


def clock(before: Clock | None, seen: Any, now: float) -> Clock:
    """Update the clock with one progress report. For a new phase, or a phase that begins again, the clock starts at zero.

    Args:
        before: The clock so far.
        seen: A `training.progress.Progress`.
        now: Seconds of a monotonic clock.
    """
    if before is None or seen.phase != before.phase or seen.step < before.last:
        return Clock(seen.phase, now, seen.step, seen.step, now)
    return before._replace(last=seen.step, changed=now)


def time_words(of: Clock, num_steps: int, now: float) -> str:
    """The time of a phase so far and, if it can be estimated, the time left.

    Examples:
        >>> time_words(Clock("training", 0.0, 0, 250, 10.0), 1000, 10.0)
        'for 10 s, about 30 s left'
        >>> time_words(Clock("worth", 0.0, 0, 0, 0.0), 0, 83.0)
        'for 1:23'
    """
    spent, done = now - of.since, of.last - of.step
    told = f"for {_time(spent)}"
    if not of.step < of.last < num_steps or spent < MEASURED:
        return told
    # Between two reports the estimate counts down, but not below zero.
    left = (of.changed - of.since) / done * (num_steps - of.last) - (now - of.changed)
    return f"{told}, about {_time(left)} left" if left >= 1 else told


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def show_file(path: Path, console: Any = None) -> None:
    """Print the path of a file. On a terminal it is a link to click on, else plain text.

    Args:
        path: The file.
        console: A rich console instead of standard output.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console() if console is None else console
    if not console.is_terminal:
        print(path, file=console.file)
        return
    address = path.resolve().as_uri()
    console.print(Text.assemble("open ", (address, f"link {address}")), soft_wrap=True)


@contextlib.contextmanager
def progress_bar(console: Any = None) -> Iterator[Callable[[Any], None]]:
    """Show a progress bar and, above the bar, the table of measurements. Nothing is shown if standard error is no terminal.

    A phase with a known number of steps has a bar and a percentage. Any other phase shows its name and its time so far.

    Args:
        console: A rich console instead of standard error.

    Yields:
        A function to call with every `training.progress.Progress`.
    """
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Clocks(ProgressColumn):
        """The time column. It is drawn again even if the phase sends no report."""

        def render(self, task: Task) -> Text:
            of = task.fields["clock"]
            if of is None:
                return Text("")
            return Text(time_words(of, task.fields["num_steps"], time.monotonic()))

    class Percents(ProgressColumn):
        """The percentage column. If the number of steps is not known, the column is empty."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.percentage:3.0f} %" if task.total else "")

    console = Console(stderr=True) if console is None else console
    if not console.is_terminal:
        yield lambda seen: None
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=None if console.width < 100 else 40), Percents(),
        TextColumn("{task.fields[seen]}"), Clocks(), console=console, expand=console.width < 100,
    )  # fmt: skip
    task = bar.add_task("starting", total=None, seen="", clock=None, num_steps=0)
    shown, now = 0.0, None
    with Live(bar, console=console, refresh_per_second=10) as live:

        def on_progress(seen: Any) -> None:
            nonlocal shown, now, task
            moment = time.monotonic()
            same = now is not None and seen.phase == now.phase and seen.step >= now.last
            if same and 0 < seen.step < seen.num_steps and moment - shown < 0.1:
                return
            shown, now = moment, clock(now, seen, moment)
            parts = []
            if not math.isnan(seen.cost):
                parts.append(f"cost {seen.cost:.4f}")
            if seen.accuracy is not None:
                parts.append(f"right {100 * seen.accuracy:.2f} %")
            if seen.examples_per_second and console.width >= 100:
                parts.append(f"{seen.examples_per_second:,.0f} images/s")
            if seen.left is not None:
                parts.append(f"about {_time(seen.left)} left in all")
            known = {"clock": now, "num_steps": seen.num_steps, "seen": "  ".join(parts)}
            # No bar before the first step and after the last step: a bar at 0 % or 100 % does not move.
            counted = seen.num_steps if 0 < seen.step < seen.num_steps else None
            if bar.tasks[0].total is not None and counted is None:  # for rich, None means "do not change"
                bar.remove_task(task)
                task = bar.add_task(seen.phase, total=None, **known)
            else:
                bar.update(task, description=seen.phase, completed=seen.step, total=counted, **known)
            if seen.signals:
                live.update(Group(signals_table(seen.signals, width=console.width), bar))

        yield on_progress


EXPLAINED = """\
gradient: the length of the array's gradient
update / parameters: the length of one step over the length of the parameters
share of decrease: the array's part of the fall that the gradient predicts
signal / noise: if it is near 0, the gradients of the batches disagree
dead: parameters that once had a gradient, but not in the last 100 measurements
never lit: parameters that had no gradient in any measurement so far"""
"""The meaning of the columns of the table of measurements. Each line has at most 80 characters."""


def signals_table(signals: Mapping[str, Mapping[str, float]], *, width: int = 120) -> Any:
    """The latest measurements as a table: one row for each array of parameters, with a bar for the array's share.

    Args:
        signals: For each array and each measurement: its value, as in `training.progress.Progress`.
        width: The width of the terminal in characters. With 80 characters, every number is complete.
    """
    from rich.table import Table

    from jaxnet.bang.selection import in_words

    long = 24 if width >= 110 else 6 if width >= 76 else 0
    table = Table(
        title="what the gradient does to each array now", title_justify="left", box=None,
        padding=(0, 2 if width >= 100 else 1, 0, 0),
        caption=EXPLAINED, caption_justify="left",
    )  # fmt: skip
    heads = ("array", "gradient", "update / parameters", "share of decrease", "", "signal / noise", "dead", "never lit")
    for name in heads:
        values = {"justify": "left" if name in ("array", "") else "right", "no_wrap": name in ("array", "")}
        # Headings may break between words, but numbers must not break.
        least = max((len(word) for word in name.split()), default=0)
        table.add_column(name, min_width=max(least, 8 if name in ("gradient", "update / parameters") else 0), **values)
    told = lambda value, form: "" if value is None or math.isnan(value) else format(value, form)
    for array, values in signals.items():
        share = values.get("share", math.nan)
        length = 0 if math.isnan(share) else round(long * min(1.0, abs(share)))
        table.add_row(
            in_words(array), told(values.get("gradient"), ".2e"), told(values.get("ratio"), ".1e"), told(100 * share, ".1f") + " %",
            ("█" if share > 0 else "░") * length, told(values.get("clarity"), ".2f"), told(values.get("dead"), ",.0f"),
            told(values.get("never_lit"), ",.0f"),
        )  # fmt: skip
    return table
