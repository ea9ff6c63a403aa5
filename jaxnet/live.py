"""What a person at a terminal sees while a command works: a progress bar, and where the bang is now."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def progress() -> Iterator[Callable[[Any], None]]:
    """A progress bar on standard error while it is a terminal, and the table of a watched run above it; else nothing.

    Yields:
        A function to call with every `walking.Seen`.
    """
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Compiling(ProgressColumn):
        """For how long it has been compiling; the bar is drawn again while the compiler works."""

        def render(self, task: Task) -> Text:
            since = task.fields["compiling"]
            return Text("" if since is None else f"for {time.monotonic() - since:.1f} s,")

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda seen: None
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[seen]}"), Compiling(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    task = bar.add_task("starting", total=None, seen="", compiling=None)
    shown = 0.0
    with Live(bar, console=console, refresh_per_second=10) as live:

        def show(seen: Any) -> None:
            nonlocal shown
            if seen.phase == "training" and seen.step < seen.num_steps and time.monotonic() - shown < 0.1:
                return
            shown = time.monotonic()
            parts = []
            if not math.isnan(seen.cost):
                parts.append(f"cost {seen.cost:.4f}")
            if seen.accuracy is not None:
                parts.append(f"right {100 * seen.accuracy:.2f} %")
            if seen.examples_per_second:
                parts.append(f"{seen.examples_per_second:,.0f} images/s")
            compiling = shown if seen.phase == "compiling" else None
            bar.update(
                task,
                compiling=compiling,
                description=seen.phase,
                completed=seen.step,
                total=seen.num_steps or None,
                seen="  ".join(parts),
            )
            if seen.signals:
                live.update(Group(signals_table(seen.signals), bar))

        yield show


def signals_table(signals: Mapping[str, Mapping[str, float]]) -> Any:
    """The latest signals of a watched run as a table: a row an array of parameters, with a bar for its share.

    Args:
        signals: By array, by signal, as `walking.Seen` has them.
    """
    from rich.table import Table

    table = Table(title="where the bang is now", title_justify="left", box=None, padding=(0, 2))
    heads = ("array", "gradient", "update/parameters", "share of the decrease", "", "signal/noise", "dead", "never lit")
    for name in heads:
        table.add_column(name, justify="left" if name in ("array", "") else "right")
    told = lambda value, form: "" if value is None or math.isnan(value) else format(value, form)
    for array, values in signals.items():
        share = values.get("share", math.nan)
        length = 0 if math.isnan(share) else round(24 * min(1.0, abs(share)))
        table.add_row(
            array, told(values.get("gradient"), ".2e"), told(values.get("ratio"), ".1e"), told(100 * share, ".1f") + " %",
            ("█" if share > 0 else "░") * length, told(values.get("clarity"), ".2f"), told(values.get("dead"), ",.0f"),
            told(values.get("never_lit"), ",.0f"),
        )  # fmt: skip
    return table
