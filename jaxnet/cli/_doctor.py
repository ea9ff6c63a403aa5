"""The command that checks the installation and the machine: doctor."""

import json as json_format
import sys
import textwrap

from jaxnet import commands

WIDTH = 80


def doctor(seconds: float = 3.0, json: bool = False) -> None:
    """Check the installation and the machine, and measure the speed.

    The exit code is 1 if something is wrong.

    Args:
        seconds: How long to measure the speed. 0 means no measurement.
        json: Print the results as one last line of JSON.
    """
    results = commands.doctor(seconds=seconds)
    for one in results:
        _print(one.topic, one.found)
        if one.wrong is not None:
            _print("  wrong", one.wrong)
            _print("  remedy", one.remedy or "")
    wrong = [one.topic for one in results if one.wrong is not None]
    print(
        f"{len(wrong)} of {len(results)} checks found something wrong: {', '.join(wrong)}"
        if wrong
        else "nothing is wrong"
    )
    if json:
        print(json_format.dumps([one._asdict() for one in results]))
    if wrong:
        sys.exit(1)


def _print(head: str, words: str) -> None:
    print(
        textwrap.fill(
            words,
            WIDTH,
            initial_indent=f"{head:<11}",
            subsequent_indent=" " * 11,
            break_long_words=False,
            break_on_hyphens=False,
        ),
        flush=True,
    )
