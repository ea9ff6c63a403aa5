"""The artists of every picture hold the numbers they are said to show."""

import jax
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection

from jaxnet import bang, losses, network, plot, report
from jaxnet.network import Layer


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
    report.png(figure)
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
    figure = plot.seen(
        [np.zeros((50, 40), np.uint8)], mnist.test.images[:1], np.eye(10)[:1], ["a.png"], classes=mnist.classes
    )
    assert [axes.get_title() for axes in figure.axes] == ["a.png", "seen", "0, 100 %"]


def test_a_report_escapes_what_it_is_given():
    page = report.page("<b>", "a & b", {"x": "1 < 2"}, {}, {"t": report.table(("n",), [("<i>",), (0.5,)])})
    assert "&lt;b&gt;" in page
    assert "1 &lt; 2" in page
    assert "<i>" not in page
    assert '<td class="number">0.5</td>' in page
