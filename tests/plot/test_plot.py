"""The artists of every picture hold the numbers they are said to show."""

import ast
import re
from pathlib import Path

import jax
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.font_manager import findfont

from jaxnet import bang, losses, network, plot
from jaxnet.core.network import Layer
from jaxnet.core.types import Batch
from jaxnet.plot import style
from jaxnet.reports import html, publishing


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0), biases=network.standard_normal)


def artists(figure, kind):
    return [artist for axes in figure.axes for artist in axes.findobj(kind)]


def test_every_weight_is_an_edge_and_every_bias_a_ring(params):
    figure = plot.edges(params)
    (lines,) = artists(figure, LineCollection)[:1]
    rings = artists(figure, EllipseCollection)[-1]
    weights = np.concatenate([np.ravel(layer.weights) for layer in params])
    biases = np.concatenate([layer.biases for layer in params])
    assert len(lines.get_array()) == len(lines.get_segments()) == 12_960
    assert len(rings.get_array()) == 42
    np.testing.assert_array_equal(np.sort(lines.get_array()), np.sort(weights.astype(np.float64)))
    np.testing.assert_array_equal(np.sort(rings.get_array()), np.sort(biases.astype(np.float64)))
    assert np.all(np.diff(np.abs(lines.get_array())) >= 0), "the strongest are drawn last"


def test_an_edge_joins_the_neurons_it_belongs_to():
    values = (Layer(np.zeros((3, 2)), np.zeros(3)), Layer(np.zeros((2, 3)), np.zeros(2)))
    values[1].weights[1, 2] = -5.0
    values[0].weights[0, 1] = 3.0
    lines = artists(plot.edges(values), LineCollection)[0]
    (start, stop), (strong_start, strong_stop) = lines.get_segments()[-2:]
    np.testing.assert_array_equal(lines.get_array()[-2:], [3, -5])
    assert start[1] < 0 < stop[1], "from the second input, below, to the first hidden neuron, above"
    assert strong_start[1] < 0
    assert strong_stop[1] < 0
    assert strong_start[0] == stop[0]


@pytest.mark.parametrize("theme", [plot.DARK, plot.LIGHT])
def test_sign_is_color_and_magnitude_is_brightness_and_thickness(theme):
    values = (Layer(np.array([[1.0, -1.0], [0.1, 0.0]]), np.array([0.5, -0.5])),)
    figure = plot.edges(values, theme=theme)
    html.png(figure)
    lines = artists(figure, LineCollection)[0]
    colors, widths = lines.get_edgecolors(), lines.get_linewidths()
    by_value = {value: (color, width) for value, color, width in zip(lines.get_array(), colors, widths, strict=True)}
    np.testing.assert_allclose(by_value[1][0][:3], matplotlib.colors.to_rgb(theme.positive), atol=0.01)
    np.testing.assert_allclose(by_value[-1][0][:3], matplotlib.colors.to_rgb(theme.negative), atol=0.01)
    assert by_value[1][0][3] > by_value[0.1][0][3] > by_value[0][0][3] == pytest.approx(0, abs=0.02)
    assert by_value[1][1] == by_value[-1][1] > by_value[0.1][1]


def test_numbers_that_cannot_be_drawn_are_refused(params):
    with pytest.raises(ValueError, match="NaN or infinite"):
        plot.edges((Layer(np.array([[np.nan]]), np.zeros(1)),))
    with pytest.raises(ValueError, match="400,000 edges are more than the 100,000"):
        plot.edges((Layer(np.zeros((1000, 400)), np.zeros(1000)),))


def test_maps_show_each_neurons_weights_at_their_pixels(params):
    figure = plot.pixel_maps(params[0].weights)
    images = figure.axes[0].images
    assert len(images) == 16
    np.testing.assert_allclose(images[5].get_array(), np.asarray(params[0].weights[5]).reshape(28, 28), rtol=1e-6)
    assert not np.allclose(images[5].get_array(), np.asarray(params[0].weights[5]).reshape(28, 28).T)
    assert images[0].norm.vmax == images[15].norm.vmax
    with pytest.raises(ValueError, match=r"need weights \(neurons, 784\), got \(16, 16\)"):
        plot.pixel_maps(params[1].weights)


