"""The commands that do the film's experiments: film does all of them, and reproduce does one."""

import contextlib
import json as json_format
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxnet.cli.progress import progress_bar, show_file

Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
Name = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]]


def film(quick: bool = False, out: Folder = None, again: bool = False, verbose: bool = False) -> None:
    """Do the experiments for all questions of the film, and write one report.

    If the command is stopped, run it again. It does the unfinished questions.

    Args:
        quick: Use small settings. They take a few minutes in all, and the full settings take one or two hours.
        out: The folder to write. By default it is runs/film-quick or runs/film-full.
        again: Compute everything again, even if the folder already holds results.
        verbose: Print all numbers of each question, instead of one line.
    """
    from jaxnet.commands import _reproduce

    with _resumable(), progress_bar() as on_progress:
        tell = _tell if verbose else _tell_briefly
        done = _reproduce.film(quick=quick, out=out, again=again, on_progress=on_progress, on_result=tell)
    show_file(done.ledger)
    show_file(done.report)


def reproduce(
    name: Name = "",
    list: bool = False,
    full: bool = False,
    settings: File = None,
    out: Folder = None,
    again: bool = False,
    json: bool = False,
) -> None:
    """Do the experiment for a question of the film, or repeat a paper's experiment.

    The answer has intervals and a verdict, compared with published numbers.

    If the command is stopped, run it again. It does the unfinished parts.

    Args:
        name: The experiment (--list shows all names). With --settings it is not needed, because the file names the experiment.
        list: List the experiments, with the time that each takes.
        full: Use the full settings instead of the quick ones.
        settings: A file with your own settings. To make one, change an experiment.json that an earlier run wrote.
        out: The folder to write. By default it is runs/reproduce/NAME-quick, -full or -own.
        again: Compute everything again, even if the folder already holds results.
        json: Print the numbers as one last line of JSON.
    """
    from jaxnet.commands import _reproduce

    if settings is not None and not name:
        name = _reproduce.experiment_of(settings)
    if list or not name:
        for one in _reproduce.EXPERIMENTS.values():
            quick, whole = (_reproduce.duration(seconds) for seconds in one.experiment.seconds)
            print(f"{one.name:14s} {one.question}\n{'':14s} quick {quick}, --full {whole}")
        return
    own = None if settings is None else _reproduce.settings_from(name, settings)
    print(_reproduce.plan(name, full=full, settings=own), file=sys.stderr)
    with _resumable(), progress_bar() as on_progress:
        done = _reproduce.reproduce(name, full=full, settings=own, out=out, again=again, on_progress=on_progress)
    _tell(done)
    show_file(done.folder / "report.html")
    if json:
        print(json_format.dumps(json_format.loads((done.folder / "answer.json").read_text())))


def add_times() -> None:
    """Put the duration of every experiment into the help of `reproduce`. Only this help imports the experiments."""
    from jaxnet.commands import _reproduce

    width = max(map(len, _reproduce.EXPERIMENTS))
    lines = []
    for one in _reproduce.EXPERIMENTS.values():
        quick, whole = (_reproduce.duration(seconds) for seconds in one.experiment.seconds)
        lines.append(f"{one.name:{width}s}  quick {quick}, --full {whole}")
    head, _, arguments = (reproduce.__doc__ or "").partition("    Args:")
    told = "\n    ".join(["On two CPU cores:", *(f"- {line}" for line in lines)])
    reproduce.__doc__ = f"{head}    {told}\n\n    Args:{arguments}"


def _tell_briefly(done: Any) -> None:
    print(f"{done.name}: {done.answer.words.partition('. ')[0].rstrip('.')}.", flush=True)


def _tell(done: Any) -> None:
    from jaxnet.experiments.findings import told

    print(f"\n{done.name}: {done.answer.words}")
    for finding in done.answer.findings:
        published = f"; published: {finding.published}" if finding.published else ""
        ours = "" if finding.verdict == "not run here" else f": {told(finding)}"
        print(f"  {finding.verdict:12s} {finding.what}{ours}{published}", flush=True)


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """If an experiment is stopped, say that its finished parts are kept."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print(
            "finished parts are kept; the same command (without --again) computes only the other parts", file=sys.stderr
        )
        raise
