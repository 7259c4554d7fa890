"""What several architectures share."""

from torch import nn

from cifarlab.errors import UserError


def dropout_layers(p: float | None, count: int, *, default: float = 0.0) -> list[nn.Module]:
    """``count`` separate dropout layers of probability ``p`` (``None``: ``default``).

    Dropout zeroes single values, not channels, as ``nn.Dropout`` in all five reports does. At 0 the
    layers are ``nn.Identity``. Raises ``UserError`` unless 0 <= p < 1.
    """
    p = default if p is None else p
    if not 0.0 <= p < 1.0:
        raise UserError(f"dropout={p}: must be a number in [0, 1)")
    return [nn.Dropout(p) if p > 0 else nn.Identity() for _ in range(count)]


def conv_bn(inputs: int, outputs: int, kernel: int, *, batchnorm: bool) -> list[nn.Module]:
    """A convolution that keeps height and width (stride 1, odd kernel), then batch norm if asked.

    The convolution keeps its bias in both cases: that is how the reports count parameters.
    """
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)]
    if batchnorm:
        layers.append(nn.BatchNorm2d(outputs))
    return layers


def halved(image_size: int, times: int, model: str) -> int:
    """Height and width left of ``image_size`` pixels after ``times`` poolings of 2.

    Raises ``UserError`` where nothing would be left.
    """
    size = image_size >> times
    if size < 1:
        raise UserError(
            f"{model}: images of {image_size} px are too small, it halves them {times} times "
            f"(at least {1 << times} px)"
        )
    return size
