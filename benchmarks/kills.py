"""Kill trainings at random moments, continue them, and compare the result with a training that was never killed.

python benchmarks/kills.py [--kills 100] [--seed 0] [--jobs 2]

Every trial starts `jaxnet train` in a process of its own, and ends the process with SIGKILL after a random time, between the start
of Python and the end of the scoring. A process that ended before its kill does not count, and the trial begins again. A quarter of
the trials kill the continued process too. Then `jaxnet train --resume` works to the end. Parameters, history and evaluations must
be equal to those of the training that was never killed.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

TRAININGS = {
    "film": ["--epochs", "8", "--evaluate-every", "1"],
    "three candidates with dropout": ["--epochs", "3", "--candidates", "3", "--dropout", "0.2", "--activation", "relu"],
    "on four devices": ["--preset", "wide", "--epochs", "2", "--devices", "4"],
    "watched, with momentum": [
        "--epochs",
        "2",
        "--optimizer",
        "momentum",
        "--watch-every",
        "50",
        "--validation",
        "5000",
    ],
}
"""The options of each training. Each takes a few seconds, and saves a checkpoint as often as it can."""

COMMON = ["--no-pictures", "--checkpoint-every", "0.05"]


class Trial(NamedTuple):
    """One killed training.

    Attributes:
        training: The name of the training.
        found: What each kill left in the folder.
        equal: Whether the continued training had the result of the training that was never killed.
    """

    training: str
    found: tuple[str, ...]
    equal: bool


def begin(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jaxnet", "train", *arguments], cwd=folder, start_new_session=True,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "4"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def outcome(run: Path) -> tuple[str, bytes, bytes]:
    """What must be equal."""
    told = json.loads((run / "result.json").read_text())
    return told["params_sha256"], (run / "history.csv").read_bytes(), (run / "evaluations.csv").read_bytes()


def left(run: Path) -> str:
    """What a killed process left."""
    if not run.exists():
        return "nothing"
    if (run / "result.json").exists():
        return "the finished run"
    steps = len(list((run / "resume" / "checkpoints").glob("*.json")))
    return "no checkpoint" if not steps else "checkpoints"


def killed(arguments: list[str], folder: Path, seconds: float) -> bool:
    """Start a command and kill it after some seconds. Return whether it still worked then."""
    process = begin(arguments, folder)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def trial(name: str, number: int, seconds: float, wanted: tuple[str, bytes, bytes], seed: int) -> Trial:
    """Kill a training once or twice, continue it, and compare."""
    chance = random.Random(f"{seed}/{number}")
    first = [*TRAININGS[name], *COMMON, "--out", "run"]
    again = ["--resume", "run", "--checkpoint-every", "0.05"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        while not killed([*first, "--overwrite"], folder, chance.uniform(0, seconds)):
            pass
        found = [left(folder / "run")]
        if chance.random() < 0.25 and killed(
            again if (folder / "run").exists() else first, folder, chance.uniform(0, seconds)
        ):
            found.append(left(folder / "run"))
        code = begin(again if (folder / "run").exists() else first, folder).wait()
        try:
            equal = code == 0 and outcome(folder / "run") == wanted
        except (OSError, ValueError, KeyError):
            equal = False
    return Trial(name, tuple(found), equal)


def main() -> None:
    """Run all trials, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    wanted, seconds = {}, {}
    for name, arguments in TRAININGS.items():
        with tempfile.TemporaryDirectory() as place:
            for _ in range(2):  # the first one compiles
                begun = time.monotonic()
                if begin([*arguments, *COMMON, "--out", "run", "--overwrite"], Path(place)).wait() != 0:
                    raise SystemExit(f"the training {name} failed")
                seconds[name] = time.monotonic() - begun
            wanted[name] = outcome(Path(place, "run"))
        print(f"{name}: {seconds[name]:.1f} s for the whole command", flush=True)
    names = [list(TRAININGS)[number % len(TRAININGS)] for number in range(options.kills)]
    with ThreadPoolExecutor(options.jobs) as pool:
        # With several jobs at a time, every process takes longer, so the moments are spread over a longer time.
        stretched = {name: seconds[name] * max(1.0, 0.8 * options.jobs) for name in names}
        trials = list(
            pool.map(
                lambda n: trial(names[n], n, stretched[names[n]], wanted[names[n]], options.seed), range(options.kills)
            )
        )
    print("| training | trials | equal | what the kills left |\n|---|---|---|---|")
    for name in TRAININGS:
        own = [one for one in trials if one.training == name]
        counts = collections.Counter(what for one in own for what in one.found)
        told = ", ".join(f"{what} {count}" for what, count in counts.most_common())
        print(f"| {name} | {len(own)} | {sum(one.equal for one in own)} | {told} |")
    equal = sum(one.equal for one in trials)
    print(f"{equal} of {len(trials)} equal; {sum(len(one.found) for one in trials)} kills")
    sys.exit(equal != len(trials))


if __name__ == "__main__":
    main()
