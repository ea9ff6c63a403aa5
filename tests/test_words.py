"""Retired names occur nowhere: neither in code nor in prose, notebooks and help. CHANGELOG says what replaced them."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MODULES = (
    "aligning", "claims", "dossier", "exhibits", "filming", "keeping", "live", "nonsense", "pages", "portraits",
    "publishing", "recipes", "report", "reproducing", "retracing", "run", "scan", "settings", "structure", "sweeping",
    "unrolled", "walking",
)  # fmt: skip
"""Modules that stood directly in the package."""

MOVED = {
    "bang": (
        "budget credit dead_knobs dense entries knobs ledger lengths moments names noise_from_batches noise_from_examples "
        "noise_from_two_sizes on_a_budget pulls rows search spend spread sweeps tally tug_of_war watching"
    ),
    "calibration": "answers best_temperature calibration_error doubt_cost",
    "data": "batches builders files named own",
    "descent": "numbered side_by_side",
    "dropout": "dropped thinned",
    "ensemble": "combinations",
    "landscape": "principal rescaled shapes walks",
    "loop": "scan",
    "losses": "by_output evaluate exactly mistakes outputs",
    "plot": "credits doubt evidence films hills hills_films hills_relief memories slices spreads structures valleys",
    "training": "fit_all judge judge_all",
}
"""Names of a module that are called otherwise now, or stand in another module."""

WORDS = {
    "dossier": r"dossier",
    "portraits": r"portraits?\b",
    "exhibits": r"exhibit",
    "side_by_side": r"side_by_side\(",
    "dead_knobs": r"dead_knobs",
    "on_a_budget": r"on_a_budget",
    "noise_from_": r"noise_from_",
    "calibration_error": r"(?<!expected_)(?<!uncertain_)\bcalibration_error\b",
    "doubt_cost": r"doubt_cost",
    "difference_quotients": r"difference_quotients",
    "look_of": r"look_of",
    "as_mnist": r"as_mnist",
    "chosen_rate": r"chosen_rate",
    "classes": r"(?-i:\b(Knobs|Walked|Numbered|Spent|Principal|Exhibit|Recipe)\b(?= ?[(`.\]|]))",
    "modules": rf"\bjaxnet\.({'|'.join(MODULES)})\b(?!-)|from jaxnet import [^#\n]*\b({'|'.join(MODULES)})\b(?! as\b)",
    "show=": r"\b(show|found)=(lambda|print|_)",
} | {module: rf"(?<![\w.])(?:jaxnet\.)?{module}\.({'|'.join(names.split())})\b" for module, names in MOVED.items()}
"""What is retired, and the pattern that finds it; capital letters count only where the pattern says so."""

FOLDERS = {"jaxnet": (".py", ".css", ".js"), "tests": (".py",), "docs": (".md",), "notebooks": (".md", ".ipynb", ".py")}
FOLDERS["benchmarks"] = (".md", ".py")


def pages():
    """Every text of the project but CHANGELOG and this file, without the pictures in notebooks."""
    yield from ((ROOT / name, (ROOT / name).read_text(encoding="utf-8")) for name in ("README.md", "CONTRIBUTING.md"))
    for folder, endings in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".ipynb":
                cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
                yield path, "\n".join("".join(cell["source"]) for cell in cells)
            elif path.suffix in endings and path != Path(__file__):
                yield path, path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def texts():
    return list(pages())


@pytest.mark.parametrize("pattern", WORDS.values(), ids=WORDS)
def test_a_retired_name_occurs_nowhere(pattern, texts):
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
        for path, text in texts
        for hit in re.finditer(pattern, text, re.I)
    ]
    assert not found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dossier", "a Dossier of it"),
        ("calibration_error", "calibration.calibration_error(outputs)"),
        ("modules", "from jaxnet import data, keeping"),
        ("modules", "see jaxnet.walking"),
        ("bang", "`bang.credit(cost)`"),
        ("classes", "returns Walked(...)"),
    ],
)
def test_the_patterns_find_what_they_should(name, text):
    assert re.search(WORDS[name], text, re.I)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("calibration_error", "calibration.expected_calibration_error(outputs)"),
        ("modules", "from jaxnet import data, training"),
        ("bang", "bang.loss_change_allocation(cost)"),
        ("classes", "Principal component"),
    ],
)
def test_the_patterns_leave_the_names_of_today_alone(name, text):
    assert not re.search(WORDS[name], text, re.I)