def test_bars_have_the_lengths_of_their_shares():
    figure = plot.by_layer({"a": {"x": 0.75, "y": 0.25}, "b": {"x": 0.5, "y": 0.5}})
    widths = sorted(patch.get_width() for patch in figure.axes[0].patches)
    assert widths == [25, 50, 50, 75]


def test_the_ranking_is_in_order_and_colored_by_direction():
    figure = plot.ranking(bang.top({"x": np.array(3.0), "y": np.array(-1.0)}))
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars] == [3, 1]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["nudge x down", "nudge y up"]
    assert bars[0].get_facecolor()[:3] == pytest.approx(matplotlib.colors.to_rgb(plot.DARK.negative))
    assert bars[1].get_facecolor()[:3] == pytest.approx(matplotlib.colors.to_rgb(plot.DARK.positive))


def test_lit_neurons_are_as_bright_as_their_activations(params, mnist):
    lit = network.forward(params, mnist.test.images[0])
    figure = plot.activations(lit, classes=mnist.classes)
    hidden = [np.asarray(c.get_array()) for c in figure.axes[0].collections if c.get_array() is not None]
    for found, layer in zip(hidden[1:], lit[1:], strict=True):
        np.testing.assert_allclose(found, layer, rtol=1e-6)


def test_the_cost_of_one_image_is_split_over_its_outputs(mnist):
    output = np.linspace(0, 0.9, 10)
    figure = plot.cost_of_one(mnist.test.images[0], 7, output, classes=mnist.classes)
    heights = [patch.get_height() for patch in figure.axes[2].patches]
    np.testing.assert_allclose(heights, losses.squared_errors(output.astype(np.float32), 7), rtol=1e-5)
    assert f"{sum(heights):.3g}" in figure.axes[2].get_title()


def test_before_and_after_have_their_own_bars(mnist):
    before, after = np.full((3, 10), 0.5), np.eye(10)[:3]
    figure = plot.digits_read(mnist.test.images[:3], [0, 1, 2], before, after, classes=mnist.classes)
    heights = np.array([patch.get_height() for patch in figure.axes[0].patches]).reshape(3, 2, 10)
    np.testing.assert_allclose(heights[:, 0], before)
    np.testing.assert_allclose(heights[:, 1], after)


def test_the_gallery_names_label_answer_and_confidence(mnist):
    figure = plot.mistakes_gallery(mnist.test.images[:2], [7, 2], [1, 3], [0.9, 0.55], classes=mnist.classes)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["7 → 1  90 %", "2 → 3  55 %"]
    assert len(plot.mistakes_gallery(mnist.test.images[:0], [], [], [], classes=mnist.classes).axes) == 1


def test_the_confusion_matrix_shows_its_counts():
    figure = plot.confusion([[5, 1], [0, 7]], classes=("a", "b"))
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1", "5", "7"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), [[0, 1], [0, 0]])


def test_the_history_draws_every_step_and_every_evaluation():
    steps = {"step": np.arange(1, 251), "cost": np.linspace(2, 1, 250, dtype=np.float32)}
    evaluations = {"step": np.array([125, 250]), "cost": np.array([1.5, 1.0]), "accuracy": np.array([0.5, 0.75])}
    left, right = plot.history(steps, evaluations, judged_by="10 held-out images").axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), steps["cost"])
    np.testing.assert_allclose(left.lines[1].get_ydata()[0], steps["cost"][:2].mean())
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [50, 25])


def test_what_predict_saw_is_a_row_a_picture(mnist):
    figure = plot.network_inputs(
        [np.zeros((50, 40), np.uint8)], mnist.test.images[:1], np.eye(10)[:1], ["a.png"], classes=mnist.classes
    )
    assert [axes.get_title() for axes in figure.axes] == ["a.png", "network's input", "0, 100 %"]


