"""Random numbers as pure functions of (seed, purpose, epoch, batch, ...).

Nothing in a run reads a random stream that goes on from step to step: each batch draws from a
generator seeded by where it stands. So a run that was killed and resumed sees exactly what an
undisturbed one sees, and no generator state has to be stored.
"""

import hashlib


def derive(*parts: int | str) -> int:
    """A 63-bit seed from any sequence of integers and words; the same on every machine.

    Neighbouring inputs give unrelated seeds, which ``seed + epoch`` would not.
    """
    text = "/".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
