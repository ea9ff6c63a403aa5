"""README's code, names and rooms are true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", README, re.S)


IDS = ["teacher", "researcher", "trainer", "accelerator", "many"]
MARKS = [(), (), pytest.mark.slow, pytest.mark.slow, pytest.mark.slow]
CASES = [
    pytest.param(*example, id=name, marks=marks) for example, name, marks in zip(EXAMPLES, IDS, MARKS, strict=True)
]


@pytest.mark.parametrize(("code", "told"), CASES)
def test_readmes_code_runs_and_prints_what_it_says(code, told, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == told
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


def test_files_that_readme_names_exist():
    for name in re.findall(r"\]\(([^)#]+)\)|`([\w./]+/[\w.]+\.(?:py|ipynb|md))`", README):
        path = next(filter(None, name))
        assert path.startswith("http") or (ROOT / path).exists(), path


def test_every_room_of_the_architecture_exists_and_none_is_missing():
    drawn = re.search(r"```text\n( __main__.*?)```", README, re.S).group(1)
    rooms = {
        room for line in drawn.splitlines() for room in re.split(r"/?(?: \| |$)/?", re.split(r"  +", line.strip())[0])
    }
    rooms = {room.rstrip("/") for room in rooms if room}
    modules = {path.stem for path in (ROOT / "jaxnet").glob("*.py")}
    modules |= {path.parent.name for path in (ROOT / "jaxnet").glob("*/__init__.py")}
    assert modules - {"__init__", "_version"} == rooms


def test_nobody_is_told_to_install_what_the_index_calls_jaxnet():
    files = [
        ROOT / "README.md",
        *(ROOT / "jaxnet").rglob("*.py"),
        *(ROOT / "notebooks").glob("*.*"),
        *(ROOT / "benchmarks").glob("*.*"),
    ]
    for path in files:
        if path.suffix in (".py", ".md", ".ipynb"):
            found = re.search(
                r"pip install\b[^\n`&]*(?<![/\w])jaxnet\b(?!')|['\"]jaxnet\[", path.read_text(encoding="utf-8")
            )
            assert not found, f"{path}: {found.group()}"
