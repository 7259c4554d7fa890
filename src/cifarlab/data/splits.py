"""Which training images train and which validate."""

import hashlib

import numpy as np

from cifarlab.errors import UserError

Indices = np.ndarray  # int64 (n,), ascending positions in the training images


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
        raise UserError(f"data.split={method}: must be random, stratified or tail")
    validates = np.zeros(total, dtype=bool)
    validates[chosen] = True
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def split_hash(train: Indices, val: Indices) -> str:
    """16 hexadecimal digits that are equal exactly when two runs used the same split."""
    digest = hashlib.sha256()
    for indices in (train, val):
        digest.update(np.int64(len(indices)).tobytes())
        digest.update(np.ascontiguousarray(indices, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


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
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    quota = np.floor(shares).astype(int)
    short = count - quota.sum()
    quota[np.argsort(quota - shares, kind="stable")[:short]] += 1
    members = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.concatenate([m[:take] for m, take in zip(members, quota, strict=True)])
