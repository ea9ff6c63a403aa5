"""CONTRIBUTING names what there is, and its shortest recipe works."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGES = sorted(path.parent for path in (ROOT / "jaxnet").glob("*/__init__.py"))

TRAIN = """
import numpy as np
import jaxnet
from jaxnet import presets, training
from jaxnet.core.types import Batch, Dataset

def batch(count):
    images = np.random.default_rng(count).integers(0, 256, (count, 4, 4), dtype=np.uint8)
    return Batch(images, np.arange(count) % 2)

config = presets.film._replace(SETTING="NAME", epochs=1, sizes=(3,), batch_size=8)
result = training.fit_and_record(training.plan(config, Dataset(batch(64), batch(16), ("0", "1"))))
print(jaxnet.__file__, int(result.state.step), result.failed)
"""


def test_every_path_that_contributing_names_exists():
    names = re.findall(r"`((?:jaxnet|tests|docs|benchmarks|\.ci)/[\w./-]*)`", TEXT)
    assert len(names) > 30
    for name in names:
        assert (ROOT / name).exists() or "NAME" in name or "TOPIC" in name, name


def test_every_entry_of_the_package_has_a_sentence():
    table = re.search(r"### Directly in `jaxnet/`\n(.*?)\n### ", TEXT, re.S).group(1)
    entries = {path.name for path in (ROOT / "jaxnet").iterdir() if path.is_file()} | {
        f"{path.name}/" for path in PACKAGES
    }
    assert entries == set(re.findall(r"^\| `([^`]+)` \| [A-Z].*\. \|$", table, re.M))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_module_of_a_package_is_named(package):
    part = re.search(rf"^\*\*`{package.name}/`\*\*: (.*?)\n\n", TEXT, re.S | re.M).group(1)
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert {name for name in modules | folders if f"`{name}`" not in part} == set()
    named = set(re.findall(r"`(\w+\.py)`", part))
    assert named <= {path.name for path in package.rglob("*.py")}


def test_a_source_distribution_holds_every_page():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = told["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs", "jaxnet", "tests"} <= set(included)
    assert all((ROOT / name).exists() for name in included)


@pytest.mark.parametrize(
    ("title", "name", "line_of"),
    [
        ("An activation", "softplus", "ACTIVATIONS"),
        pytest.param("A schedule", "quadratic", "SCHEDULES", marks=pytest.mark.slow),
    ],
)
def test_an_activation_or_a_schedule_is_one_line(title, name, line_of, tmp_path):
    recipe = re.search(rf"### {title}\n(.*?)\n### ", TEXT, re.S).group(1)
    line, table = re.search(rf"```text\n +(\"{name}.*?)\n", recipe).group(1), "jaxnet/training/tables.py"
    assert table in recipe
    shutil.copytree(ROOT / "jaxnet", tmp_path / "jaxnet", ignore=shutil.ignore_patterns("mnist", "__pycache__"))
    before = (tmp_path / table).read_text(encoding="utf-8")
    after = re.sub(rf"^{line_of}\b.*\{{$", rf"\g<0>\n    {line}", before, count=1, flags=re.M)
    assert after != before
    (tmp_path / table).write_text(after, encoding="utf-8")
    run = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}, "capture_output": True, "text": True}
    changed = TRAIN.replace("SETTING", {"An activation": "activation", "A schedule": "schedule"}[title]).replace(
        "NAME", name
    )
    done = subprocess.run([sys.executable, "-c", changed], timeout=120, **run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "jaxnet" / "__init__.py"), "8", "None"]
    done = subprocess.run([sys.executable, "-m", "jaxnet", "train", "--help"], timeout=120, **run)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout


INSTRUMENT = """
from jaxnet.reports.bang_report import BangResults, Counted, Subject, uncounted

def of_length(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    return BangResults({}, {}, {"length of the path": f"{of.points} points"}, {})
"""


@pytest.mark.slow
def test_an_instrument_of_the_command_is_one_module_and_one_line(tmp_path):
    assert "`INSTRUMENTS`" in re.search(r"### An instrument of `bang`\n(.*?)\n### ", TEXT, re.S).group(1)
    shutil.copytree(ROOT / "jaxnet", tmp_path / "jaxnet", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "jaxnet" / "reports" / "length_report.py").write_text(INSTRUMENT, encoding="utf-8")
    table = tmp_path / "jaxnet" / "commands" / "_bang.py"
    line = '    "length": Instrument("jaxnet.reports.length_report", "of_length", "Measure the path."),\n'
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("INSTRUMENTS = {\n", "INSTRUMENTS = {\n" + line), encoding="utf-8")
    run = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}, "capture_output": True, "text": True}
    words = ["train", "--epochs", "1", "--sizes", "2", "--no-pictures", "--out", "run"]
    subprocess.run([sys.executable, "-m", "jaxnet", *words], timeout=240, check=True, **run)
    done = subprocess.run(
        [sys.executable, "-m", "jaxnet", "bang", "run", "--length", "--images", "50"], timeout=240, **run
    )
    assert done.returncode == 0, done.stderr
    assert "length of the path: 400 points" in done.stdout
    assert "length of the path" in (tmp_path / "run" / "bang.html").read_text(encoding="utf-8")
