"""The commands that ask the film's questions: film for all of them, reproduce for one."""

import contextlib
import json as json_format
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tyro

from jaxnet.live import progress


def film(quick: bool = False, out: Path | None = None, again: bool = False) -> None:
    """Ask every question of the film, and write one report in its order.

    What was finished before a kill is found again by the same command.

    Args:
        quick: Settings of seconds each, a few minutes in all; otherwise full ones, which take an hour or two.
        out: The folder to write; by default runs/film-quick or runs/film-full.
        again: Compute everything anew, even what the folder already holds.
    """
    from jaxnet import reproducing

    with _resumable(), progress() as show:
        done = reproducing.film(quick=quick, out=out, again=again, show=show, found=_tell)
    print(done.ledger)
    print(done.report)


def reproduce(
    name: tyro.conf.Positional[str] = "",
    list: bool = False,
    full: bool = False,
    settings: Path | None = None,
    out: Path | None = None,
    again: bool = False,
    json: bool = False,
) -> None:
    """Ask one of the film's questions, or repeat an experiment of a paper, with intervals and a verdict.

    What was finished before a kill is found again by the same command.

    Args:
        name: The experiment; --list names them.
        list: List the experiments, and how long they take.
        full: The full settings, which take minutes; otherwise those that take seconds.
        settings: A file with settings of your own: an experiment.json that was written before, changed as you like.
        out: The folder to write; by default runs/reproduce/NAME-quick, -full or -own.
        again: Compute everything anew, even what the folder already holds.
        json: Print the numbers as one last line of JSON.
    """
    from jaxnet import reproducing

    if list or not name:
        for one in reproducing.EXHIBITS.values():
            quick, whole = (reproducing.duration(seconds) for seconds in one.experiment.seconds)
            print(f"{one.name:14s} {one.question}\n{'':14s} quick {quick}, --full {whole}")
        return
    own = None if settings is None else reproducing.settings_from(name, settings)
    print(reproducing.plan(name, full=full, settings=own), file=sys.stderr)
    with _resumable(), progress() as show:
        done = reproducing.reproduce(name, full=full, settings=own, out=out, again=again, show=show)
    _tell(done)
    print(done.folder / "report.html")
    if json:
        print(json_format.dumps(json_format.loads((done.folder / "answer.json").read_text())))


def _tell(done: Any) -> None:
    from jaxnet.experiments.findings import told

    print(f"\n{done.name}: {done.answer.words}")
    for finding in done.answer.findings:
        published = f"; published: {finding.published}" if finding.published else ""
        ours = "" if finding.verdict == "not run here" else f": {told(finding)}"
        print(f"  {finding.verdict:12s} {finding.what}{ours}{published}", flush=True)


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Say, when an experiment is stopped, that nothing finished is lost."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print("finished parts are kept; the same command (without --again) goes on from there", file=sys.stderr)
        raise
