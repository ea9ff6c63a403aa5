"""The scripts in `benchmarks/` import each other without a cycle, and nothing else imports them."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = {path.stem: path for path in (ROOT / "benchmarks").glob("*.py")}


def imported(path):
    """The first names of all modules that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def order(files):
    """The files in an order in which every file comes after the files that it imports."""
    graph = {name: {one for one in imported(path) if one in files} for name, path in files.items()}
    return list(graphlib.TopologicalSorter(graph).static_order())


def test_benchmarks_import_each_other_without_a_cycle():
    ordered = order(SCRIPTS)
    assert set(ordered) == set(SCRIPTS)
    assert ordered.index("contenders") < ordered.index("frameworks") < ordered.index("contender")
    assert ordered.index("race") < ordered.index("many") < ordered.index("growth")


def test_a_cycle_would_be_noticed(tmp_path):
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.py").write_text(f"def f():\n    from {other} import f\n")
    with pytest.raises(graphlib.CycleError):
        order({path.stem: path for path in tmp_path.glob("*.py")})


def test_the_package_imports_neither_benchmarks_nor_tests():
    tests = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    for path in (ROOT / "jaxnet").rglob("*.py"):
        # Some scripts have the names of packages that are imported for other reasons: only the folders count here.
        assert not set(imported(path)) & {"benchmarks", "tests", "conftest", "contenders"}, path
        assert not {name for name in imported(path) if name.startswith("test_")} & tests, path
