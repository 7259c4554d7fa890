"""Ten classes of drawn shapes: a stand-in for CIFAR-10 where there is no network.

Each image shows one shape of random size, place, rotation and colour, brighter or darker than a
background of slopes, ripples and small spots, under pixel noise. Colour says nothing about the
class and no pixel says much by itself: least squares on the mean colour gets 10 % of test images
right, on the mean and spread of each channel with their products 12 %, on all pixels (ridge) 12 %.
What does tell the classes apart is the outline, wherever it lies, so that convolution helps and
depth helps more. A wide range of sizes and contrasts gives a network easy images to start from
and hard ones to improve on.

Test accuracy, 9,000 images of seed 0 to train on and 2,000 of seed 1 to test, one thread a run on
two CPU cores, channels scaled to mean 0 and deviation 1, batches of 64, SGD at rate 0.05 without
momentum:

    MLP, 3072-200-10                                     8 epochs  46.8, 45.2, 44.5 %
    three 5x5 convolutions (32, 64, 128), two linear     8 epochs  86.4*, 80.0, 85.6 %
    five 3x3 with batch norm (64, 128, 128, 256, 256)    4 epochs  90.2* % (weight seed 1 only)
    five 3x3 with batch norm (128, 512, 512, 512, 512)   4 epochs  92.6* % (weight seed 0 only)

for weight seeds 0, 1, 2; * in bfloat16 autocast. At a constant rate the last epochs move by several
points. The second network leaves chance slowly: 12 to 15 % after epoch 1, 22 to 26 % after 2.

The random stream is that of `RandomState`, frozen by NumPy (NEP 19). Floating-point functions may
round differently on another machine; as pixels are continuous in them, that moves few values, by
one grey level (11 of 6,144,000 between two sets of CPU instructions).
"""

from collections.abc import Callable

import numpy as np

# What sets the difficulty. Lengths are in half image widths, levels are in grey levels of 256.
RADIUS = (0.25, 0.75)  # radius of a shape
REACH = 1.0  # largest distance of a shape's far side from the image centre, along an axis
TURN = 0.35  # largest rotation, in radians: 20 degrees, so that a plus stays a plus
CONTRAST = (45.0, 180.0)  # step from background to shape, brighter or darker
LEAN = 0.15  # share of that step by which the background moves the other way
TINT = 30.0  # largest departure of one colour channel from a grey tone
SHADE = 20.0  # largest departure of the background from mid grey, per colour channel
SLOPE = 25.0  # largest change of the background from the centre to an edge
WAVES, WAVE_LEVEL, WAVE_RATE = 2, 22.0, (4.0, 12.0)  # ripples; rate in radians
SPOTS, SPOT_LEVEL, SPOT_SIZE = 4, 90.0, (0.07, 0.16)  # small blobs that belong to no class
NOISE = 30.0  # largest pixel noise, uniform

CHUNK = 250  # images drawn at a time; the working arrays of a class then fit the cache


def _disk(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v) - 0.85


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.sqrt(u * u + v * v) - 0.7) - 0.2


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) - 0.75


def _frame(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.abs(np.maximum(np.abs(u), np.abs(v)) - 0.65) - 0.18


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(0.866 * np.abs(u) - 0.5 * v, v) - 0.53


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # A five-pointed star is where at most one of the lines along its edges is overstepped.
    first = second = np.full_like(u, -9.0)
    for k in range(5):
        turn = 2.0 * np.pi * (k + 0.5) / 5.0
        line = np.float32(np.sin(turn)) * u - np.float32(np.cos(turn)) * v
        second = np.maximum(second, np.minimum(first, line))
        first = np.maximum(first, line)
    return second - 0.36


def _plus(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(a, b) - 0.9, np.minimum(a, b) - 0.24)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _plus(0.7071 * (u + v), 0.7071 * (u - v))


def _crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    bite = 0.72 - np.sqrt((u - 0.42) ** 2 + v * v)
    return np.maximum(np.sqrt(u * u + v * v) - 0.9, bite)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a = np.abs(v)
    return np.maximum(np.abs(u) - 0.85, np.minimum(a, np.abs(a - 0.66)) - 0.18)


# Signed distance to the outline, below 0 inside, at (u, v): right and down, in units of the radius.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disk": _disk,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "star": _star,
    "plus": _plus,
    "cross": _cross,
    "crescent": _crescent,
    "stripes": _stripes,
}
CLASSES: tuple[str, ...] = tuple(SHAPES)


