import numpy as np
import pytest

from cifarlab.base.errors import UserError
from cifarlab.data.splits import fold, split, split_hash, subset

LABELS = np.repeat(np.arange(10), 500)[np.random.RandomState(0).permutation(5000)]


@pytest.mark.parametrize("method", ["random", "stratified", "tail"])
@pytest.mark.parametrize("val_size", [0.1, 1, 777, 777.0])
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
    _, val = split(labels, "stratified", 5, seed=1)  # 3.5, 1.0, 0.5: of equal remainders the first
    assert np.bincount(labels[val], minlength=3).tolist() == [4, 1, 0]
    labels = np.repeat(np.arange(3), [58, 31, 11])
    _, val = split(labels, "stratified", 10, seed=1)  # 5.8, 3.1, 1.1: the largest remainder wins
    assert np.bincount(labels[val]).tolist() == [6, 3, 1]
    hundred = np.repeat(np.arange(100), [10, 14] * 50)
    _, val = split(hundred, "stratified", 240, seed=1)  # 2 and 2.8 each: 40 of those 50 have 3
    assert np.bincount(hundred[val]).tolist() == [2, 3] * 40 + [2, 2] * 10, "the first, of many too"


def test_random_is_random() -> None:
    _, val = split(LABELS, "random", 0.1, seed=0)
    assert abs(val.mean() - 2500) < 4 * 5000 / np.sqrt(12 * 500)


def test_tail_takes_the_last() -> None:
    _, val = split(LABELS, "tail", 1000, seed=0)
    assert np.array_equal(val, np.arange(4000, 5000))


@pytest.mark.parametrize(
    ("val_size", "message"),
    [
        (5000, "takes 5000 of 5000 training images; between 1 and 4999 must be taken"),
        (9999, "takes 9999 of 5000 training images; between 1 and 4999 must be taken"),
        (0.00001, "takes 0 of 5000 training images; between 1 and 4999 must be taken"),
        (0.99999, "takes 5000 of 5000 training images; between 1 and 4999 must be taken"),
        (1.5, "must be a fraction below 1 or a whole number of images"),
    ],
)
def test_impossible_sizes(val_size: float, message: str) -> None:
    with pytest.raises(UserError) as error:
        split(LABELS, "random", val_size, seed=0)
    assert str(error.value) == f"data.val_size={val_size}: {message}"


def test_unknown_method() -> None:
    with pytest.raises(
        UserError, match="^data.split=head: must be one of random, stratified, tail$"
    ):
        split(LABELS, "head", 0.1, seed=0)


@pytest.mark.parametrize("method", ["random", "stratified", "tail"])
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_are_disjoint_and_cover(method: str, folds: int) -> None:
    parts = [fold(LABELS, method, folds, number, seed=0) for number in range(folds)]
    assert np.array_equal(np.sort(np.concatenate([val for _, val in parts])), np.arange(5000))
    sizes = [len(val) for _, val in parts]
    assert max(sizes) - min(sizes) <= 1
    for train, val in parts:
        assert np.array_equal(np.sort(np.concatenate([train, val])), np.arange(5000))
        assert (np.diff(train) > 0).all() and (np.diff(val) > 0).all()


def test_stratified_folds_keep_the_shares() -> None:
    labels = np.repeat(np.arange(3), [70, 22, 8])[np.random.RandomState(0).permutation(100)]
    counts = np.array(
        [np.bincount(labels[fold(labels, "stratified", 4, k, 0)[1]]) for k in range(4)]
    )
    assert counts.sum(axis=0).tolist() == [70, 22, 8]
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_each_image_may_be_a_fold() -> None:
    few = np.array([0, 1, 0, 1, 1])
    for method in ("random", "stratified", "tail"):
        parts = [fold(few, method, 5, number, seed=0)[1].tolist() for number in range(5)]
        assert sorted(parts) == [[0], [1], [2], [3], [4]]


def test_tail_folds_are_blocks_in_order() -> None:
    blocks = [fold(LABELS, "tail", 5, number, seed=0)[1] for number in range(5)]
    assert np.array_equal(np.concatenate(blocks), np.arange(5000))
    assert np.array_equal(blocks[-1], split(LABELS, "tail", 1000, seed=0)[1])


