"""The table of every number: what was published, what was measured here, missed or reproduced, and what was not run.

python benchmarks/ledger.py FOLDER...

reads `answer.json` of the folders that `jaxnet film` and `jaxnet reproduce` wrote (or folders of such folders), and writes
`benchmarks/ledger.md`. Experiments without a folder stand in it as not run here, with the command that runs them.
"""

import json
import sys
from pathlib import Path

from jaxnet.commands._reproduce import HEADS, cells, duration
from jaxnet.core.folders import write_file
from jaxnet.experiments.findings import Finding
from jaxnet.experiments.registry import EXPERIMENTS

HERE = Path(__file__).parent


def answers(folders: list[Path]) -> dict[str, tuple[dict, dict]]:
    """By experiment, what it answered and the settings it was asked with."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("answer.json")):
            told = json.loads(path.read_text())
            if told["name"] in found:
                raise SystemExit(
                    f"there are two answers of {told['name']}, the second in {path.parent}; name one of them"
                )
            found[told["name"]] = (told, json.loads((path.parent / "experiment.json").read_text()))
    return found


def finding(kept: dict) -> Finding:
    """A finding as it was before JSON made None of what is not finite."""
    numbers = {name: float("nan") if kept[name] is None else kept[name] for name in ("value", "low", "high")}
    return Finding(**kept | numbers)


def plain(settings) -> dict:
    """Settings as JSON gives them back."""
    return json.loads(json.dumps(settings._asdict()))


def main(folders: list[Path]) -> None:
    """Compose the table."""
    found, lines, missing = answers(folders), [], []
    for name, entry in EXPERIMENTS.items():
        if name not in found:
            missing.append(f"- `{name}`: {entry.question} `jaxnet reproduce {name} --full`, about "
                           f"{duration(entry.experiment.seconds[1])} on two cores.")  # fmt: skip
            continue
        told, asked = found[name]
        settings = ", ".join(f"{key} {value}" for key, value in asked["settings"].items())
        lines += [f"## `{name}`: {entry.question}", "", told["words"], "", "| " + " | ".join(HEADS) + " |"]
        lines += ["|---" * len(HEADS) + "|"]
        lines += ["| " + " | ".join(cells(finding(one))) + " |" for one in told["findings"]]
        kinds = {"quick": entry.experiment.quick, "full": entry.experiment.full}
        kind = next((kind for kind, one in kinds.items() if plain(one) == asked["settings"]), "own")
        made = f"jaxnet {asked['jaxnet']}, jax {asked['jax']}, {asked['device']}"
        lines += ["", f"{duration(told['seconds'])} of computing ({made}). The {kind} settings: {settings}.", ""]
    head = [
        "# The ledger", "",
        "Every number of the film's experiments and of the papers': what was published, what was measured, with its 95 % "
        "interval over networks from different seeds, and the verdict. Misses stay. *Reproduced*: our number meets the published "
        "one or betters it (or, where neither direction is better, comes close to it); *undecided*: only its interval reaches "
        "it; *measured*: nothing was published to hold it to. Quick settings take seconds and rest on few networks; full ones "
        "are those to quote. Figures marked [from memory] were not read in a copy of the source. Two CPU cores, which "
        "some of the runs shared with others. Written by `python benchmarks/ledger.py`.", "",
    ]  # fmt: skip
    if missing:
        lines += ["## Not run here", "", *missing, ""]
    write_file(HERE / "ledger.md", "\n".join([*head, *lines]).encode())
    print(HERE / "ledger.md")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
