"""The code, the names and the links of README, CONTRIBUTING and docs are true."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxnet

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"```python\n(.*?)```\n+```text\n(.*?)```", re.S)
EXAMPLES = [(path.stem, *example) for path in PAGES for example in EXAMPLE.findall(path.read_text(encoding="utf-8"))]

IDS = ["teacher", "researcher", "many", "accelerator", "devices", "trainer", "continued"]
MARKS = [(), (), *[pytest.mark.slow] * 5]
CASES = [
    pytest.param(code, told, id=f"{page}-{name}", marks=marks)
    for (page, code, told), name, marks in zip(EXAMPLES, IDS, MARKS, strict=True)
]


@pytest.mark.parametrize(("code", "told"), CASES)
def test_code_runs_and_prints_what_the_page_says(code, told, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == told
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


def test_every_block_of_python_is_followed_by_what_it_prints():
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert len(re.findall("```python", text)) == len(EXAMPLE.findall(text)), path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_files_and_sections_that_a_page_links_to_exist(path):
    text = path.read_text(encoding="utf-8")
    for name, _, section in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", text):
        if name.startswith("http"):
            continue
        there = path.parent / name if name else path
        assert there.exists(), name
        if section:
            titles = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert section in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, section
    for name in re.findall(r"`([\w./]+/[\w.]+\.(?:py|ipynb|md|toml|json))`", text):
        assert (ROOT / name).exists() or re.search("NAME|TOPIC", name), name


def _there(dotted):
    """Whether a name is found from `jaxnet`, or from one of its packages."""
    for root in ("", ".training", ".reports", ".experiments", ".core"):
        found = importlib.import_module(f"jaxnet{root}")
        for part in dotted.split("."):
            found = getattr(found, part, None) or _module(f"{getattr(found, '__name__', '')}.{part}")
            if found is None:
                break
        else:
            return True
    return False


def _module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_functions_that_a_page_names_exist(path):
    modules = "|".join((*jaxnet.__all__, "run_folder"))
    prose = re.sub(r"```python.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for name in re.findall(rf"(?<![\w./-])((?:{modules})\.[a-z_][\w.]*\w)", prose):
        if not re.search(r"\.(py|md|png|html|gz)$", name):
            assert _there(name), name


def test_readme_is_short_and_links_to_every_page_of_docs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 1200
    for path in PAGES[1:]:
        assert f"]({path.relative_to(ROOT).as_posix()})" in text, path


def test_every_package_is_in_the_drawing_of_the_layers():
    drawn = re.search(r"```text\n( __main__.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S).group(1)
    rooms = {
        room for line in drawn.splitlines() for room in re.split(r"/?(?: \| |$)/?", re.split(r"  +", line.strip())[0])
    }
    rooms = {room.rstrip("/") for room in rooms if room}
    modules = {path.stem for path in (ROOT / "jaxnet").glob("*.py")}
    modules |= {path.parent.name for path in (ROOT / "jaxnet").glob("*/__init__.py")}
    assert modules - {"__init__", "_version"} == rooms


def test_the_two_commands_are_those_that_ci_runs():
    blocks = re.findall(r"```bash\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert blocks[0].endswith("pip install . && .venv/bin/jaxnet train")
    assert blocks[1].endswith("pip install -e '.[test]' && .venv/bin/pytest")


def test_nobody_is_told_to_install_what_the_index_calls_jaxnet():
    files = [
        *PAGES,
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


def test_the_questions_of_the_film_are_those_that_the_experiments_ask():
    from jaxnet.experiments.registry import FILM

    rows = dict(
        re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8"), re.M)
    )
    assert {name: rows[name] for name in FILM} == {name: entry.question for name, entry in FILM.items()}
