"""Image files of any format, size and mode: found in folders, by patterns and in archives, decoded
the one way in which training, prediction and the web page all see them."""

import glob
import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from cifarlab.base.errors import UserError
from cifarlab.base.options import Resize
from cifarlab.base.reading import MAX_PIXELS, named_path, size_of
from cifarlab.data.archives import formats, is_archive, is_hidden, is_image, members

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
)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)  # "... (400000000 pixels)"


def find(named: Sequence[str | Path]) -> list[Path]:
    """Files to be read: those named, those that patterns match, and the images and archives below
    the folders named or matched.

    In the order given; sorted by path within a folder or pattern; each file once. A file that is
    named or matched counts as an image whatever its name, one in a folder by its suffix; what is
    hidden there is left out. Raises ``UserError`` for a name that leads to nothing.
    """
    found: dict[Path, None] = {}
    for name in map(str, named):
        place = named_path(f"images={name}", name)
        matches = [place] if place.exists() else sorted(map(Path, _match(str(place))))
        files = [file for match in matches for file in _files(match)]
        if not matches:
            raise UserError(f"images={name}: no such file or folder, and no pattern that matches")
        if not files:
            raise UserError(f"images={name}: no images in it")
        found |= dict.fromkeys(files)
    return list(found)


def contents(path: Path) -> Iterator[tuple[str, Path | io.BytesIO]]:
    """Name and contents of an image file, or of each image in an archive: ``<archive>/<member>``.

    Raises ``UserError`` for a damaged archive, after what could be read of it.
    """
    if not is_archive(path):
        yield str(path), path
        return
    for name, data in members(path, _is_shown):
        if data is not None:
            yield f"{path}/{name}", io.BytesIO(data)


def decode(file: Path | io.BytesIO, name: str) -> Image.Image:
    """An image file as 8-bit RGB, turned upright as its EXIF orientation says.

    16 bits a channel are scaled to 8, floating point from [0, 1]; transparent parts are laid on
    white; of an animation it is the first frame. Raises ``UserError``, with ``name`` in it, for
    what is not an image, cannot be read whole or declares more than ``MAX_PIXELS``.
    """
    try:
        if isinstance(file, Path):
            size_of(file)
        with Image.open(file, formats=formats()) as image:
            if (pixels := image.width * image.height) > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{pixels} pixels")
            return to_rgb(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except _BOMBS as error:
        (pixels, *_) = map(int, re.findall(r"\d+", str(error)))
        raise UserError(
            f"{name} is not an image that can be read ({pixels:,} pixels; at most {MAX_PIXELS:,} "
            "are, so make it smaller first)"
        ) from error
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].replace(repr(file), "it")
        raise UserError(f"{name} is not an image that can be read ({reason})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of an image in any mode. Raises ``ValueError`` where white could be any value."""
    if image.mode.startswith("I"):  # I;16 and the like: 16 bits; I: 32 bits
        image = Image.fromarray(_to_8_bits(np.asarray(image, dtype=np.int64), 65535))
    elif image.mode == "F":
        image = Image.fromarray(_to_8_bits(np.asarray(image), 1))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def fit(image: Image.Image, size: int, resize: Resize = "crop") -> UInt8[np.ndarray, "size size 3"]:
    """An RGB image as a square, ``size`` pixels wide (bilinear, antialiased): its largest centred
    square (``crop``), or all of it, squashed (``squash``)."""
    if image.size != (size, size):
        if resize == "squash":
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        else:
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _match(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob takes no absolute patterns


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    below = sorted(path for path in place.rglob("*") if path.is_file())
    shown = [path for path in below if not _is_hidden(path.relative_to(place))]
    return [path for path in shown if is_image(path.name) or is_archive(path)]


def _is_hidden(path: PurePath) -> bool:
    return any(map(is_hidden, path.parts))


def _is_shown(member: str) -> bool:
    return is_image(member) and not _is_hidden(PurePosixPath(member))


def _to_8_bits(values: np.ndarray, white: int) -> UInt8[np.ndarray, "height width"]:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):  # NaN too
        raise ValueError(f"values from {low:g} to {high:g} where 0 to {white} is known to be")
    return np.rint(values * (255 / white)).astype(np.uint8)
