"""The measure of structure knows random maps, blobs and edges apart, and wrong versions of it do not."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from jaxnet.analysis import spatial
from jaxnet.experiments.first_layer import controls as known

WHOLE = np.ones((28, 28), bool)
SMALL = np.ones((12, 12), bool)


def randoms(networks, side=12, neurons=4, seed=0):
    return np.random.default_rng(seed).standard_normal((networks, neurons, side, side)).astype(np.float32)


def by_hand(image, mask):
    """Moran's I by its definition, in a double loop over pixels."""
    places = np.argwhere(mask)
    centered = {tuple(place): image[tuple(place)] - image[mask].mean() for place in places}
    total, pairs = 0.0, 0
    for (row, column), value in centered.items():
        for neighbor in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if neighbor in centered:
                total, pairs = total + value * centered[neighbor], pairs + 1
    return len(places) / pairs * total / sum(value**2 for value in centered.values())


def test_moran_is_its_definition_on_a_mask_that_is_no_rectangle():
    maps, mask = randoms(1, 9)[0], np.random.default_rng(5).random((9, 9)) > 0.3
    np.testing.assert_allclose(
        spatial.moran(maps, mask), [by_hand(image.astype(float), mask) for image in maps], atol=1e-5
    )


def test_moran_has_the_right_sign():
    slope = np.add.outer(np.arange(12.0), np.arange(12.0))
    board = (np.indices((12, 12)).sum(0) % 2).astype(float)
    smooth, rough = np.asarray(spatial.moran(np.stack([slope, board]), SMALL))
    assert smooth > 0.85
    assert rough == pytest.approx(-1, abs=1e-5)
    assert not -smooth > 0.85, "a flipped sign would call a checkerboard smooth"


def test_a_map_without_variation_has_no_structure():
    flat = np.full((1, 12, 12), 3.0, np.float32)
    assert float(spatial.moran(flat, SMALL)[0]) == pytest.approx(0, abs=1e-6)
    assert spatial.best_edges(flat, SMALL)[1][0] == pytest.approx(0, abs=1e-6)


def test_edges_are_orthonormal_and_stay_within_the_mask():
    mask = np.random.default_rng(5).random((12, 12)) > 0.2
    bank = spatial.edge_bank(mask)
    flat = bank.bases.reshape(len(bank.bases), 2, -1)
    np.testing.assert_allclose(flat @ np.swapaxes(flat, 1, 2), np.tile(np.eye(2), (len(flat), 1, 1)), atol=1e-5)
    assert not bank.bases[:, :, ~mask].any()
    np.testing.assert_allclose(flat.sum(-1), 0, atol=1e-5)


@pytest.mark.parametrize("direction", [0, 30, 60, 90, 120, 150])
def test_the_best_edge_has_the_direction_of_a_planted_one(direction):
    rows, columns = np.indices((28, 28)) - 13.5
    angle = np.deg2rad(direction)
    step = np.sign(columns * np.sin(angle) + rows * np.cos(angle)) * (np.hypot(rows, columns) < 8)
    found = lambda image: spatial.edge_bank(WHOLE).orientation[spatial.best_edges(image[None], WHOLE)[2][0]]
    assert found(step) == direction
    assert found(step.T) == (90 - direction) % 180 != direction, "transposed maps would be told by their direction"


def test_the_best_edge_explains_what_it_says():
    maps = randoms(1, 12)[0].astype(np.float64)
    drawn, shares, which = spatial.best_edges(maps, SMALL)
    centered = maps - maps.mean((1, 2), keepdims=True)
    left = ((centered - drawn) ** 2).sum((1, 2)) / (centered**2).sum((1, 2))
    np.testing.assert_allclose(1 - left, shares, atol=1e-5)
    assert shares.max() < 1
    judged = spatial.assess_structure(maps[None].astype(np.float32), SMALL, draws=1, against_blobs=False)
    assert judged.fit[0] == pytest.approx(shares.mean(), abs=1e-5)
    assert len(which) == len(maps)


def test_an_edge_of_the_bank_explains_itself_in_every_phase():
    bank = spatial.edge_bank(SMALL)
    pair = bank.bases[7].astype(np.float64)
    mixed = np.stack([np.cos(phase) * pair[0] + np.sin(phase) * pair[1] for phase in np.linspace(0, 3, 7)])
    np.testing.assert_allclose(spatial.best_edges(mixed, SMALL)[1], 1, atol=1e-4)


