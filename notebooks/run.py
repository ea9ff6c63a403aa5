"""Run notebooks again, from top to bottom in a fresh process each, and keep their output.

python notebooks/run.py             all of them
python notebooks/run.py 01 07       those whose names begin so

A notebook that fails, or takes more than 60 seconds, is left as it was, and the exit status is 1.
"""

import hashlib
import json
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

FOLDER = Path(__file__).parent
SECONDS = 60


def fingerprint(notebook: nbformat.NotebookNode) -> str:
    """The sha256 of the code cells, in their order: what was run."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def execute(path: Path) -> float:
    """Run one notebook and write it back with its output; returns the seconds it took."""
    notebook = nbformat.read(path, 4)
    begun = time.perf_counter()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    seconds = time.perf_counter() - begun
    if seconds > SECONDS:
        raise TimeoutError(f"took {seconds:.0f} s, more than {SECONDS}")
    for cell in notebook.cells:
        cell.metadata.clear()  # times of execution are nobody's business
    notebook.metadata.pop("language_info", None)  # the version of the machine that happened to run it
    notebook.metadata["ran"] = fingerprint(notebook)
    nbformat.write(notebook, path)
    return seconds


def main(names: list[str]) -> int:
    """Run the notebooks that are named, all of them without names; returns the exit status."""
    paths = [path for path in sorted(FOLDER.glob("[0-9][0-9]_*.ipynb")) if path.name.startswith(tuple(names or [""]))]
    if not paths:
        print(f"no notebook begins with {' or '.join(names)}", file=sys.stderr)
        return 1
    status = 0
    for path in paths:
        try:
            print(f"{path.stem}: {execute(path):.1f} s, {path.stat().st_size / 1e6:.2f} MB", flush=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, TimeoutError) as error:
            print(f"{path.stem}: {str(error).strip()}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
