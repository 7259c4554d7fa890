import numpy as np

from cifarlab.figures.sheet import before_and_after


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
