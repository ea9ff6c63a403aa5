"""The ten notebooks: what is stored is what was run, they are short, they end with exercises, and they run."""

import ast
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from jaxnet import exercises
from jaxnet.exercises.checking import EXERCISES

FOLDER = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)

spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == kind]


def functions(source):
    tree = ast.parse(TransformerManager().transform_cell(source))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def test_there_are_ten_in_order_and_the_table_names_each():
    assert [path.name[:3] for path in PATHS] == [f"{number:02}_" for number in range(1, 11)]
    table = (FOLDER / "README.md").read_text()
    assert re.findall(r"\[`(\S+\.ipynb)`\]\(\1\)", table) == [path.name for path in PATHS]
    for path in PATHS:
        asked = re.search(r"\*\*The question\.\*\* (.*)\n", cells(path, "markdown")[0].source).group(1)
        assert asked in table


def test_together_they_are_small():
    assert sum(path.stat().st_size for path in PATHS) <= 6_000_000


@EACH
def test_the_code_is_what_was_run(path):
    notebook = nbformat.read(path, 4)
    assert notebook.metadata["ran"] == run.fingerprint(notebook), f"run it again: notebooks/run.py {path.stem[:2]}"
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert not any(cell.metadata for cell in notebook.cells)


def test_a_changed_cell_changes_the_fingerprint():
    notebook = nbformat.read(PATHS[0], 4)
    before = run.fingerprint(notebook)
    next(cell for cell in notebook.cells if cell.cell_type == "markdown").source += "more words"
    assert run.fingerprint(notebook) == before
    next(cell for cell in notebook.cells if cell.cell_type == "code").source += " "
    assert run.fingerprint(notebook) != before


@EACH
def test_no_output_is_an_error_or_a_warning(path):
    outputs = [output for cell in cells(path, "code") for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []


@EACH
def test_cells_fit_on_a_projector(path):
    for cell in cells(path, "code"):
        lines = cell.source.splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 100
        assert not [f.name for f in functions(cell.source) if f.end_lineno - f.lineno + 1 > 10]


def test_a_long_function_would_be_noticed():
    source = "%matplotlib inline\ndef long():\n" + "    x = 1\n" * 10
    assert [f.end_lineno - f.lineno + 1 for f in functions(source)] == [11]


@EACH
def test_it_runs_where_jaxnet_is_installed_and_installs_it_elsewhere(path):
    first, *others = (cell.source for cell in cells(path, "code"))
    assert 'if not (find_spec("jaxnet") and find_spec("jaxnet.exercises"))' in first
    assert "    %pip install {clone}\n" in first
    assert not any("%pip" in source or "!" in re.sub(r"!=", "", source) for source in others)


@EACH
def test_it_ends_with_three_exercises_that_are_tried_and_not_yet_right(path):
    whole, last = nbformat.read(path, 4), cells(path, "code")[-3:]
    words = "".join(cell.source for cell in whole.cells if cell.cell_type == "markdown")
    names = [re.search(r'exercises\.check\("(\S+)"', cell.source).group(1) for cell in last]
    assert len(set(names)) == 3
    for name, cell in zip(names, last, strict=True):
        assert name.startswith(path.stem[:2])
        assert exercises.question(name) in words
        told = ast.literal_eval(cell.outputs[-1]["data"]["text/plain"])
        assert told in [f"Not yet: {slip.reason}" for slip in EXERCISES[name].slips]


@pytest.mark.parametrize(
    ("code", "seconds", "told"), [("1 / 0", 60, "ZeroDivisionError"), ("1", 0, "more than 0"), ("1", 60, "")]
)
def test_a_notebook_that_fails_or_is_slow_is_named_and_left_as_it_was(
    code, seconds, told, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "01_tried.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
    before = path.read_bytes()
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "SECONDS", seconds)
    assert run.main([]) == bool(told)
    said = capsys.readouterr()
    assert "01_tried: " in (said.err if told else said.out)
    assert told in said.err
    assert (path.read_bytes() == before) == bool(told)
    assert run.main(["02"]) == 1


@pytest.mark.slow
@EACH
def test_it_runs(path):
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
