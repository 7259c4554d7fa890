import numpy as np
import pytest

from cifarlab.figures.filters import colours, draw, montage, pixels

RNG = np.random.RandomState(0)


def test_colours_are_the_weights_with_zero_in_the_middle() -> None:
    weights = np.zeros((2, 3, 2, 2))
    weights[1, 0, 0, 1], weights[1, 2, 1, 1] = 0.4, -0.4
    found = colours(weights, 0.4)
    assert found.shape == (2, 2, 2, 3) and (found[0] == 0.5).all()
    assert found[1, 0, 1].tolist() == [1.0, 0.5, 0.5]
    assert found[1, 1, 1].tolist() == [0.5, 0.5, 0.0]
    grey = colours(np.full((1, 7, 2, 2), -0.4), 0.4)
    assert np.allclose(grey, 0) and grey.shape == (1, 2, 2, 3)
    assert (colours(np.zeros((1, 3, 2, 2)), 0.0) == 0.5).all()


def test_montage_is_row_by_row() -> None:
    tiles = RNG.rand(5, 4, 3, 3)
    sheet = montage(tiles, 2)
    assert sheet.shape == (3 * 5 - 1, 2 * 4 - 1, 3)
    assert np.array_equal(sheet[5:9, 4:7], tiles[3])
    assert (sheet[4] == 1).all() and (sheet[10:, 4:] == 1).all(), "white between and after"


def test_states_are_side_by_side_on_their_own_scales() -> None:
    before = RNG.uniform(-0.1, 0.1, (4, 3, 5, 5))
    figure = draw({"before": before, "after": 10 * before}, title="net")
    left, right = (axes.images[0].get_array() for axes in figure.axes)
    np.testing.assert_allclose(left, right)
    np.testing.assert_allclose(left[:5, :5], colours(before[:1], np.abs(before).max())[0])
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    limit = np.abs(before).max()
    assert f"{10 * limit:.2g}" in figure.axes[1].get_xlabel()
    assert figure.get_suptitle() == "net"


def test_the_dead_are_crossed_out_in_the_last_panel_where_they_are() -> None:
    weights = RNG.rand(9, 3, 4, 4)
    figure = draw({"before": weights, "after": weights}, dead=[5])
    assert not figure.axes[0].lines
    crossed = np.concatenate([line.get_xydata() for line in figure.axes[1].lines])
    assert crossed.min(axis=0).tolist() == [2 * 5 - 0.5, 1 * 5 - 0.5]  # third of the second row
    assert crossed.max(axis=0).tolist() == [2 * 5 + 3.5, 1 * 5 + 3.5]
    assert "crossed out: dead" in figure.get_suptitle()


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (64, 64), (300, 256)])
def test_any_number_of_filters(count: int, shown: int) -> None:
    figure = draw({"weights": RNG.rand(count, 1, 2, 2)}, dead=range(count))
    assert len(figure.axes[0].lines) == 3 * shown
    assert ("the first 256 of 300" in figure.get_suptitle()) == (count > shown)


def test_pixels_are_enlarged_and_grey_at_zero() -> None:
    weights = np.zeros((9, 3, 2, 2))
    weights[0, :, 0, 0] = (-1, 0, 1)
    image = pixels(weights, across=8, width=50)
    assert image.shape == (2 * 5, 2 * 23, 3), "two rows of eight and the lines between, twice"
    assert image[1, 1].tolist() == [0, 128, 255] and image[2, 2].tolist() == [128, 128, 128]
