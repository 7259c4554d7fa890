import os

import numpy as np
import pytest

from cifarlab.base.errors import UserError
from cifarlab.data.cache import Images, cached


def images(seed: int = 0) -> Images:
    random = np.random.RandomState(seed)
    pixels = random.randint(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    labels = random.randint(0, 2, 20).astype(np.int64)
    return Images(pixels[:12], labels[:12], pixels[12:], labels[12:], ("cat", "dög"))


def never() -> Images:
    raise AssertionError("made a second time")


def same(a: Images, b: Images) -> bool:
    arrays = ("train_images", "train_labels", "test_images", "test_labels")
    equal = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
    return equal and a.classes == b.classes


def test_made_once_and_equal(tmp_path) -> None:
    first = cached(tmp_path / "deep" / "cache", "key", images)
    second = cached(tmp_path / "deep" / "cache", "key", never)
    assert same(first, images()) and same(second, images())
    assert first.train_images.dtype == np.uint8 and first.train_labels.dtype == np.int64
    other = cached(tmp_path / "deep" / "cache", "other", lambda: images(1))
    assert not same(other, first)


@pytest.mark.parametrize("share", [i / 16 for i in range(1, 16)])
def test_any_flipped_bit_is_noticed(tmp_path, share: float) -> None:
    """Anywhere in the arrays; zip's own padding and dates are not content."""
    cached(tmp_path, "key", images)
    path = tmp_path / "key.npz"
    damaged = bytearray(path.read_bytes())
    content = damaged.index(images().train_images.tobytes())
    damaged[content + int(share * images().train_images.nbytes)] ^= 0b100
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"key.npz: the cached images are damaged .*delete this"):
        cached(tmp_path, "key", never)


@pytest.mark.parametrize("size", [0, 1, 100, 0.5, 0.99])
def test_a_cut_file_is_noticed(tmp_path, size: float) -> None:
    cached(tmp_path, "key", images)
    path = tmp_path / "key.npz"
    whole = path.stat().st_size
    os.truncate(path, int(size * whole) if 0 < size < 1 else int(size))
    with pytest.raises(UserError, match="damaged"):
        cached(tmp_path, "key", never)


def test_a_failure_leaves_nothing_to_trust(tmp_path) -> None:
    def broken() -> Images:
        raise UserError("no images here")

    with pytest.raises(UserError, match="no images here"):
        cached(tmp_path, "key", broken)
    assert not list(tmp_path.glob("*.npz")) and not list(tmp_path.glob("*.tmp"))
    assert same(cached(tmp_path, "key", images), images())


def test_a_crash_while_writing_leaves_nothing_to_trust(tmp_path, monkeypatch) -> None:
    def dies(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", dies)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "key", images)
    assert not list(tmp_path.glob("*.npz")) and not list(tmp_path.glob("*.tmp"))


def test_what_a_killed_process_left_goes(tmp_path) -> None:
    (tmp_path / "key.123.tmp").write_bytes(b"half")
    (tmp_path / "other.123.tmp").write_bytes(b"of another, which may be at it")
    cached(tmp_path, "key", images)
    assert [path.name for path in tmp_path.glob("*.tmp")] == ["other.123.tmp"]


def test_some_classes_alone() -> None:
    labels = np.array([0, 1, 2, 2, 0])
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1).repeat(3, axis=3)
    every = Images(images, labels, images, labels, ("cat", "dog", "7"))
    some = every.only([7, "cat"])
    assert some.classes == ("7", "cat")
    assert some.train_labels.tolist() == [1, 0, 0, 1]
    assert some.train_images[:, 0, 0, 0].tolist() == some.test_images[:, 0, 0, 0].tolist()
    assert some.test_images[:, 0, 0, 0].tolist() == [0, 2, 3, 4]
    assert every.only(None) is every
    with pytest.raises(UserError, match="data.classes: no class cot; did you mean cat?"):
        every.only(["cot", "dog"])
