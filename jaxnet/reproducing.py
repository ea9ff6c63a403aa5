"""The commands `jaxnet reproduce` and `jaxnet film` as functions: an experiment measured, judged, drawn, kept and reported."""

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

from jaxnet import claims, data, filming, keeping, report
from jaxnet import run as folders
from jaxnet.exhibits import EXHIBITS, FILM, Exhibit, Moving
from jaxnet.experiments.findings import Answer, Finding, number, told
from jaxnet.json_types import as_tuples, fits, in_words
from jaxnet.pages import Frames
from jaxnet.walking import Seen, unheeded

WRITTEN = frozenset((keeping.TOLD, "parts", "pictures", "answer.json", "report.html"))


class Reproduced(NamedTuple):
    """What became of one experiment.

    Attributes:
        name: Which.
        answer: The verdict and its numbers.
        folder: Where everything is kept.
        seconds: What measuring took, parts that were found included.
        found: Parts that had been computed before.
        chapter: Its part of a report.
    """

    name: str
    answer: Answer
    folder: Path
    seconds: float
    found: tuple[str, ...]
    chapter: report.Chapter


def exhibit(name: str) -> Exhibit:
    """The experiment of a name.

    Raises:
        ValueError: If there is none.
    """
    if name not in EXHIBITS:
        raise ValueError(f"no experiment {name!r}; there are {', '.join(EXHIBITS)}")
    return EXHIBITS[name]


def plan(name: str, *, full: bool = False, settings: Any = None) -> str:
    """What an experiment is about to do, and how long it takes on two CPU cores."""
    asked = exhibit(name).experiment
    chosen = settings or (asked.full if full else asked.quick)
    length = {asked.quick: asked.seconds[0], asked.full: asked.seconds[1]}.get(chosen)
    with _answering_for(settings, name):
        planned = asked.plan(chosen)
    return f"{planned}; " + (f"about {duration(length)} on two cores" if length else "settings of your own")


def experiment_of(file: str | Path) -> str:
    """Which experiment a file of settings is of.

    Raises:
        ValueError: If it does not say so.
    """
    try:
        there = json.loads(Path(file).read_text(encoding="utf-8"))
        return exhibit(there["experiment"]).name
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError(f"{file} does not say which experiment it is of; name it before --settings") from error


def settings_from(name: str, file: str | Path) -> Any:
    """An experiment's settings as they were kept in its `experiment.json`, perhaps changed by hand.

    Raises:
        ValueError: If the file does not hold settings of this experiment, with the field and what it takes.
    """
    known = exhibit(name).experiment
    kind = type(known.quick)
    takes = f"it takes {', '.join(kind._fields)}"
    try:
        there = json.loads(Path(file).read_text())
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); expected an experiment.json") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} holds no settings of {name}: it is no JSON ({error}); {takes}") from error
    values = there.get("settings", there) if isinstance(there, dict) else None
    if not isinstance(there, dict) or not isinstance(values, dict):
        raise ValueError(f"{file} holds no settings of {name}: expected names with values; {takes}")
    if there.get("experiment", name) != name:
        raise ValueError(f"{file} holds no settings of {name}: it is of {there['experiment']}; {takes}")
    if set(values) != set(kind._fields):
        raise ValueError(f"{file} holds no settings of {name}: it has {', '.join(values)}; {takes}")
    chosen = {field: as_tuples(value) for field, value in values.items()}
    for field, annotated in typing.get_type_hints(kind).items():
        if not fits(chosen[field], annotated):
            raise ValueError(
                f"{file}: {field} must be {in_words(annotated)}, such as {_such_as(known.quick, field)}, "
                f"got {reprlib.repr(values[field])}"
            )
        if found := _senseless(chosen[field], getattr(known.quick, field), getattr(known.full, field)):
            raise ValueError(
                f"{file}: {field} {found}, got {reprlib.repr(values[field])}; {_such_as(known.quick, field)} is quick"
            )
    return kind(**chosen)


def _such_as(settings: Any, field: str) -> str:
    return json.dumps(getattr(settings, field))


