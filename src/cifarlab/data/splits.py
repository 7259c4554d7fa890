"""Which training images train and which validate."""

import hashlib

import numpy as np

from cifarlab.base.errors import UserError
from cifarlab.base.options import SPLITS

Indices = np.ndarray  # int64 (n,), ascending positions in the training images
_UNKNOWN = f"data.split={{}}: must be one of {', '.join(SPLITS)}"


def split(labels: np.ndarray, method: str, val_size: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of the training and of the validation images, disjoint and together all of them.

    Args:
        labels: int64 ``(n,)``, the labels of the training images.
        method: ``random``; ``stratified`` (keeps the classes' shares); ``tail`` (the last images).
        val_size: a fraction below 1, or a whole number of images.
        seed: of the split alone. ``RandomState``'s stream is frozen (NEP 19), so a seed means the
            same split in every version of numpy.

    Raises:
        UserError: an unknown method, or a size that leaves no image to one of the sides.
    """
    total = len(labels)
    count = _count(total, val_size)
    random = np.random.RandomState(seed)
    if method == "random":
        chosen = random.permutation(total)[:count]
    elif method == "stratified":
        chosen = _stratified(labels, count, random)
    elif method == "tail":
        chosen = np.arange(total - count, total)
    else:
        raise UserError(_UNKNOWN.format(method))
    return _sides(total, chosen)


def fold(
    labels: np.ndarray, method: str, folds: int, number: int, seed: int
) -> tuple[Indices, Indices]:
    """As ``split``, validating on one of ``folds`` parts of the training images.

    The parts are disjoint and together all images; their sizes differ by one image at most.

    Args:
        labels: int64 ``(n,)``, the labels of the training images.
        method: ``random``; ``stratified`` (the counts of a class differ by one at most between
            folds); ``tail`` (blocks in order, so that the last fold is the tail).
        folds: how many parts.
        number: which of them validates, from 0.
        seed: of the partition, the same for all its folds.

    Raises:
        UserError: an unknown method, or more folds than images.
    """
    total = len(labels)
    if not 2 <= folds <= total:
        raise UserError(f"data.folds={folds}: must be between 2 and the {total} training images")
    if not 0 <= number < folds:
        raise UserError(f"data.fold={number}: must be between 0 and data.folds - 1 = {folds - 1}")
    random = np.random.RandomState(seed)
    if method == "random":
        chosen = np.array_split(random.permutation(total), folds)[number]
    elif method == "stratified":  # dealt out like cards, one class after the other
        chosen = np.concatenate(_shuffled_classes(labels, random))[number::folds]
    elif method == "tail":
        chosen = np.array_split(np.arange(total), folds)[number]
    else:
        raise UserError(_UNKNOWN.format(method))
    return _sides(total, chosen)


def subset(labels: np.ndarray, train: Indices, method: str, fraction: float, seed: int) -> Indices:
    """A share of the training indices, ascending; what a smaller share has, a larger one has too.

    Args:
        labels: int64 ``(n,)``, the labels of the training images.
        train: the indices to choose from.
        method: ``stratified`` keeps the classes' shares (each count rounded, as Webster's method
            does it); every other split draws at random.
        fraction: in (0, 1]; the number of images is rounded to the nearest.
        seed: of the split; the draw is another stream than the split's.

    Raises:
        UserError: a fraction that leaves no image.
    """
    count = round(len(train) * fraction)
    if count < 1:
        raise UserError(
            f"data.fraction={fraction}: leaves none of the {len(train)} training images; "
            f"{1 / len(train):.2g} leaves one"
        )
    random = np.random.RandomState([seed, 1])
    order = random.permutation(len(train))
    if method == "stratified":
        members = _shuffled_classes(labels[train], random)
        # image k of a class of n is due when a share (k + 1/2) / n of all images is taken
        due = np.concatenate([(np.arange(len(m)) + 0.5) / len(m) for m in members])
        order = np.concatenate(members)[np.argsort(due, kind="stable")]
    return np.sort(train[order[:count]])


def split_hash(train: Indices, val: Indices) -> str:
    """16 hexadecimal digits that are equal exactly when two runs used the same split."""
    digest = hashlib.sha256()
    for indices in (train, val):
        digest.update(np.int64(len(indices)).tobytes())
        digest.update(np.ascontiguousarray(indices, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def _sides(total: int, chosen: np.ndarray) -> tuple[Indices, Indices]:
    """All others, and those chosen."""
    validates = np.zeros(total, dtype=bool)
    validates[chosen] = True
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def _shuffled_classes(labels: np.ndarray, random: np.random.RandomState) -> list[np.ndarray]:
    """The positions of each class, in random order."""
    return [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]


def _count(total: int, val_size: float) -> int:
    if val_size >= 1 and val_size != int(val_size):
        raise UserError(
            f"data.val_size={val_size}: must be a fraction below 1 or a whole number of images"
        )
    count = int(val_size) if val_size >= 1 else round(total * val_size)
    if not 0 < count < total:
        raise UserError(
            f"data.val_size={val_size}: takes {count} of {total} training images; "
            f"between 1 and {total - 1} must be taken"
        )
    return count


def _stratified(labels: np.ndarray, count: int, random: np.random.RandomState) -> Indices:
    """``count`` indices, spread over the classes by largest remainder."""
    _, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    quota = np.floor(shares).astype(int)
    short = count - quota.sum()
    quota[np.argsort(quota - shares, kind="stable")[:short]] += 1
    members = _shuffled_classes(labels, random)
    return np.concatenate([m[:take] for m, take in zip(members, quota, strict=True)])
