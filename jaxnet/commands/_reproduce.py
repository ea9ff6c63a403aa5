"""The commands `jaxnet reproduce` and `jaxnet film` as functions.

They measure an experiment, compare its numbers with the published numbers, and write its report.
"""

import contextlib
import json
import math
import reprlib
import shutil
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnet import data
from jaxnet.core import folders, locks
from jaxnet.core.json_types import as_tuples, fits, in_words, without_nan
from jaxnet.experiments import cache
from jaxnet.experiments.entry import Moving
from jaxnet.experiments.findings import Answer, Finding, number, told
from jaxnet.experiments.registry import EXPERIMENTS, FILM, Entry
from jaxnet.plot import style
from jaxnet.reports import animation, html
from jaxnet.reports.page import Frames
from jaxnet.training import run_folder
from jaxnet.training.progress import OnProgress, Progress, no_progress
from jaxnet.training.signals import unheeded

WRITTEN = frozenset((cache.TOLD, "parts", "pictures", "answer.json", "report.html"))


class Reproduced(NamedTuple):
    """The result of one experiment.

    Attributes:
        name: The name of the experiment.
        answer: The verdict and its numbers.
        folder: The folder with all files of the experiment.
        seconds: The duration of all measurements. The parts that an earlier run computed are included.
        found: The parts that an earlier run computed.
        chapter: The chapter of this experiment in a report.
    """

    name: str
    answer: Answer
    folder: Path
    seconds: float
    found: tuple[str, ...]
    chapter: html.Chapter