def _numbers(value: Any) -> list[Any]:
    """All numbers in a setting, however deep."""
    if isinstance(value, tuple):
        return [number for one in value for number in _numbers(one)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _senseless(value: Any, *known: Any) -> str | None:
    """What is wrong with a setting of the right type, by the values that it is known to take; None if nothing is."""
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
    show: Callable[[Seen], None] = lambda seen: None,
) -> Reproduced:
    """Measure one experiment, judge it, and write its pictures and report.

    A run that was stopped goes on: finished parts are found in the folder, as long as settings and versions are the same.
    What `measure` does is not compared: after changing it, compute `again`.

    Args:
        name: Of the experiment.
        full: The full settings, which take minutes; otherwise those that take seconds.
        settings: Settings of your own instead.
        out: The folder; None takes runs/reproduce/NAME-quick, -full or -own.
        again: Compute everything anew, whatever the folder holds.
        show: Called with what there is to see.

    Returns:
        The answer, also written: `parts/` with all arrays, `pictures/`, `answer.json`, `report.html`.

    Raises:
        ValueError: If there is no such experiment, or settings of your own make no sense.
        FileExistsError: If the folder holds something else, or parts of other settings, or another process is writing it.
    """
    asked = exhibit(name)
    chosen = settings or (asked.experiment.full if full else asked.experiment.quick)
    kind = "own" if settings else "full" if full else "quick"
    folder = folders.place(out if out is not None else Path("runs") / "reproduce" / f"{name}-{kind}", name)
    with claims.claimed(folder):
        return _reproduced(asked, chosen, folder, plan(name, full=full, settings=settings), again, settings, show)


def _reproduced(
    asked: Exhibit, chosen: Any, folder: Path, planned: str, again: bool, own: Any, show: Callable[[Seen], None]
) -> Reproduced:
    name, show = asked.name, unheeded(show)
    if again:
        folders.require_free(folder, overwrite=True, written=WRITTEN)
        shutil.rmtree(folder, ignore_errors=True)
    versions = {package: folders.versions()[package] for package in ("jaxnet", "jax", "device")}
    at = [name]
    shelf = keeping.shelf(
        folder, {"experiment": name, "settings": chosen._asdict(), **versions}, tell=lambda part: at.append(part)
    )
    show(Seen(f"{name}: loading"))
    with _answering_for(own, name):
        arrays = asked.experiment.measure(
            chosen, data.mnist(), keep=shelf.keep, show=lambda seen: show(seen._replace(phase=f"{name}: {at[-1]}"))
        )
        answer, seconds = asked.experiment.answer(chosen, arrays), sum(shelf.seconds.values())
    kept = {"name": name, "words": answer.words, "seconds": seconds, "findings": [_plain(f) for f in answer.findings]}
    folders.write_file(folder / "answer.json", (json.dumps(kept, indent=1, allow_nan=False) + "\n").encode())
    show(Seen(f"{name}: drawing"))
    drawn = _draw(folder, asked.pictures(arrays))
    chapter = report.Chapter(
        name, asked.question, asked.said, answer.words, drawn,
        {
            f"The numbers: {_counted(answer.findings)}": report.table(HEADS, [_row(finding) for finding in answer.findings]),
            "Settings": report.table(("setting", "value"), [(name, str(value)) for name, value in chosen._asdict().items()]),
        },
    )  # fmt: skip
    lead = f"{planned}; it took {duration(seconds)}."
    page = report.book(asked.question, lead, [chapter])
    folders.write_file(folder / "report.html", page.encode())
    return Reproduced(name, answer, folder, seconds, tuple(shelf.found), chapter)


@contextlib.contextmanager
def _answering_for(own: Any, name: str) -> Iterator[None]:
    """Of settings that somebody chose, whatever fails is said of the settings."""
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError, AssertionError) as error:
        if own is None or isinstance(error, FloatingPointError) or "cannot be read" in str(error):
            raise
        said = f"there is no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(
            f"the experiment {name} cannot be done with these settings: {said or type(error).__name__}; "
            f"its quick ones are {json.dumps(exhibit(name).experiment.quick._asdict())}"
        ) from error


