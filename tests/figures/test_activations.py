import numpy as np

from cifarlab.figures import activations

RNG = np.random.RandomState(0)
PHOTO = RNG.randint(0, 256, (8, 8, 3), dtype=np.uint8)


def shown(figure) -> list[list[np.ndarray]]:
    """Arrays of the pictures in each panel."""
    return [[np.asarray(image.get_array()) for image in axes.images] for axes in figure.axes]


def test_filters_stand_above_their_activations() -> None:
    filters, answers = RNG.randn(2, 3, 5, 5), RNG.randn(2, 8, 8)
    figure = activations.pairs(PHOTO, filters, answers, [14, 26], dead=[26])
    photo, *columns = shown(figure)
    assert np.array_equal(photo[0], PHOTO)
    assert np.array_equal(columns[1][0], answers[0]) and np.array_equal(columns[3][0], answers[1])
    limit = np.abs(filters).max()
    np.testing.assert_allclose(columns[2][0][:, :, 0], 0.5 + filters[1, 0] / (2 * limit))
    assert [figure.axes[i].get_title() for i in (1, 3)] == ["14", "26 dead"]
    assert figure.axes[3].lines and not figure.axes[1].lines


def test_maps_stand_alone_and_over_the_photo_at_half_opacity() -> None:
    maps = np.stack([RNG.rand(2, 2), np.zeros((2, 2))])
    figure = activations.maps(PHOTO, maps, [0, 7], dead=[7])
    photo, alone, over, zero, _ = shown(figure)
    assert np.array_equal(alone[0], maps[0]) and np.array_equal(zero[0], maps[1])
    assert np.array_equal(over[0], PHOTO) and np.array_equal(over[1], maps[0])
    laid = figure.axes[2].images[1]
    assert laid.get_alpha() == 0.5
    assert laid.get_extent() == [*figure.axes[2].images[0].get_extent()], "stretched over it"
    assert (laid.norm.vmin, laid.norm.vmax) == (maps[0].min(), maps[0].max())
    assert figure.axes[3].get_title() == "7 dead"
    figure.canvas.draw()  # a constant map has a scale too


def test_grad_cam_begins_at_zero_and_says_where_it_is_empty() -> None:
    heat = np.array([[0.5, 1.0], [2.0, 0.25]])
    figure = activations.cam(PHOTO, heat, "why")
    middle, right = figure.axes[1:3]
    assert middle.images[0].get_clim() == (0, 2) and right.images[1].get_clim() == (0, 2)
    assert not middle.texts and figure.get_suptitle() == "why"
    assert "nothing" in activations.cam(PHOTO, 0 * heat).axes[1].texts[0].get_text()


def test_units_are_bars() -> None:
    values = RNG.randn(20)
    figure = activations.units(PHOTO, values)
    assert [bar.get_height() for bar in figure.axes[1].patches] == list(values)