def _background(rng: np.random.RandomState, axis: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Slopes, ripples and spots on the colours `base` (CHUNK, 3): float32 (CHUNK, 3, size, size).

    Each is a sum of products f(x) g(y) colour, so one matrix product per image draws them all.
    """
    n, size = CHUNK, len(axis)
    slope = rng.uniform(-SLOPE, SLOPE, (n, 2, 3))
    rate, angle, phase = (
        rng.uniform(low, high, (n, WAVES, 1))
        for low, high in (WAVE_RATE, (0.0, 2.0 * np.pi), (0.0, 2.0 * np.pi))
    )
    wave = rng.uniform(-WAVE_LEVEL, WAVE_LEVEL, (n, WAVES, 3))
    place = rng.uniform(-1.0, 1.0, (n, SPOTS, 2, 1))
    spot = np.exp(-(((axis - place) / rng.uniform(*SPOT_SIZE, (n, SPOTS, 2, 1))) ** 2))
    spot_colour = rng.uniform(-SPOT_LEVEL, SPOT_LEVEL, (n, SPOTS, 1))
    spot_colour = spot_colour + rng.uniform(-TINT, TINT, (n, SPOTS, 3))
    # A ripple is sin(a + b) = cos a sin b + sin a cos b, a along x and b along y.
    a, b = rate * np.cos(angle) * axis, rate * np.sin(angle) * axis + phase
    one, line = np.ones((n, 1, size)), np.broadcast_to(axis, (n, 1, size))
    across = np.concatenate((one, line, one, np.cos(a), np.sin(a), spot[:, :, 0]), axis=1)
    down = np.concatenate((one, one, line, np.sin(b), np.cos(b), spot[:, :, 1]), axis=1)
    colour = np.concatenate((base[:, None], slope, wave, wave, spot_colour), axis=1)
    left = colour.transpose(0, 2, 1)[:, :, None] * down.transpose(0, 2, 1)[:, None]
    left = left.astype(np.float32).reshape(n, 3 * size, -1)
    return np.matmul(left, across.astype(np.float32)).reshape(n, 3, size, size)


def _cover(rng: np.random.RandomState, axis: np.ndarray) -> np.ndarray:
    """How much of each pixel the shape covers, 0 to 1: float32 (CHUNK, size, size)."""
    n, size = CHUNK, len(axis)
    radius = rng.uniform(*RADIUS, (n, 1))
    centre = rng.uniform(-1.0, 1.0, (n, 2)) * (REACH - radius)
    turn = rng.uniform(-TURN, TURN, (n, 1))
    mirror = rng.choice((-1.0, 1.0), (n, 1))
    x, y = (axis - centre[:, :1]) / radius, (axis - centre[:, 1:]) / radius
    c, s = np.cos(turn), np.sin(turn)
    ux, uy, vx, vy = (
        part.astype(np.float32) for part in (mirror * c * x, mirror * s * y, -s * x, c * y)
    )
    pixels = (radius * (size / 2)).astype(np.float32)[:, :, None]
    cover = np.empty((n, size, size), np.float32)
    for label, shape in enumerate(SHAPES.values()):
        k = slice(label, None, len(SHAPES))
        distance = shape(ux[k, None, :] + uy[k, :, None], vx[k, None, :] + vy[k, :, None])
        distance *= pixels[k]
        np.clip(0.5 - distance, 0.0, 1.0, out=cover[k])  # an edge one pixel wide
    return cover


def _chunk(rng: np.random.RandomState, axis: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, uint8 (at most CHUNK, size, size, 3), with images of labels 0 to 9 in turn."""
    n, size = len(out), len(axis)
    step = rng.choice((-1.0, 1.0), (CHUNK, 1)) * rng.uniform(*CONTRAST, (CHUNK, 1))
    step = step + rng.uniform(-TINT, TINT, (CHUNK, 3))
    base = 128.0 + rng.uniform(-SHADE, SHADE, (CHUNK, 3)) - LEAN * step
    tone = (base + step).astype(np.float32)[:, :, None, None]
    image = _background(rng, axis, base)
    cover = _cover(rng, axis)[:n]
    # Drawn last and image by image: a chunk cut short starts with the same images as a whole one.
    noise = np.frombuffer(rng.bytes(n * 3 * size * size), np.uint8).reshape(n, 3, size, size)
    for c in range(3):
        plane = image[:n, c]
        value = (tone[:n, c] - plane) * cover
        value += plane
        value += noise[:, c] * np.float32(2.0 * NOISE / 255.0)
        value -= np.float32(NOISE - 0.5)  # the half makes the cut to uint8 below a rounding
        np.clip(value, 0.0, 255.0, out=value)
        np.copyto(out[..., c], value, casting="unsafe")


def draw(num: int, seed: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Draw `num` images: uint8 (num, size, size, 3), 0 to 255, and labels int64 (num,), 0 to 9.

    Image i has label i % 10, so every prefix is balanced, and draw(m, seed) is the beginning of
    draw(n, seed) for m < n. Another seed gives other images of the same ten classes.
    """
    rng = np.random.RandomState(seed)
    axis = (2.0 * np.arange(size) + 1.0) / size - 1.0
    images = np.empty((num, size, size, 3), np.uint8)
    for start in range(0, num, CHUNK):
        _chunk(rng, axis, images[start : start + CHUNK])
    return images, np.arange(num, dtype=np.int64) % len(CLASSES)