def test_random_folds_are_random_and_the_seed_decides() -> None:
    assert len({split_hash(*fold(LABELS, "random", 5, 0, seed)) for seed in range(5)}) == 5
    _, val = fold(LABELS, "random", 5, 2, seed=0)
    assert abs(val.mean() - 2500) < 4 * 5000 / np.sqrt(12 * 1000)


# As STABLE above
STABLE_FOLDS = {
    "random": "dc33f44d0e0f4e5b",
    "stratified": "06f6221ebd4698f4",
    "tail": "6bb7c3f0881265da",
}


@pytest.mark.parametrize("method", STABLE_FOLDS)
def test_folds_are_stable(method: str) -> None:
    assert split_hash(*fold(LABELS, method, 5, 1, seed=0)) == STABLE_FOLDS[method]


@pytest.mark.parametrize(
    ("method", "folds", "number", "message"),
    [
        ("random", 5001, 0, "data.folds=5001: must be between 2 and the 5000 training images"),
        ("random", 1, 0, "data.folds=1: must be between 2 and the 5000 training images"),
        ("random", 5, 5, "data.fold=5: must be between 0 and data.folds - 1 = 4"),
        ("head", 5, 0, "data.split=head: must be one of random, stratified, tail"),
    ],
)
def test_impossible_folds(method: str, folds: int, number: int, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        fold(LABELS, method, folds, number, seed=0)


@pytest.mark.parametrize("method", ["random", "stratified", "tail"])
def test_subsets_are_nested(method: str) -> None:
    train, _ = split(LABELS, method, 0.1, seed=0)
    smaller: set[int] = set()
    for fraction in (0.001, 0.1, 0.2, 0.35, 0.9, 1.0):
        chosen = subset(LABELS, train, method, fraction, seed=0)
        assert len(chosen) == round(4500 * fraction)
        assert (np.diff(chosen) > 0).all() and smaller <= set(chosen) <= set(train)
        smaller = set(chosen)
    assert np.array_equal(chosen, train)


def test_stratified_subset_keeps_the_shares() -> None:
    labels = np.repeat(np.arange(3), [700, 205, 95])[np.random.RandomState(0).permutation(1000)]
    everything = np.arange(1000)
    for fraction in (0.01, 0.1, 0.33):
        counts = np.bincount(
            labels[subset(labels, everything, "stratified", fraction, seed=0)], minlength=3
        )
        assert np.abs(counts - np.array([700, 205, 95]) * fraction).max() < 1


def test_only_a_stratified_subset_does() -> None:
    exactly = {
        method: [
            np.ptp(np.bincount(LABELS[subset(LABELS, np.arange(5000), method, 0.1, seed)])) == 0
            for seed in range(5)
        ]
        for method in ("stratified", "random", "tail")
    }
    assert all(exactly["stratified"]) and not any(exactly["random"] + exactly["tail"])


# As STABLE above
STABLE_SUBSETS = {
    "random": "bd302334e87b642f",
    "stratified": "6fc4739bc066775c",
    "tail": "bd302334e87b642f",
}


@pytest.mark.parametrize("method", STABLE_SUBSETS)
def test_subsets_are_stable(method: str) -> None:
    chosen = subset(LABELS, np.arange(5000), method, 0.101, seed=0)  # half of the classes have 51
    assert split_hash(chosen, np.arange(0)) == STABLE_SUBSETS[method]


def test_the_hash_is_of_the_numbers() -> None:
    train, val = split(LABELS, "random", 0.1, seed=0)
    assert split_hash(train.astype(np.int32), val.astype(">i8")) == STABLE["random"]
    assert split_hash(val, train) != STABLE["random"]


def test_subset_is_random_and_the_seed_decides() -> None:
    train = np.arange(5000)
    drawn = [subset(LABELS, train, "tail", 0.1, seed) for seed in range(5)]
    assert len({tuple(chosen) for chosen in drawn}) == 5
    assert abs(drawn[0].mean() - 2500) < 4 * 5000 / np.sqrt(12 * 500)


def test_an_empty_subset() -> None:
    train = np.arange(40)
    assert len(subset(LABELS, train, "random", 0.025, seed=0)) == 1
    with pytest.raises(
        UserError,
        match="^data.fraction=0.01: leaves none of the 40 training images; 0.025 leaves one$",
    ):
        subset(LABELS, train, "random", 0.01, seed=0)
