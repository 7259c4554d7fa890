import numpy as np
import pytest

from cifarlab.data.splits import split, split_hash
from cifarlab.errors import UserError

LABELS = np.repeat(np.arange(10), 500)[np.random.RandomState(0).permutation(5000)]


@pytest.mark.parametrize("method", ["random", "stratified", "tail"])
@pytest.mark.parametrize("val_size", [0.1, 1, 777])
def test_disjoint_and_complete(method: str, val_size: float) -> None:
    train, val = split(LABELS, method, val_size, seed=0)
    assert len(val) == (500 if val_size == 0.1 else val_size)
    assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(5000))
    assert (np.diff(train) > 0).all() and (np.diff(val) > 0).all()


# Written down once: a seed must mean the same images in every version of this code and of numpy
STABLE = {
    "random": "9255c9474ae29f43",
    "stratified": "22f779f42a89635f",
    "tail": "698e297470583f17",
}


@pytest.mark.parametrize("method", STABLE)
def test_stable(method: str) -> None:
    assert split_hash(*split(LABELS, method, 0.1, seed=0)) == STABLE[method]


def test_the_seed_decides() -> None:
    hashes = {split_hash(*split(LABELS, "random", 0.1, seed)) for seed in range(5)}
    assert len(hashes) == 5


def test_stratified_keeps_the_shares() -> None:
    labels = np.repeat(np.arange(3), [700, 200, 100])
    _, val = split(labels, "stratified", 100, seed=1)
    assert np.bincount(labels[val]).tolist() == [70, 20, 10]
    _, val = split(labels, "stratified", 5, seed=1)  # 3.5, 1.0, 0.5: the largest remainders win
    assert np.bincount(labels[val], minlength=3).tolist() in ([4, 1, 0], [3, 1, 1])


def test_random_is_random() -> None:
    _, val = split(LABELS, "random", 0.1, seed=0)
    assert abs(val.mean() - 2500) < 4 * 5000 / np.sqrt(12 * 500)


def test_tail_takes_the_last() -> None:
    _, val = split(LABELS, "tail", 1000, seed=0)
    assert np.array_equal(val, np.arange(4000, 5000))


@pytest.mark.parametrize(
    ("val_size", "message"),
    [
        (5000, "takes 5000 of 5000 training images; between 1 and 4999"),
        (9999, "takes 9999 of 5000"),
        (0.00001, "takes 0 of 5000"),
        (0.99999, "takes 5000 of 5000"),
        (1.5, "a fraction below 1 or a whole number"),
    ],
)
def test_impossible_sizes(val_size: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split(LABELS, "random", val_size, seed=0)


def test_unknown_method() -> None:
    with pytest.raises(UserError, match="must be random, stratified or tail"):
        split(LABELS, "head", 0.1, seed=0)