def test_a_report_escapes_what_it_is_given():
    page = html.page("<b>", "a & b", {"x": "1 < 2"}, {}, {"t": html.table(("n",), [("<i>",), (0.5,)])})
    assert "&lt;b&gt;" in page
    assert "1 &lt; 2" in page
    assert "<i>" not in page
    assert '<td class="number">0.5</td>' in page
    assert '<td class="number">∞</td>' in html.table(("n",), [(np.float32("inf"),)])


@pytest.fixture(scope="module")
def worth(hundred):
    """A small network's nudges, with one parameter whose gradient is zero."""
    tiny = Batch(np.array(hundred.images[:30, 6:22:2, 6:22:2]), np.asarray(hundred.labels[:30]))
    tiny.images[:, 0, 0] = 0
    cost = losses.average(network.apply, losses.squared_error)
    return bang.worth(cost)(network.init(jax.random.key(0), [64, 4, 10]), tiny)


def test_every_nudge_is_a_dot_at_its_prediction_and_its_measurement(worth):
    figure = plot.predicted_measured(worth)
    assert len(figure.axes) == 4
    alive = worth.gradient != 0
    for axes, predicted, measured in zip(figure.axes, worth.predicted, worth.measured, strict=True):
        off, true, rose = (np.asarray(dots.get_offsets()) for dots in axes.collections[:3])
        assert len(off) + len(true) + len(rose) == alive.sum() < len(alive)
        drawn = np.sort(np.concatenate([off, true]), axis=0)
        np.testing.assert_allclose(drawn[:, 0], np.sort(predicted[alive & (measured > 0)]))
        np.testing.assert_allclose(drawn[:, 1], np.sort(measured[alive & (measured > 0)]))
        assert (np.abs(true[:, 1] / true[:, 0] - 1) <= 0.1 + 1e-9).all()
        assert not (np.abs(off[:, 1] / off[:, 0] - 1) <= 0.1 - 1e-9).any()
        np.testing.assert_allclose(np.sort(rose[:, 0]), np.sort(predicted[alive & (measured <= 0)]))


def test_the_budget_curve_and_its_measured_steps():
    curve = bang.lorenz(np.array([6.0, 3.0, 1.0, 0.0]))
    spent = bang.PartialStep(np.array([0.25, 1.0]), np.array([1, 4]), np.array([6.0, 10.0]), np.array([5.5, 9.0]))
    axes = plot.partial_step(curve, spent).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(25, 60), (50, 90), (75, 100), (100, 100)])
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [(25, 55), (100, 90)])


def test_both_readings_of_three_to_one():
    left, right = plot.two_readings((3, 1)).axes
    assert [bar.get_height() for bar in right.patches] == [3, 1]
    texts = [text.get_text() for text in right.texts]
    assert texts == ["3\n90 % of the fall in a small step", "1\n10 % of the fall in a small step"]
    arrow = left.texts[0]
    assert (arrow.xy, tuple(arrow.xyann)) == ((3, 1), (0, 0))
    with pytest.raises(ValueError, match="two components"):
        plot.two_readings((0, 0))


def test_credit_is_added_up_by_array_and_by_label():
    by_leaf, by_label = np.array([[1.0, 0.5], [2.0, -0.5]]), np.array([[0.5, 1.0], [1.5, 0.0]])
    ledger = bang.LossChangeAllocation(None, ("a", "b"), by_leaf, by_label, np.array([5.0, 3.5, 2.0]), 0.0)
    left, right = plot.loss_change_allocation(ledger, steps=[10, 20]).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert lines["the fall of the cost"] == [[10, 1.5], [20, 3.0]]
    assert left.get_xscale() == right.get_xscale() == "log"
    assert lines["a  +3"] == [[10, 1], [20, 3]]
    assert lines["b  +0"] == [[10, 0.5], [20, 0]]
    assert right.lines[1].get_ydata().tolist() == [1, 1]
    with pytest.raises(ValueError, match="a step for each of the 2 segments, got 3"):
        plot.loss_change_allocation(ledger, steps=[1, 2, 3])


