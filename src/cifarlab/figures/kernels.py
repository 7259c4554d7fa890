"""Filters of a first layer as small images."""

import numpy as np

_MOST = 64
_COLUMNS = 8


def tiled(filters: np.ndarray, width: int = 512) -> np.ndarray:
    """Up to 64 filters in rows of eight, each scaled so that zero is mid-grey and its largest
    weight full colour; enlarged without smoothing to about ``width`` pixels.

    Args:
        filters: ``(n, height, width, 3)``.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    filters = filters[:_MOST]
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    tiles = 0.5 + 0.5 * filters / np.where(largest > 0, largest, 1.0)
    columns = min(_COLUMNS, len(tiles))
    scale = max(1, width // (columns * filters.shape[2]))
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    gap = 2
    tiles = np.pad(tiles, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=1.0)
    missing = -len(tiles) % columns
    tiles = np.pad(tiles, ((0, missing), (0, 0), (0, 0), (0, 0)), constant_values=1.0)
    n, high, wide, _ = tiles.shape
    rows = tiles.reshape(n // columns, columns, high, wide, 3).transpose(0, 2, 1, 3, 4)
    return (255 * rows.reshape(n // columns * high, columns * wide, 3)).round().astype(np.uint8)