def entry_of(name: str) -> Entry:
    """The experiment with this name.

    Raises:
        ValueError: If no experiment has this name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}; choose from {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def plan(name: str, *, full: bool = False, settings: Any = None) -> str:
    """Describe the plan of an experiment in words, with its duration on two CPU cores."""
    asked = entry_of(name).experiment
    chosen = settings or (asked.full if full else asked.quick)
    length = {asked.quick: asked.seconds[0], asked.full: asked.seconds[1]}.get(chosen)
    with _answering_for(settings, name):
        planned = asked.plan(chosen)
    return f"{planned}; " + (f"about {duration(length)} on two cores" if length else "settings of your own")


def experiment_of(file: str | Path) -> str:
    """The name of the experiment that a file of settings belongs to.

    Raises:
        ValueError: If the file does not name an experiment.
    """
    try:
        there = json.loads(Path(file).read_text(encoding="utf-8"))
        return entry_of(there["experiment"]).name
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError(f"{file} does not name its experiment; write the name before --settings") from error


def settings_from(name: str, file: str | Path) -> Any:
    """Read an experiment's settings from its `experiment.json`, which the user may have changed.

    Raises:
        ValueError: If the file does not hold valid settings of this experiment. The message names the field and its valid
            values.
    """
    known = entry_of(name).experiment
    kind = type(known.quick)
    takes = f"the experiment needs the fields {', '.join(kind._fields)}"
    try:
        there = json.loads(Path(file).read_text())
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); expected an experiment.json") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} holds no settings of {name}: the file is not JSON ({error}); {takes}") from error
    values = there.get("settings", there) if isinstance(there, dict) else None
    if not isinstance(there, dict) or not isinstance(values, dict):
        raise ValueError(f"{file} holds no settings of {name}: the file must have names with values; {takes}")
    if there.get("experiment", name) != name:
        raise ValueError(
            f"{file} holds no settings of {name}: the file belongs to the experiment {there['experiment']}; {takes}"
        )
    if set(values) != set(kind._fields):
        raise ValueError(
            f"{file} holds no settings of {name}: the file has the fields {', '.join(values)}, but {takes}"
        )
    chosen = {field: as_tuples(value) for field, value in values.items()}
    for field, annotated in typing.get_type_hints(kind).items():
        if not fits(chosen[field], annotated):
            raise ValueError(
                f"{file}: {field} must be {in_words(annotated)}, such as {_such_as(known.quick, field)}, "
                f"got {reprlib.repr(values[field])}"
            )
        if finding := _senseless(chosen[field], getattr(known.quick, field), getattr(known.full, field)):
            raise ValueError(
                f"{file}: {field} {finding}, got {reprlib.repr(values[field])}; "
                f"the quick settings use {_such_as(known.quick, field)}"
            )
    return kind(**chosen)


def _such_as(settings: Any, field: str) -> str:
    return json.dumps(getattr(settings, field))


def _numbers(value: Any) -> list[Any]:
    """All numbers in a setting, also the numbers in nested tuples."""
    if isinstance(value, tuple):
        return [number for one in value for number in _numbers(one)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _senseless(value: Any, *known: Any) -> str | None:
    """Say what is wrong with a setting of the right type, compared with its usual values. If it is valid, return None."""
    numbers, usual = _numbers(value), [number for one in known for number in _numbers(one)]
    if not all(math.isfinite(number) for number in numbers):
        return "must be finite"
    if any(number < 0 for number in numbers) and all(number >= 0 for number in usual):
        return "must not be negative"
    if any(number == 0 for number in numbers) and all(number > 0 for number in usual):
        return "must be more than 0"
    if isinstance(value, tuple) and not value and all(known):
        return "must not be empty"
    return None


def reproduce(
    name: str,
    *,
    full: bool = False,
    settings: Any = None,
    out: str | Path | None = None,
    again: bool = False,
    on_progress: OnProgress = no_progress,
) -> Reproduced:
    """Measure one experiment, compare its numbers with the published numbers, and write its pictures and report.

    A stopped run can be continued: if settings and versions are equal, the finished parts in the folder are used again. The
    function does not notice a change in the code of `measure`. After such a change, use `again`.

    Args:
        name: The name of the experiment.
        full: Use the full settings. They take minutes, and the quick settings take seconds.
        settings: Your own settings instead of the quick or full ones.
        out: The folder. If it is None, it is runs/reproduce/NAME-quick, -full or -own.
        again: Compute everything again, even if the folder already holds results.
        on_progress: Called with the progress.

    Returns:
        The answer. The folder holds `parts/` with all arrays, `pictures/`, `answer.json` and `report.html`.

    Raises:
        ValueError: If no experiment has this name, or your own settings are not valid.
        FileExistsError: If the folder holds other files or parts with other settings, or another process is writing to it.
    """
    asked = entry_of(name)
    chosen = settings or (asked.experiment.full if full else asked.experiment.quick)
    kind = "own" if settings else "full" if full else "quick"
    folder = folders.place(out if out is not None else Path("runs") / "reproduce" / f"{name}-{kind}", name)
    with locks.locked(folder):
        return _reproduced(
            asked, chosen, folder, plan(name, full=full, settings=settings), again, settings, on_progress
        )


def _reproduced(
    asked: Entry,
    chosen: Any,
    folder: Path,
    planned: str,
    again: bool,
    own: Any,
    on_progress: OnProgress,
) -> Reproduced:
    name, on_progress = asked.name, unheeded(on_progress)
    if again:
        folders.require_free(folder, overwrite=True, written=WRITTEN)
        shutil.rmtree(folder, ignore_errors=True)
    versions = {package: run_folder.versions()[package] for package in ("jaxnet", "jax", "device")}
    at = [name]
    shelf = cache.shelf(
        folder, {"experiment": name, "settings": chosen._asdict(), **versions}, tell=lambda part: at.append(part)
    )
    on_progress(Progress(f"{name}: loading"))
    with _answering_for(own, name):
        arrays = asked.experiment.measure(
            chosen,
            data.mnist(),
            keep=shelf.keep,
            on_progress=lambda seen: on_progress(seen._replace(phase=f"{name}: {at[-1]}")),
        )
        answer, seconds = asked.experiment.answer(chosen, arrays), sum(shelf.seconds.values())
    kept = {
        "name": name,
        "words": answer.words,
        "seconds": seconds,
        "findings": [without_nan(finding._asdict()) for finding in answer.findings],
    }
    folders.write_file(folder / "answer.json", (json.dumps(kept, indent=1, allow_nan=False) + "\n").encode())
    on_progress(Progress(f"{name}: drawing"))
    drawn = _draw(folder, asked.pictures(arrays))
    chapter = html.Chapter(
        name, asked.question, asked.said, answer.words, drawn,
        {
            f"The numbers: {_counted(answer.findings)}": html.table(HEADS, [_row(finding) for finding in answer.findings]),
            "Settings": html.table(("setting", "value"), [(name, str(value)) for name, value in chosen._asdict().items()]),
        },
    )  # fmt: skip
    lead = f"{planned}; the experiment took {duration(seconds)}."
    page = html.book(asked.question, lead, [chapter])
    folders.write_file(folder / "report.html", page.encode())
    return Reproduced(name, answer, folder, seconds, tuple(shelf.found), chapter)


@contextlib.contextmanager
def _answering_for(own: Any, name: str) -> Iterator[None]:
    """If the user chose the settings, replace any error by an error about the settings."""
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError, AssertionError) as error:
        if own is None or isinstance(error, FloatingPointError) or "cannot be read" in str(error):
            raise
        said = f"there is no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(
            f"the experiment {name} cannot be done with these settings: {said or type(error).__name__}; "
            f"its quick settings are {json.dumps(entry_of(name).experiment.quick._asdict())}"
        ) from error


class Filmed(NamedTuple):
    """The results of `film`.

    Attributes:
        reproduced: The experiments, in the film's order.
        report: The page with all experiments.
        ledger: The table of all numbers, as Markdown.
    """

    reproduced: tuple[Reproduced, ...]
    report: Path
    ledger: Path


def film(
    *,
    quick: bool = False,
    names: Sequence[str] = (),
    out: str | Path | None = None,
    again: bool = False,
    on_progress: OnProgress = no_progress,
    on_result: Callable[[Reproduced], None] = lambda reproduced: None,
) -> Filmed:
    """Do all experiments in the film's order, and write one report.

    Args:
        quick: Use the quick settings. With them, each experiment takes seconds.
        names: The experiments to do. If it is empty, all experiments are done.
        out: The folder. If it is None, it is runs/film-quick or runs/film-full.
        again: Compute everything again.
        on_progress: Called with the progress.
        on_result: Called with each experiment when it is finished.

    Returns:
        The answers. The folder holds one folder for each experiment, `film.html` and `ledger.md`.
    """
    default = Path("runs") / ("film-quick" if quick else "film-full")
    folder = folders.place(out if out is not None else default, default.name)
    done, asked = [], list(names or FILM)
    expected = {name: entry_of(name).experiment.seconds[0 if quick else 1] for name in asked}
    computed: dict[str, float] = {}  # seconds for the questions that were computed in this call
    for place, name in enumerate(asked, start=1):
        begun = time.monotonic()

        def told(seen: Progress, name: str = name, place: int = place, begun: float = begun) -> None:
            left = _left(expected, computed, asked[place - 1 :], time.monotonic() - begun)
            on_progress(seen._replace(phase=f"{place} of {len(asked)}, {seen.phase}", left=left))

        done.append(reproduce(name, full=not quick, out=folder / name, again=again, on_progress=told))
        if not done[-1].found:
            computed[name] = time.monotonic() - begun
        on_result(done[-1])
    total = sum(one.seconds for one in done)
    lead = (
        f"The experiments answer {len(done)} questions of the film with "
        f"{_counted([finding for one in done for finding in one.answer.findings])}. "
        f"The computing took {duration(total)} on {run_folder.versions()['device']}."
    )
    page = html.book(
        "Gradient descent, how neural networks learn: the film's questions", lead, [o.chapter for o in done]
    )
    folders.write_file(folder / "film.html", page.encode())
    folders.write_file(folder / "ledger.md", markdown(done).encode())
    return Filmed(tuple(done), folder / "film.html", folder / "ledger.md")


def _left(
    expected: Mapping[str, float | int], computed: Mapping[str, float], asked: Sequence[str], spent: float
) -> float | None:
    """The seconds left: the known times on two cores, multiplied by how much longer this machine takes."""
    if not computed:
        return None
    pace = sum(computed.values()) / sum(expected[name] for name in computed)
    return max(0.0, pace * expected[asked[0]] - spent) + pace * sum(expected[name] for name in asked[1:])


HEADS = ("what", "published", "where", "ours, 95 % interval", "networks", "verdict")


def markdown(done: Sequence[Reproduced]) -> str:
    """The ledger: one row for each number, also for each number that missed the published one."""
    lines = ["| experiment | " + " | ".join(HEADS) + " |", "|---" * (len(HEADS) + 1) + "|"]
    for one in done:
        lines += [f"| `{one.name}` | " + " | ".join(cells(finding)) + " |" for finding in one.answer.findings]
    times = ", ".join(f"`{one.name}` {duration(one.seconds)}" for one in done)
    return "\n".join([*lines, "", f"Computed in: {times}.", ""])


def cells(finding: Finding) -> tuple[str, ...]:
    """A row of the ledger, in Markdown."""
    return tuple(cell.replace("|", "\\|") for cell in _row(finding))


def _counted(findings: Sequence[Finding]) -> str:
    """Say in words how many numbers have each verdict."""
    count = lambda verdict: sum(finding.verdict == verdict for finding in findings)
    told = {"as published or better": count("reproduced"), "undecided": count("undecided"), "missed": count("missed")}
    told |= {"without a published number to compare": count("measured"), "not run here": count("not run here")}
    return f"{len(findings)} numbers, " + ", ".join(f"{number} {words}" for words, number in told.items() if number)


def _row(finding: Finding) -> tuple[str, ...]:
    ours = "" if math.isnan(finding.value) else told(finding)
    return finding.what, finding.published, finding.source, ours, str(finding.seeds or ""), finding.verdict


def _draw(folder: Path, pictures: Mapping[str, style.Picture | Moving]) -> dict[str, tuple[bytes | Frames, str]]:
    (folder / "pictures").mkdir(exist_ok=True)
    drawn: dict[str, tuple[bytes | Frames, str]] = {}
    for name, picture in pictures.items():
        if isinstance(picture, Moving):
            path = folder / "pictures" / f"{name}.gif"
            drawn[name] = (animation.write(picture.animation, path), picture.caption)
        else:
            image = html.png(picture.figure)
            drawn[name] = (image, picture.caption)
            folders.write_file(folder / "pictures" / f"{name}.png", image)
    return drawn


def duration(seconds: float | int) -> str:
    """Seconds, minutes or hours, in words.

    Examples:
        >>> duration(119.6), duration(300), duration(36_000)
        ('120 s', '5 min', '10 h')
    """
    if seconds < 120:
        return f"{number(round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