def test_a_p_value_counts_the_observed_among_its_chances():
    assert spatial.p_value(5.0, np.zeros(19)) == 0.05
    assert spatial.p_value(0.0, np.zeros(19)) == 1.0, "what chance equals is not improbable"
    without = lambda observed, chance: (chance >= observed).mean()
    rng = np.random.default_rng(0)
    draws = rng.random((4000, 20))
    alarms = lambda p: np.mean([p(row[0], row[1:]) <= 0.01 for row in draws])
    assert alarms(spatial.p_value) == 0, "19 chances cannot make anything as improbable as 1 %"
    assert alarms(without) > 0.03, "without the 1, one in twenty is called impossible"


def test_random_maps_raise_false_alarms_at_the_level():
    found = spatial.assess_structure(randoms(400), SMALL, draws=19, against_blobs=False)
    for p in (found.moran_p, found.fit_p):
        assert 0.02 < (p <= 0.05).mean() < 0.085  # two and a half deviations around 5 %
    assert abs(found.moran.mean() + 1 / (SMALL.size - 1)) < 0.01, "its mean is -1 / (pixels - 1)"


def test_shuffling_in_pixels_that_do_not_count_would_find_order_in_noise():
    mask = np.zeros((12, 12), bool)
    mask[2:10, 2:10] = True
    maps = np.where(mask, randoms(60) + 1.5, 0).astype(np.float32)
    alarms = lambda counts: (
        spatial.assess_structure(maps, counts, draws=19, against_blobs=False).moran_p <= 0.05
    ).mean()
    assert alarms(mask) < 0.2
    assert alarms(np.ones_like(mask)) > 0.9


def test_what_does_not_count_changes_nothing():
    mask = np.zeros((12, 12), bool)
    mask[2:10, 1:10] = True
    maps, other = randoms(2), np.where(mask, randoms(2), 99).astype(np.float32)
    judged = (spatial.assess_structure(some, mask, draws=9) for some in (maps, other))
    for one, two in zip(*judged, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_neurons_that_share_their_noise_are_no_order():
    copies = np.repeat(randoms(100, neurons=1), 6, axis=1)
    found = spatial.assess_structure(copies, SMALL, draws=19, against_blobs=False)
    assert (found.moran_p <= 0.05).mean() < 0.13, "each neuron shuffled by itself would find some in a third of them"


def test_blobs_are_as_smooth_as_the_maps_and_as_strong_everywhere():
    noise = np.random.default_rng(2).standard_normal((8, 28, 28))
    middle = np.exp(-((np.indices((28, 28)) - 13.5) ** 2).sum(0) / 60)
    maps = middle * ndimage.gaussian_filter(noise, (0, 1.5, 1.5))
    drawn = spatial.equally_smooth(maps, WHOLE, 20)
    smoothness = float(np.mean(spatial.moran(drawn.reshape(-1, 28, 28), WHOLE)))
    assert smoothness == pytest.approx(float(np.mean(spatial.moran(maps, WHOLE))), abs=0.02)
    strength = lambda some: np.sqrt((some**2).mean(tuple(range(some.ndim - 2))))
    assert strength(drawn)[12:16, 12:16].mean() > 5 * strength(drawn)[:3, :3].mean()
    rough = float(np.mean(spatial.moran(noise, WHOLE)))
    assert abs(smoothness - rough) > 0.5, "shuffled pixels would not do"


def test_blobs_are_not_called_edges_though_shuffling_calls_them_so():
    large, _ = known.nothing_but_blobs(8, neurons=8)
    found = spatial.assess_structure(large, WHOLE, draws=19)
    assert (found.fit_p <= 0.05).all()
    assert (found.edges_p <= 0.05).mean() <= 0.35


def test_planted_edges_are_found_and_told_from_blobs():
    found = spatial.assess_structure(known.planted_edges(5, 1.0, neurons=8), WHOLE, draws=19)
    assert (found.moran_p <= 0.05).all()
    assert (found.fit_p <= 0.05).all()
    assert (found.edges_p <= 0.05).mean() > 0.8


def test_the_same_seed_gives_the_same_numbers():
    one, two = (spatial.assess_structure(randoms(2), SMALL, draws=9, seed=3) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, tuple(one), tuple(two))


def test_maps_and_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"needs maps of shape \(neuron, 12, 12\)"):
        spatial.moran(randoms(1, 9)[0], SMALL)
    with pytest.raises(ValueError, match="got shape"):
        spatial.assess_structure(randoms(1)[0], SMALL)
    with pytest.raises(ValueError, match="at least two neighboring pixels"):
        spatial.moran(randoms(1)[0], np.eye(12, dtype=bool))
    with pytest.raises(ValueError, match="at least 3 x 3"):
        spatial.edge_bank(np.ones((2, 9), bool))


@pytest.mark.slow
def test_of_2000_random_networks_one_in_twenty_is_a_false_alarm():
    p = known.random_networks(2000, 19)["random_p"]
    assert np.all(np.abs(100 * (p <= 0.05).mean(1) - 5) <= 1)
