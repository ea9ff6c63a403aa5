"""An experiment is computed once, goes on after a kill, refuses other settings' parts, and is written with its verdict."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jaxnet import plot
from jaxnet.cli import _reproduce as typed
from jaxnet.commands import _reproduce
from jaxnet.core.json_types import as_tuples
from jaxnet.experiments import cache
from jaxnet.experiments.findings import Answer, Experiment, mean
from jaxnet.experiments.registry import EXPERIMENTS, Entry
from jaxnet.plot.style import Picture


class Wanted(NamedTuple):
    numbers: tuple[int, ...]
    fail: bool = False


calls: list[str] = []


def measure(settings, dataset, *, keep, on_progress):
    def first():
        calls.append("first")
        return {"values": np.asarray(settings.numbers, float)}

    def second():
        calls.append("second")
        if settings.fail and len(calls) < 3:
            raise KeyboardInterrupt
        return {"more": np.ones(2)}

    return keep("first", first) | keep("second", second)


def judge(settings, arrays):
    found = mean("value | of all", arrays["values"], published="2", least=2.0)
    return Answer(f"{found.verdict}.", (found,))


def draw(arrays):
    return {"dots": Picture(plot.seeds({"values": arrays["values"]}), "Every dot is a number.")}


@pytest.fixture(autouse=True)
def _one_small_experiment(monkeypatch):
    calls.clear()
    asked = Experiment(Wanted((1, 2, 3)), Wanted((1, 2, 3), True), measure, judge, lambda s: "three numbers", (1, 2))
    monkeypatch.setitem(EXPERIMENTS, "numbers", Entry("numbers", "Are they two?", "The film says two.", asked, draw))


def test_an_experiment_writes_its_verdict_pictures_and_report(tmp_path):
    done = _reproduce.reproduce("numbers", out=tmp_path / "n")
    assert done.answer.words == "reproduced."
    assert {path.name for path in done.folder.iterdir()} == _reproduce.WRITTEN
    kept = json.loads((done.folder / "answer.json").read_text())
    assert kept["findings"][0]["value"] == 2.0
    page = (done.folder / "report.html").read_text()
    assert "Are they two?" in page
    assert "reproduced" in page
    assert "data:image/webp" in page


def test_a_killed_experiment_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _reproduce.reproduce("numbers", full=True, out=tmp_path / "n")
    assert calls == ["first", "second"]
    done = _reproduce.reproduce("numbers", full=True, out=tmp_path / "n")
    assert calls == ["first", "second", "second"]  # the first part was found
    assert done.found == ("first",)


def test_parts_of_other_settings_are_refused_and_computed_again_on_demand(tmp_path):
    _reproduce.reproduce("numbers", out=tmp_path / "n")
    with pytest.raises(FileExistsError, match=r"other settings.*--again"):
        _reproduce.reproduce("numbers", settings=Wanted((5, 6)), out=tmp_path / "n")
    done = _reproduce.reproduce("numbers", settings=Wanted((5, 6)), out=tmp_path / "n", again=True)
    assert done.answer.findings[0].value == 5.5


def test_a_folder_with_something_else_in_it_is_never_replaced(tmp_path):
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "thesis.txt").write_text("years of work")
    for again in (False, True):
        with pytest.raises(FileExistsError, match="choose another --out"):
            _reproduce.reproduce("numbers", out=tmp_path / "n", again=again)
    assert (tmp_path / "n" / "thesis.txt").read_text() == "years of work"


def test_kept_settings_repeat_an_experiment_and_wrong_ones_are_refused(tmp_path):
    done = _reproduce.reproduce("numbers", out=tmp_path / "n")
    again = _reproduce.settings_from("numbers", done.folder / cache.TOLD)
    assert again == Wanted((1, 2, 3))
    (tmp_path / "wrong.json").write_text('{"epochs": 3}')
    with pytest.raises(ValueError, match="holds no settings of numbers"):
        _reproduce.settings_from("numbers", tmp_path / "wrong.json")
    with pytest.raises(ValueError, match=r"choose from .*numbers"):
        _reproduce.reproduce("number")


def test_settings_of_another_experiment_or_with_a_field_too_few_are_refused(tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"experiment": "minima", "settings": {"numbers": [1], "fail": False}}))
    with pytest.raises(ValueError, match="the file belongs to the experiment minima"):
        _reproduce.settings_from("numbers", other)
    other.write_text(json.dumps({"settings": {"numbers": [1]}}))
    with pytest.raises(
        ValueError, match="the file has the fields numbers, but the experiment needs the fields numbers, fail"
    ):
        _reproduce.settings_from("numbers", other)


def test_a_file_of_settings_names_its_experiment(tmp_path):
    _reproduce.reproduce("numbers", out=tmp_path / "n")
    assert _reproduce.experiment_of(tmp_path / "n" / "experiment.json") == "numbers"
    (tmp_path / "other.json").write_text('{"settings": {"numbers": [1]}}')
    with pytest.raises(ValueError, match="does not name its experiment"):
        _reproduce.experiment_of(tmp_path / "other.json")
    (tmp_path / "strange.json").write_text('{"experiment": "none"}')
    with pytest.raises(ValueError, match="no experiment 'none'"):
        _reproduce.experiment_of(tmp_path / "strange.json")


def test_the_command_takes_the_experiment_from_the_settings(tmp_path, capsys):
    _reproduce.reproduce("numbers", out=tmp_path / "n")
    capsys.readouterr()
    typed.reproduce(settings=tmp_path / "n" / "experiment.json", out=tmp_path / "own")
    assert capsys.readouterr().out.startswith("\nnumbers: reproduced.")


def test_the_film_prints_a_line_a_question_and_every_number_on_demand(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_reproduce, "FILM", {"numbers": EXPERIMENTS["numbers"]})
    typed.film(quick=True, out=tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "numbers: reproduced.", str(tmp_path / "ledger.md"), str(tmp_path / "film.html"),
    ]  # fmt: skip
    typed.film(quick=True, out=tmp_path, verbose=True)
    assert "value | of all: 2" in capsys.readouterr().out


def test_what_the_whole_film_still_takes_is_measured(tmp_path, monkeypatch):
    asked = ["a", "b", "c"]
    expected = {"a": 10, "b": 20, "c": 30}
    assert _reproduce._left(expected, {}, asked, 5.0) is None
    assert _reproduce._left(expected, {"a": 20.0}, asked[1:], 10.0) == 2 * 20 - 10 + 2 * 30
    assert _reproduce._left(expected, {"a": 20.0}, asked[1:], 100.0) == 2 * 30
    told = []
    monkeypatch.setitem(EXPERIMENTS, "again", EXPERIMENTS["numbers"]._replace(name="again"))
    _reproduce.film(quick=True, names=["numbers", "again"], out=tmp_path, on_progress=told.append)
    assert told[0].phase == "1 of 2, numbers: loading"
    assert told[0].left is None
    assert told[-1].phase.startswith("2 of 2, again: ")
    assert told[-1].left is not None


def test_the_help_says_how_long_each_experiment_takes(monkeypatch):
    monkeypatch.setattr(typed.reproduce, "__doc__", typed.reproduce.__doc__)
    typed.add_times()
    for name, one in EXPERIMENTS.items():
        quick, full = map(_reproduce.duration, one.experiment.seconds)
        assert re.search(rf"- {name} +quick {quick}, --full {full}\n", typed.reproduce.__doc__)


def test_a_kill_in_the_middle_of_writing_stands_in_nobodys_way(tmp_path, monkeypatch):
    with monkeypatch.context() as kill:
        kill.setattr(Path, "replace", lambda path, to: (_ for _ in ()).throw(KeyboardInterrupt))
        kill.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        with pytest.raises(KeyboardInterrupt):
            _reproduce.reproduce("numbers", out=tmp_path / "n")
    assert len(list((tmp_path / "n").iterdir())) == 1
    _reproduce.reproduce("numbers", out=tmp_path / "n")
    _reproduce.reproduce("numbers", out=tmp_path / "n", again=True)


def test_a_kill_before_the_first_part_leaves_a_folder_that_goes_on(tmp_path):
    done = _reproduce.reproduce("numbers", out=tmp_path / "n")
    told = (done.folder / cache.TOLD).read_bytes()
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / cache.TOLD).write_bytes(told)
    assert _reproduce.reproduce("numbers", out=tmp_path / "m").answer == done.answer


@pytest.mark.parametrize("left", [b"half", b""])
def test_a_damaged_part_is_named_with_the_remedy(tmp_path, left):
    _reproduce.reproduce("numbers", out=tmp_path / "n")
    (tmp_path / "n" / "parts" / "first.npz").write_bytes(left)
    with pytest.raises(ValueError, match=r"first\.npz cannot be read .* delete the file"):
        _reproduce.reproduce("numbers", out=tmp_path / "n")


def test_the_film_is_one_report_and_a_ledger_with_every_number(tmp_path):
    done = _reproduce.film(quick=True, names=["numbers"], out=tmp_path / "film")
    ledger = done.ledger.read_text()
    assert "| `numbers` | value \\| of all | 2 |" in ledger
    assert "| reproduced |" in ledger
    assert '<section id="numbers">' in done.report.read_text()


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_says_what_it_asks_and_can_be_written_to_json(name):
    one = EXPERIMENTS[name]
    assert one.name == name
    assert one.question.endswith("?")
    for chosen in (one.experiment.quick, one.experiment.full):
        assert one.experiment.plan(chosen)
        back = json.loads(json.dumps(chosen._asdict()))
        assert type(chosen)(**{field: as_tuples(value) for field, value in back.items()}) == chosen
    assert one.experiment.quick != one.experiment.full
