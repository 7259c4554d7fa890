"""Image files of every kind, as a net takes them."""

import io
import shutil
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data.pictures import contents, decode, find, fit, to_rgb

PIXELS = np.random.RandomState(0).randint(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = PIXELS[:, :, 0]


def stored(image: Image.Image, format: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file


def decoded(image: Image.Image, format: str = "PNG", **options: object) -> np.ndarray:
    return np.asarray(decode(stored(image, format, **options), "it"))


def grey(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 3, axis=2)


@pytest.mark.parametrize(
    ("values", "format", "expected"),
    [
        (PIXELS, "PNG", PIXELS),
        (PIXELS, "WEBP", PIXELS),
        (GREY, "PNG", grey(GREY)),
        (GREY.astype(np.uint16) * 257, "PNG", grey(GREY)),
        (GREY.astype(np.int32) * 257, "TIFF", grey(GREY)),
        (GREY.astype(np.float32) / 255, "TIFF", grey(GREY)),
    ],
    ids=["rgb", "webp", "grey", "16-bit", "32-bit", "float"],
)
def test_modes(values: np.ndarray, format: str, expected: np.ndarray) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(decoded(Image.fromarray(values), format, **options), expected)


def test_transparency_is_laid_on_white() -> None:
    alpha = np.full((6, 5, 1), 255, dtype=np.uint8)
    alpha[0] = 0
    expected = PIXELS.copy()
    expected[0] = 255
    rgba = Image.fromarray(np.concatenate([PIXELS, alpha], axis=2))
    assert np.array_equal(decoded(rgba), expected)
    palette = Image.new("P", (5, 6), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert (decoded(palette) == (40, 50, 60)).all()
    assert (decoded(palette, transparency=1) == 255).all()


def test_exif_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    upright = decoded(Image.fromarray(PIXELS), exif=exif)
    assert np.array_equal(upright, np.rot90(PIXELS, -1))


def test_cmyk() -> None:
    inks = np.zeros((6, 5, 4), dtype=np.uint8)
    inks[..., 0], inks[..., 3] = 255, 51  # cyan, a fifth of black
    assert (decoded(Image.fromarray(inks, "CMYK"), "TIFF") == (0, 204, 204)).all()
    jpeg = decoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=100, subsampling=0)
    assert np.abs(jpeg.astype(int) - (0, 204, 204)).max() <= 2


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_it_is_the_first(format: str) -> None:
    frames = [Image.new("RGB", (5, 6), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    pixels = decoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert pixels.shape == (6, 5, 3) and (pixels == (255, 0, 0)).all()


def test_sixteen_bits_of_colour() -> None:
    """A PNG of 16 bits a channel, which Pillow cannot write: 0x8040 becomes 0x80."""
    rows = b"".join(b"\0" + bytes.fromhex("80400000ffff") * 5 for _ in range(6))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    assert (np.asarray(decode(io.BytesIO(data), "it")) == (0x80, 0, 255)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_rotation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.transpose(1, 0, 2),
        6: np.rot90(PIXELS, -1),
        7: PIXELS.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(PIXELS),
    }
    for format in ("PNG", "TIFF"):
        found = decoded(Image.fromarray(PIXELS), format, exif=exif)
        assert np.array_equal(found, turned[orientation]), format


@pytest.mark.parametrize("name", ["x.jpg", "x.gif", "x.txt", "x", "x.npz"])
def test_the_suffix_has_no_say(name: str, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name, "PNG")
    assert np.array_equal(np.asarray(decode(tmp_path / name, name)), PIXELS)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_a_file_cut_short_is_no_image(format: str) -> None:
    noise = np.random.RandomState(1).randint(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = stored(Image.fromarray(noise), format).getvalue()
    for length in (0, len(whole) // 4, len(whole) // 2):
        with pytest.raises(UserError, match=r"^it is not an image that can be read \([^\n]*\)$"):
            decode(io.BytesIO(whole[:length]), "it")


def test_a_range_that_nobody_knows_is_refused() -> None:
    floats = GREY.astype(np.float32)
    for values in (floats, floats * np.nan, -GREY.astype(np.int32), GREY.astype(np.int32) * 300):
        with pytest.raises(ValueError, match="values from .* where 0 to"):
            to_rgb(Image.fromarray(values))
    file = stored(Image.fromarray(GREY.astype(np.float32)), "TIFF")
    with pytest.raises(UserError, match="x.tiff is not an image that can be read"):
        decode(file, "x.tiff")


def test_fit_takes_the_centre() -> None:
    """A wide image of three squares: left black, middle white, right black."""
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 255
    assert (fit(Image.fromarray(pixels), 4)[:, 1:-1] == 255).all()  # the rim is blurred
    assert (fit(Image.fromarray(pixels.transpose(1, 0, 2).copy()), 32)[2:-2] == 255).all()
    assert np.array_equal(fit(Image.fromarray(pixels[:, :10]), 10), pixels[:, :10])


@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_damaged_files_raise_nothing_but_a_users_mistake(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # damage may make sizes of 100 million
    whole = stored(Image.fromarray(PIXELS), format).getvalue()
    random, refused = np.random.RandomState(0), 0
    for length in [0, 1, *random.randint(2, len(whole) - 1, 20), *[len(whole)] * 40]:
        damaged = bytearray(whole[:length])
        if length == len(whole):
            for place in random.randint(0, length, 3):
                damaged[place] = random.randint(256)
        try:
            decode(io.BytesIO(damaged), "it")
        except UserError as error:
            refused += 1
            assert str(error).startswith("it is not an image that can be read (")
    assert refused >= 2, "at least what is empty and what is one byte long"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a.png, b/c.JPG, b/d [1].png, and things that are no images or hidden."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / ".git").mkdir()
    for name in ("a.png", "b/c.JPG", "b/d [1].png", ".hidden.png", ".git/e.png"):
        path = tmp_path / "in" / name
        Image.fromarray(PIXELS).save(path, "JPEG" if name.endswith("JPG") else "PNG")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    (tmp_path / "in" / "paper.pdf").write_text("Pillow writes such, but does not read it")
    return tmp_path / "in"


def test_find(folder: Path) -> None:
    everything = ["in/a.png", "in/b/c.JPG", "in/b/d [1].png"]
    for named, expected in [
        (["in"], everything),
        (["in/b", "in"], [*everything[1:], everything[0]]),
        (["in/**/*.png"], [everything[0], everything[2]]),
        (["in/b/d [1].png"], [everything[2]]),
        (["in/notes.txt"], ["in/notes.txt"]),
        ([folder / "a.png"], [str(folder / "a.png")]),
    ]:
        assert [str(path) for path in find(named)] == expected
    for named in ("nothing", "in/*.gif", "in/.git/x*"):
        with pytest.raises(UserError, match="no such file or folder, and no pattern"):
            find([named])
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"images=in/empty: no images in it"):
        find(["in/empty"])


def test_an_archive_with_a_password(folder: Path) -> None:
    archive = Path(shutil.make_archive("pack", "zip", folder))
    raw = bytearray(archive.read_bytes())
    at = -1
    while (at := raw.find(b"PK\x01\x02", at + 1)) >= 0:  # each member in the archive's directory
        raw[at + 8] |= 1  # its flags: encrypted
    archive.write_bytes(raw)
    with pytest.raises(UserError, match=r"pack.zip: \S+ is encrypted; unpack the archive and"):
        list(contents(archive))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_archives(folder: Path, kind: str) -> None:
    archive = Path(shutil.make_archive("pack", kind, folder))
    names = {name for name, _ in contents(archive)}
    assert {name.removeprefix(f"{archive}/").removeprefix("./") for name in names} == {
        "a.png", "b/c.JPG", "b/d [1].png",
    }  # fmt: skip
    for name, file in contents(archive):
        assert decode(file, name).size == (5, 6)
    assert find([archive]) == [archive]
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(UserError, match="the archive is damaged or cut short"):
        list(contents(archive))


def test_contents_of_a_file_is_the_file(folder: Path) -> None:
    assert list(contents(folder / "a.png")) == [(str(folder / "a.png"), folder / "a.png")]
    with tarfile.open(folder / "none.tar", "w"):
        pass
    assert list(contents(folder / "none.tar")) == []
