"""The table of every number: what was published, what was measured here, missed or reproduced, and what was not run.

python benchmarks/ledger.py FOLDER...

reads `answer.json` of the folders that `jaxnet film` and `jaxnet reproduce` wrote (or folders of such folders), and writes
`benchmarks/ledger.md`. Experiments without a folder stand in it as not run here, with the command that runs them.
"""

import json
import sys
from pathlib import Path

from jaxnet import run
from jaxnet.exhibits import EXHIBITS
from jaxnet.experiments.findings import Finding
from jaxnet.reproducing import HEADS, cells, duration

HERE = Path(__file__).parent


def answers(folders: list[Path]) -> dict[str, tuple[dict, dict]]:
    """By experiment, what it answered and the settings it was asked with."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("answer.json")):
            told = json.loads(path.read_text())
            found[told["name"]] = (told, json.loads((path.parent / "experiment.json").read_text()))
    return found


def finding(plain: dict) -> Finding:
    """A finding as it was before JSON made None of what is not finite."""
    numbers = {name: float("nan") if plain[name] is None else plain[name] for name in ("value", "low", "high")}
    return Finding(**plain | numbers)


def main(folders: list[Path]) -> None:
    """Compose the table."""
    found, lines, missing = answers(folders), [], []
    for name, exhibit in EXHIBITS.items():
        if name not in found:
            missing.append(f"- `{name}`: {exhibit.question} `jaxnet reproduce {name} --full`, about "
                           f"{duration(exhibit.experiment.seconds[1])} on two cores.")  # fmt: skip
            continue
        told, asked = found[name]
        settings = ", ".join(f"{key} {value}" for key, value in asked["settings"].items())
        lines += [f"## `{name}`: {exhibit.question}", "", told["words"], "", "| " + " | ".join(HEADS) + " |"]
        lines += ["|---" * len(HEADS) + "|"]
        lines += ["| " + " | ".join(cells(finding(one))) + " |" for one in told["findings"]]
        lines += ["", f"{duration(told['seconds'])} of computing. Settings: {settings}.", ""]
    versions = run.versions()
    head = [
        "# The ledger", "",
        "Every number of the film's experiments and of the papers': what was published, what was measured, with its 95 % "
        "interval over networks from different seeds, and the verdict. Misses stay. *Reproduced* means that the published "
        "figure lies within our interval or is beaten; *measured* that nothing was published to compare with. Figures marked "
        "[from memory] were not read in a copy of the source.", "",
        f"jaxnet {versions['jaxnet']}, jax {versions['jax']}, Python {versions['python']}, {versions['device']}. "
        "Written by `python benchmarks/ledger.py`.", "",
    ]  # fmt: skip
    if missing:
        lines += ["## Not run here", "", *missing, ""]
    run.write_file(HERE / "ledger.md", "\n".join([*head, *lines]).encode())
    print(HERE / "ledger.md")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
