"""What a terminal shows while a command works is whole at 80 columns, and its clocks say what was measured."""

import io

import pytest
from rich.console import Console

from jaxnet.cli import progress
from jaxnet.training.progress import Progress

SIGNALS = {
    f"layer {i}, {name}": {
        "gradient": 1.234e-3, "ratio": 3.2e-5, "share": 0.83, "clarity": 0.12, "dead": 1234.0, "never_lit": 11776.0,
    }
    for i in (1, 2, 3)
    for name in ("weights", "biases")
}  # fmt: skip


def shown(width):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(progress.signals_table(SIGNALS, width=width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_number_of_a_watched_run_is_whole(width):
    text = shown(width)
    for name in SIGNALS:
        line = next(line for line in text.splitlines() if line.startswith(name))
        for number in ("1.23e-03", "3.2e-05", "83.0 %", "0.12", "1,234", "11,776"):
            assert number in line
    assert "…" not in text
    for line in progress.EXPLAINED.splitlines():
        assert line in text, "every explanation stands on one line"
    assert "dead: parameters that once had a gradient" in text
    assert "never lit: parameters that had no gradient in any measurement so far" in " ".join(text.split())


def test_arrays_are_named_as_everywhere_else():
    console = Console(width=120, file=io.StringIO())
    console.print(progress.signals_table({"0/weights": {"gradient": 1.0}}))
    assert "layer 1, weights" in console.file.getvalue()


def test_what_is_left_comes_from_what_was_measured():
    begun = progress.clock(None, Progress("training", 100, 1000), 5.0)
    later = progress.clock(begun, Progress("training", 400, 1000), 15.0)
    assert progress.time_words(later, 1000, 15.0) == "for 10 s, about 20 s left"
    assert progress.time_words(later, 1000, 25.0) == "for 20 s, about 10 s left"
    assert progress.time_words(later, 1000, 95.0) == "for 1:30"  # never "0 s left" while it goes on
    done = progress.clock(later, Progress("training", 1000, 1000), 40.0)
    assert progress.time_words(done, 1000, 50.0) == "for 45 s"


def test_a_new_phase_and_a_new_walk_start_a_new_clock():
    first = progress.clock(None, Progress("training", 0, 1000), 0.0)
    first = progress.clock(first, Progress("training", 1000, 1000), 10.0)
    assert progress.clock(first, Progress("drawing"), 11.0).since == 11.0
    assert progress.clock(first, Progress("training", 10, 1000), 12.0) == progress.Clock("training", 12.0, 10, 10, 12.0)


def test_a_phase_without_steps_shows_no_percents_even_after_one_with():
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    with progress.progress_bar(console) as on_progress:
        on_progress(Progress("compiling", 0, 2))
        on_progress(Progress("training", 1, 2, cost=0.1, accuracy=0.9, examples_per_second=1e5))
        on_progress(Progress("training", 2, 2))
        on_progress(Progress("drawing"))
    assert " 0 %" not in console.file.getvalue()
    assert "100 %" not in console.file.getvalue()
    last = next(
        line for line in reversed(console.file.getvalue().splitlines()) if "drawing" in line or "training" in line
    )
    assert "drawing" in last
    assert "%" not in last
    assert "for 0 s" in last


def test_a_report_is_an_address_to_click_on_a_terminal_and_a_path_elsewhere(tmp_path):
    path = tmp_path / "a folder" / "report.html"
    terminal = Console(width=40, file=io.StringIO(), force_terminal=True)
    progress.show_file(path, terminal)
    text = terminal.file.getvalue()
    assert "]8;id=" in text
    assert f";{path.as_uri()}" in text
    assert text.startswith("open ")
    assert len(text.splitlines()) == 1, "an address is never broken"
    pipe = Console(file=io.StringIO(), force_terminal=False)
    progress.show_file(path, pipe)
    assert pipe.file.getvalue() == f"{path}\n"
