"""The script that measures an accelerator: it outlives what fails, keeps to its time, and judges figures the right way round."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATH = ROOT / "benchmarks" / "accelerator.py"
ABSENT = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow_datasets", "tensorflow", "tyro", "array_record", "importlib_resources"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("accelerator_script", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_an_item_that_fails_says_why_and_one_that_is_slow_is_ended(script, tmp_path, monkeypatch):
    told = script.run("about", True, 60, str(tmp_path))
    assert told.trouble == ""
    assert {"device", "platform", "jax", "torch"} <= {row.what for row in told.rows}
    slow = script.run("networks", True, 1, str(tmp_path))
    assert slow.trouble == "ended after its 1 seconds"
    assert slow.seconds < 10
    unknown = "--xla_there_is_no_such_flag=1"
    monkeypatch.setitem(script.ITEMS, "steps", script.ITEMS["steps"]._replace(flags=unknown))
    assert script.run("steps", True, 60, str(tmp_path)).trouble == f"this XLA does not know {unknown}"


@pytest.mark.slow
def test_what_fails_is_reported_and_the_others_go_on(tmp_path):
    command = [sys.executable, str(PATH), "--tiny", "--only", "about", "tests", "roofline", "--out", str(tmp_path)]
    broken = tmp_path / "pytest.py"  # found before the real one
    broken.write_text("raise SystemExit('no pytest today')\n")
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    kept = json.loads((tmp_path / "accelerator.json").read_text())
    assert list(kept) == ["about", "roofline", "tests"]
    assert "no pytest today" in kept["tests"]["trouble"]
    assert kept["roofline"]["trouble"] == ""
    assert len(kept["roofline"]["rows"]) == 5
    told = (tmp_path / "accelerator.md").read_text()
    assert "not a GPU or TPU" in told
    assert "no pytest today" in told
    assert (tmp_path / "accelerator.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_earlier_stays_if_the_device_is_the_same(script):
    about, other = ([script.Row("device", name)] for name in ("1 x one", "1 x other"))
    measured = {
        "about": script.Found(about, 1.0, "", ""),
        "steps": script.Found([script.Row("a", 2.0)], 3.0, "", "noon"),
    }
    earlier = json.loads(
        json.dumps(
            {name: each._asdict() | {"rows": [row._asdict() for row in each.rows]} for name, each in measured.items()}
        )
    )
    again = script.Found(about, 2.0, "", "later")
    assert script.kept_of(earlier, again) == measured | {"about": again}
    assert script.kept_of(earlier, script.Found(other, 2.0, "")) == {}
    assert script.kept_of({}, again) == {}


@pytest.mark.parametrize(
    ("what", "value", "words"),
    [
        ("film's network, batches of 32", 0.014, "met: at most 0.06 (try 0.015, reached)"),
        ("film's network, batches of 32", 0.05, "met: at most 0.06 (try 0.015)"),
        ("film's network, batches of 32", 0.07, "**missed**: at most 0.06 (try 0.015)"),
        ("10,000 networks on shared batches of 128", 4999.0, "**missed**: at least 5000 (try 15000)"),
        ("10,000 networks on shared batches of 128", 16000.0, "met: at least 5000 (try 15000, reached)"),
        ("convnet, right on the test images", 0.9915, "**missed**: at least 0.992"),
        ("copy in memory", 3000.0, ""),
    ],
)
def test_figures_are_held_to_their_goals(what, value, words, script):
    assert script.verdict(script.Row(what, value)) == words


def test_ratios_to_pytorch_are_above_one_where_jaxnet_is_faster(script):
    epoch, many = "film's network, batches of 32", "1,024 networks on shared batches of 128"
    found = {
        "epochs": script.Found([script.Row(epoch, 0.05, "seconds an epoch")], 1.0, ""),
        "networks": script.Found([script.Row(many, 3000.0, "network-epochs a second")], 1.0, ""),
        "steps": script.Found([script.Row(epoch, 26.0, "microseconds a step")], 1.0, ""),
        "pytorch": script.Found(
            [
                script.Row(f"{epoch}, eager", 0.5, "seconds an epoch"),
                script.Row(f"{epoch}, CUDA graphs", 0.1, "seconds an epoch"),
                script.Row(f"{many}, CUDA graphs", 6000.0, "network-epochs a second"),
            ],
            1.0,
            "",
        ),
    }
    first, second = script.beside(found)[2:4]
    assert first == f"| {epoch} | 0.05 | 0.1 |  | 0.5 | 2.00 | seconds an epoch |"
    assert second == f"| {many} | 3000 | 6000 |  |  | 0.50 | network-epochs a second |"


def test_the_share_of_the_peak_counts_what_is_computed(script):
    assert script.arithmetic_of((784, 16, 10), 100) == 100 * (4 * 784 * 16 + 6 * 160)
    assert script.share(script.Row("", 0.5, "seconds an epoch", "", 1e12), 10.0) == "2 TFLOP/s, 20.00% of the peak"
    assert (
        script.share(script.Row("", 4.0, "network-epochs a second", "", 1e12), 10.0) == "4 TFLOP/s, 40.00% of the peak"
    )
    assert script.share(script.Row("", 4.0, "seconds"), 10.0) == ""


def test_neither_the_script_nor_what_it_measures_needs_what_a_machine_with_a_card_may_lack():
    imports = (
        "import jaxnet.training.run_folder, jaxnet.commands, jaxnet.models, jaxnet.reports.html, jaxnet.plot.style"
    )
    code = f"{ABSENT}\nimport jaxnet\n{imports}\nprint(jaxnet.data.load('mnist').train.images.shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "(60000, 28, 28)\n", done.stderr
