import numpy as np

from cifarlab.figures.sheet import bars_by_class, before_and_after, images_by_class


def test_images_are_where_they_belong() -> None:
    originals = np.random.RandomState(0).randint(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    changed = np.stack([originals[:, :, ::-1], originals // 2])
    figure = before_and_after(originals, changed, ["cat", "dog", "ship"], "aug=x")
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == 9
    for row, images in enumerate([originals, *changed]):
        for column, image in enumerate(images):
            assert np.array_equal(shown[3 * row + column], image)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["cat", "dog", "ship"]


def test_captions_are_below_what_was_changed() -> None:
    images = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    captions = [["cat 0.70\ndog 0.30", "dog 1.00"], ["cat 1.00", "dog 1.00"]]
    figure = before_and_after(images, np.stack([images] * 2), ["cat", "dog"], captions=captions)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["", "", *captions[0], *captions[1]]


def test_images_by_class_are_where_they_belong() -> None:
    images = np.random.RandomState(0).randint(0, 256, (3, 2, 16, 16, 3), dtype=np.uint8)
    figure = images_by_class(images, ["cat", "dog", "ship"], across=2)
    left, right = (axes.images[0].get_array() for axes in figure.axes)
    assert np.array_equal(left[:16, :16], images[0, 0])
    assert np.array_equal(left[17:, 17:], images[1, 1])
    assert np.array_equal(right[:16, 17:], images[2, 1]) and (right[16:] == 255).all()
    names = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in figure.axes]
    assert names == [["cat", "dog"], ["ship"]]


def test_bars_have_the_length_of_their_class() -> None:
    counts = {"train": [5, 3], "test": [1, 2]}
    figure = bars_by_class(counts, ["cat", "dog"])
    for axes, (split, values) in zip(figure.axes, counts.items(), strict=True):
        assert [bar.get_width() for bar in axes.patches] == values
        assert [text.get_text() for text in axes.texts] == [str(value) for value in values]
        assert axes.get_title() == f"{split}: {sum(values)}"
    low, high = figure.axes[0].get_ylim()
    assert low > high, "the first class on top"
