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
