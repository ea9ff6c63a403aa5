"""End a run early without interrupting a step or the writing of a file."""

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

from jaxnet.training.progress import OnProgress, Progress


def unheeded(on_progress: OnProgress) -> OnProgress:
    """Wrap a progress function. Then the training goes on if the terminal is closed, or if the disk of the log is full."""

    def told(seen: Progress) -> None:
        with contextlib.suppress(OSError):
            on_progress(seen)

    return told


@contextlib.contextmanager
def stoppable(*, insist: bool = True) -> Iterator[list[int]]:
    """Record Ctrl-C, SIGTERM and SIGHUP in a list, so that no step and no file is interrupted.

    A second Ctrl-C ends Python at once, if it comes more than half a second after the first signal. Terminals and job
    managers send SIGTERM and SIGHUP twice, so these two signals are only recorded. If SIGHUP is ignored, as with
    `nohup`, it stays ignored.

    Args:
        insist: Whether a second Ctrl-C ends Python at once. Set `insist` to False while finished results are saved.
    """
    asked: list[int] = []
    before: dict[int, Any] = {}
    first = 0.0

    def ask(number: int, frame: Any) -> None:
        nonlocal first
        asked.append(number)
        first = first or time.monotonic()
        if insist and number == signal.SIGINT and time.monotonic() - first > 0.5:
            raise KeyboardInterrupt

    try:
        for number in ending_signals():
            before[number] = signal.signal(number, ask)
    except ValueError:
        before.clear()  # outside the main thread Python allows no signal handlers
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_signals() -> tuple[int, ...]:
    """The signals that ask a command to end. SIGHUP is one of them if the system has SIGHUP and does not ignore it."""
    hangup = getattr(signal, "SIGHUP", None)
    hears = hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((hangup,) if hears and hangup is not None else ()))
