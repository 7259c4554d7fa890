"""Receptive fields along one axis (Araujo et al., "Computing receptive fields of convolutional
neural networks", Distill, 2019): of how many input pixels, and of which, a unit is a function."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """Unit ``i`` sees the pixels ``start + i * jump`` to ``start + i * jump + size - 1``.

    Pixels outside the image, in the padding, count too, so a field may be larger than the image.
    Between the first and the last pixel there may be some that are not seen (dilation, strides
    longer than the kernel). With ``jump`` 0 all units see the same.
    """

    start: int = 0
    size: int = 1
    jump: int = 1

    @property
    def end(self) -> int:
        """The pixel after the last one that unit 0 sees."""
        return self.start + self.size

    def slide(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Field":
        """What the units after a convolution or pooling see."""
        return Field(
            self.start - padding * self.jump,
            self.size + dilation * (kernel - 1) * self.jump,
            self.jump * stride,
        )

    def gather(self, count: int) -> "Field":
        """What a unit sees that is connected to all ``count`` units, as those of a dense layer."""
        return Field(self.start, self.size + (count - 1) * self.jump, 0)

    def join(self, other: "Field", count: int, other_count: int) -> "Field | None":
        """What a sum of two branches of ``count`` and ``other_count`` units sees.

        Where one branch is a single unit, or units that all see the same, each unit of the sum sees
        at most what all do together, and that is returned. ``None`` where both have many units and
        different jumps: there is no one size then.
        """
        if count != other_count or self.jump != other.jump:
            if count > 1 < other_count and self.jump and other.jump:
                return None
            return self.gather(count)._union(other.gather(other_count))
        return self._union(other)

    def _union(self, other: "Field") -> "Field":
        start, end = min(self.start, other.start), max(self.end, other.end)
        return Field(start, end - start, self.jump)