class Filmed(NamedTuple):
    """What `film` leaves.

    Attributes:
        reproduced: The experiments, in the film's order.
        report: One page of them all.
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
    show: Callable[[Seen], None] = lambda seen: None,
    found: Callable[[Reproduced], None] = lambda reproduced: None,
) -> Filmed:
    """All experiments in the film's order, as one report.

    Args:
        quick: Settings that take seconds each.
        names: Only these experiments; empty for all.
        out: The folder; None takes runs/film-quick or runs/film-full.
        again: Compute everything anew.
        show: Called with what there is to see.
        found: Called with each experiment as it is done.

    Returns:
        The answers, also written: a folder an experiment, `film.html`, `ledger.md`.
    """
    default = Path("runs") / ("film-quick" if quick else "film-full")
    folder = folders.place(out if out is not None else default, default.name)
    done, asked = [], list(names or FILM)
    expected = {name: exhibit(name).experiment.seconds[0 if quick else 1] for name in asked}
    computed: dict[str, float] = {}  # seconds of the questions that were not found in the folder
    for place, name in enumerate(asked, start=1):
        begun = time.monotonic()

        def told(seen: Seen, name: str = name, place: int = place, begun: float = begun) -> None:
            left = _left(expected, computed, asked[place - 1 :], time.monotonic() - begun)
            show(seen._replace(phase=f"{place} of {len(asked)}, {seen.phase}", left=left))

        done.append(reproduce(name, full=not quick, out=folder / name, again=again, show=told))
        if not done[-1].found:
            computed[name] = time.monotonic() - begun
        found(done[-1])
    total = sum(one.seconds for one in done)
    lead = (
        f"Statements of the film that are experiments: {len(done)} questions, "
        f"{_counted([finding for one in done for finding in one.answer.findings])}; {duration(total)} of computing, "
        f"{folders.versions()['device']}."
    )
    page = report.book(
        "Gradient descent, how neural networks learn: the film's questions", lead, [o.chapter for o in done]
    )
    folders.write_file(folder / "film.html", page.encode())
    folders.write_file(folder / "ledger.md", markdown(done).encode())
    return Filmed(tuple(done), folder / "film.html", folder / "ledger.md")


def _left(
    expected: Mapping[str, float | int], computed: Mapping[str, float], asked: Sequence[str], spent: float
) -> float | None:
    """Seconds that the questions still take: what they took on two cores, times what this machine needed of it so far."""
    if not computed:
        return None
    pace = sum(computed.values()) / sum(expected[name] for name in computed)
    return max(0.0, pace * expected[asked[0]] - spent) + pace * sum(expected[name] for name in asked[1:])


HEADS = ("what", "published", "where", "ours, 95 % interval", "networks", "verdict")


def markdown(done: Sequence[Reproduced]) -> str:
    """The ledger: a row a number, misses kept."""
    lines = ["| experiment | " + " | ".join(HEADS) + " |", "|---" * (len(HEADS) + 1) + "|"]
    for one in done:
        lines += [f"| `{one.name}` | " + " | ".join(cells(finding)) + " |" for finding in one.answer.findings]
    times = ", ".join(f"`{one.name}` {duration(one.seconds)}" for one in done)
    return "\n".join([*lines, "", f"Computed in: {times}.", ""])


def cells(finding: Finding) -> tuple[str, ...]:
    """A row of the ledger, in Markdown."""
    return tuple(cell.replace("|", "\\|") for cell in _row(finding))


def _counted(findings: Sequence[Finding]) -> str:
    """How many numbers there are, by verdict."""
    count = lambda verdict: sum(finding.verdict == verdict for finding in findings)
    told = {"as published or better": count("reproduced"), "undecided": count("undecided"), "missed": count("missed")}
    told |= {"with nothing published to compare": count("measured"), "not run here": count("not run here")}
    return f"{len(findings)} numbers, " + ", ".join(f"{number} {words}" for words, number in told.items() if number)


def _row(finding: Finding) -> tuple[str, ...]:
    ours = "" if math.isnan(finding.value) else told(finding)
    return finding.what, finding.published, finding.source, ours, str(finding.seeds or ""), finding.verdict


def _draw(folder: Path, pictures: Mapping[str, report.Picture | Moving]) -> dict[str, tuple[bytes | Frames, str]]:
    (folder / "pictures").mkdir(exist_ok=True)
    drawn: dict[str, tuple[bytes | Frames, str]] = {}
    for name, picture in pictures.items():
        if isinstance(picture, Moving):
            path = folder / "pictures" / f"{name}.gif"
            drawn[name] = (filming.write(picture.film, path), picture.caption)
        else:
            image = report.png(picture.figure)
            drawn[name] = (image, picture.caption)
            folders.write_file(folder / "pictures" / f"{name}.png", image)
    return drawn


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in finding._asdict().items()
    }


def duration(seconds: float | int) -> str:
    """Seconds, minutes or hours, in words.

    Examples:
        >>> duration(119.6), duration(300), duration(36_000)
        ('120 s', '5 min', '10 h')
    """
    if seconds < 120:
        return f"{number(round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