def test_names_lie_on_the_ends_of_their_lines():
    by_leaf, by_label = np.array([[1.0, 0.5], [2.0, -0.5]]), np.tile([[0.5, 0.50001, 0.1]], (2, 1))
    ledger = bang.LossChangeAllocation(None, ("0/weights", "b"), by_leaf, by_label, np.array([5.0, 3.5, 2.0]), 0.0)
    left, right = plot.loss_change_allocation(ledger, steps=[10, 20], classes=("cat", "$5", "\uffff")).axes
    ends = {text.get_text(): text.xy[1] for text in left.texts}
    assert ends == {"fall of the cost 3": 3.0, "layer 1, weights  +3": 3.0, "b  +0": 0.0}
    assert {text.get_text(): text.xy for text in right.texts}.keys() == {"cat", r"\$5", "#2"}
    places = sorted(text.get_position()[1] for text in right.texts)
    low, high = right.get_ylim()
    assert min(np.diff(places)) > 0.04 * (high - low), "no name stands on another one"


def test_pictures_of_many_classes_stay_small():
    many = 600
    classes = [f"class {i}" for i in range(many)]
    counts = np.eye(many, dtype=int)
    counts[400, 3] = 9
    figure = plot.confusion(counts, classes=classes)
    assert max(figure.get_size_inches()) < 20
    axes = figure.axes[0]
    assert {"class 3", "class 400"} <= {text.get_text() for text in axes.get_yticklabels()}
    assert len(axes.get_yticklabels()) == 40
    images, outputs = np.zeros((2, 8, 8), np.uint8), np.linspace(0, 1, 2 * many).reshape(2, many)
    figure = plot.digits_read(images, [5, 6], outputs, outputs, classes=classes)
    assert len(figure.axes[0].patches) == 4 * 40
    figure = plot.cost_of_one(images[0], 5, outputs[0], classes=classes)
    assert (
        f"sum {(outputs[0] ** 2).sum() - outputs[0, 5] ** 2 + (1 - outputs[0, 5]) ** 2:.3g}"
        in figure.axes[2].get_title()
    )
    figure = plot.gradient_by_label(np.ones((1, many)), ["w"], classes=classes)
    assert sum(patch.get_width() for patch in figure.axes[0].patches) == pytest.approx(many)
    assert len(figure.axes[0].patches) == 41


def test_captions_name_only_colors_that_a_light_page_keeps():
    # A light page turns the pictures over and keeps their hues: blue and orange stay, yellow becomes brown, dark becomes light.
    turned = re.compile(r"\b(yellow|dark|darker|bright|brighter|white|black|green|pink|pale)\b", re.IGNORECASE)
    root = Path(plot.__file__).parents[1]
    texts = [file.read_text(encoding="utf-8") for file in root.rglob("*.py")]
    nodes = [node for text in texts if "Picture(" in text for node in ast.walk(ast.parse(text))]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    said = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and " " in node.value
        and id(node) not in docstrings
    }
    assert len(said) > 200
    assert [words for words in said if turned.search(words)] == ["The first picture on white, for print."]


def test_a_letter_that_only_another_font_has_is_drawn_with_it(monkeypatch):
    own, other = (style._letters_in(findfont(name)) for name in ("DejaVu Sans", "STIXGeneral"))
    letter = chr(min(other - own))
    monkeypatch.setattr(style, "FALLBACKS", ("no such font", "STIXGeneral"))
    assert style.legible(["a", letter]) == ["a", letter]
    figure = plot.confusion(np.eye(2, dtype=int), classes=["a", letter])
    label = figure.axes[0].get_xticklabels()[1]
    assert label.get_text() == letter
    assert "STIXGeneral" in label.get_fontfamily()
    html.png(figure)  # a box in the letter's place would be a warning, and so an error
    monkeypatch.setattr(style, "FALLBACKS", ())
    assert style.legible(["a", letter]) == ["a", "#1"]
    assert style.lettering(["a", letter]) == {}
    assert "Classes" in publishing._classes(["a", letter]), "the page says which class has which number"


def test_arabic_is_drawn_only_where_its_letters_are_joined(monkeypatch):
    monkeypatch.setattr(style, "SHAPES_TEXT", True)
    assert style.legible(["قطة"]) == ["\u200eقطة\u200e"], "marks keep the order of the words around it"
    monkeypatch.setattr(style, "SHAPES_TEXT", False)
    assert style.legible(["cat", "قطة"]) == ["cat", "#1"]


