"""Image files of any format, size and mode, decoded the one way."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from cifarlab.errors import UserError

_DAMAGE = (  # what Pillow raises for files that are no images, damaged, cut short or far too large
    OSError,  # UnidentifiedImageError is one
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def decode(file: Path | io.BytesIO, name: str) -> Image.Image:
    """An image file as 8-bit RGB, turned upright as its EXIF orientation says.

    16 bits a channel are scaled to 8, floating point from [0, 1]; transparent parts are laid on
    white; of an animation it is the first frame. Raises ``UserError``, with ``name`` in it, for
    what is not an image or cannot be read whole.
    """
    try:
        with Image.open(file) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].replace(repr(file), "it")
        raise UserError(f"{name} is not an image that can be read ({reason})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of an image in any mode; ``ValueError`` where its range is anyone's guess."""
    if image.mode.startswith("I"):  # I;16 and the like: 16 bits; I: 32 bits
        image = Image.fromarray(_to_8_bits(np.asarray(image, dtype=np.int64), 65535))
    elif image.mode == "F":
        image = Image.fromarray(_to_8_bits(np.asarray(image), 1))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def fit(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The largest centred square of an RGB image, ``size`` pixels wide (bilinear, antialiased)."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _to_8_bits(values: np.ndarray, white: int) -> UInt8[np.ndarray, "height width"]:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):  # NaN too
        raise ValueError(f"values from {low:g} to {high:g} where 0 to {white} is known to be")
    return np.rint(values * (255 / white)).astype(np.uint8)