def test_any_name_of_a_class_can_be_drawn(mnist):
    names = ["$\\alpha$", "$\\mathds{R}$", "$1_", "$", "$$", "一", "猫", "قطة", "émigré", "क", "😀", "\uffff"]
    outputs = np.eye(12)[:2]
    images, labels = mnist.test.images[:2], np.array([0, 1])
    figures = (
        plot.confusion(np.eye(12, dtype=int), classes=names),
        plot.digits_read(images, labels, outputs, outputs, classes=names),
        plot.cost_of_one(images[0], 0, outputs[0], classes=names),
        plot.mistakes_gallery(images, labels, labels, [1.0, 1.0], classes=names),
        plot.gradient_by_label(np.ones((1, 12)), ["w"], classes=names),
        *(plot.network_inputs(images, images, outputs, names[i : i + 2], classes=names) for i in range(0, 12, 2)),
    )
    for figure in figures:  # a letter that the font lacks would be a warning, and so an error
        figure.draw_without_rendering()
    shown = [label.get_text().strip("\u200e") for label in figures[0].axes[0].get_xticklabels()]
    for i, (name, label) in enumerate(zip(names, shown, strict=True)):
        assert label in (name, name.replace("$", r"\$"), f"#{i}"), (name, label)


def test_the_tug_of_war_is_as_long_as_its_pulls():
    figure = plot.gradient_by_label([[3.0, -1.0, 0.5], [0.0, -2.0, 0.0]], ["w", "b"], classes=("x", "y", "z"))
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches]
    assert (0, 0, 3) in bars
    assert (0, 3, 0.5) in bars
    assert (0, 0, -1) in bars
    assert (1, 0, -2) in bars
    assert figure.axes[0].collections[0].get_offsets()[:, 0].tolist() == [2.5, -2]
    with pytest.raises(ValueError, match=r"pulls must be \(2 parameters, 3 labels\), got \(1, 3\)"):
        plot.gradient_by_label([[1, 2, 3]], ["w", "b"], classes=("x", "y", "z"))


def test_signals_are_lines_of_their_means():
    columns = {"step": np.arange(1, 401), "ratio/a": np.full(400, 2.0), "ratio/b": np.arange(400) + 1.0}
    axes = plot.signals(columns, ["a", "b"]).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 2)
    np.testing.assert_allclose(axes.lines[1].get_ydata()[:2], [1.5, 3.5])
    with pytest.raises(ValueError, match="expected columns such as gradient/c"):
        plot.signals(columns, ["c"])


def test_every_frame_of_the_film_holds_its_own_values_where_they_belong(params):
    later = jax.tree.map(lambda leaf: np.asarray(leaf)[::-1] * 0.5, params)
    animation = plot.animate([params, later], [0, 10], [2.0, 1.0])
    axes = animation._fig.axes[0]
    lines, rings = axes.findobj(LineCollection)[0], axes.findobj(EllipseCollection)[-1]
    still = plot.edges(later)
    expected = artists(still, LineCollection)[0]
    animation._func(1)
    np.testing.assert_allclose(lines.get_array(), expected.get_array())
    np.testing.assert_allclose(np.array(lines.get_segments()), np.array(expected.get_segments()))
    np.testing.assert_allclose(lines.get_linewidths(), expected.get_linewidths())
    np.testing.assert_allclose(rings.get_offsets(), artists(still, EllipseCollection)[-1].get_offsets())
    assert "step 10" in animation._fig.get_suptitle()
    animation._func(0)
    np.testing.assert_allclose(lines.get_array(), artists(plot.edges(params), LineCollection)[0].get_array())
    animation._draw_was_started = True
    with pytest.raises(ValueError, match="2 frames need as many steps and costs, got 1 steps and 2 costs"):
        plot.animate([params, later], [0], [1.0, 2.0])


def test_images_stand_below_their_captions(mnist):
    axes = plot.captioned(mnist.test.images[:3], ["a", "b", "c"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    np.testing.assert_array_equal(axes.images[1].get_array(), mnist.test.images[1])
