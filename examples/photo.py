"""Draws photo.png, the sample photograph: a ray-traced still life of our own, so that there is one
without anybody's rights in it. ``python examples/photo.py`` makes the same file again.

Three balls (striped, glossy and red, matt and blue) on a chequered floor before an evening sky, one
lamp with a soft shadow, a little grain. Edges in all directions, textures, plain surfaces and
colours: something for every filter.
"""

from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, SAMPLES = 320, 240, 3  # pixels; rays a pixel, along each axis
EYE = np.array([0.0, 1.25, -4.2])
LAMP = np.array([-4.0, 6.0, -3.0])
CENTRES = np.array([[-1.15, 0.9, 0.3], [0.75, 0.62, -0.45], [1.75, 0.95, 1.5]])  # of the balls
RADII = np.array([0.9, 0.62, 0.95])
GLOSS = (0.05, 0.28, 0.0)  # share of mirrored light
FAR = 1e9


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def hit(origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest thing, and which: a ball's number, 3 the floor, -1 the sky."""
    distance, thing = np.full(len(rays), FAR), np.full(len(rays), -1)
    for number, (centre, radius) in enumerate(zip(CENTRES, RADII, strict=True)):
        towards = origins - centre
        half = (towards * rays).sum(1)
        root = half**2 - (towards**2).sum(1) + radius**2
        near = -half - np.sqrt(np.maximum(root, 0))
        closer = (root > 0) & (near > 1e-4) & (near < distance)
        distance[closer], thing[closer] = near[closer], number
    with np.errstate(divide="ignore"):
        floor = np.where(rays[:, 1] < 0, -origins[:, 1] / rays[:, 1], FAR)
    closer = (floor > 1e-4) & (floor < distance)
    distance[closer], thing[closer] = floor[closer], 3
    return distance, thing


def sky(rays: np.ndarray) -> np.ndarray:
    """Orange at the horizon, blue above, with clouds in streaks."""
    height = np.clip(rays[:, 1:2], 0, 1) ** 0.6
    colour = (1 - height) * [0.98, 0.78, 0.55] + height * [0.25, 0.45, 0.8]
    across, up = rays[:, 0] / (rays[:, 1] + 0.25), 1 / (rays[:, 1] + 0.25)
    streaks = sum(
        np.sin(f * across + 1.7 * f * up + phase) / f
        for f, phase in ((1.3, 0.4), (2.9, 2.1), (5.3, 4.0), (9.7, 1.0), (17.0, 5.5))
    )
    cloud = np.clip(streaks[:, None] * 0.9 - 0.15, 0, 0.7)
    return colour * (1 - cloud) + cloud * [1.0, 0.95, 0.92]


def surface(points: np.ndarray, normals: np.ndarray, thing: np.ndarray) -> np.ndarray:
    """Colours, in [0, 1]."""
    colours = np.zeros_like(points)
    slanted = normals @ unit(np.array([0.55, 0.8, -0.3])) * 9.0
    striped = (np.sin(3.0 * slanted) > 0)[:, None]
    colours[:] = np.where(striped, [0.93, 0.91, 0.85], [0.09, 0.08, 0.1])
    colours[thing == 1] = [0.78, 0.08, 0.07]
    speckle = 0.07 * np.sin(23 * normals[:, 0]) * np.sin(29 * normals[:, 1] + 2)
    colours = np.where((thing == 2)[:, None], speckle[:, None] + [0.12, 0.36, 0.72], colours)
    tiles = (np.floor(points[:, 0] * 1.1) + np.floor(points[:, 2] * 1.1)) % 2
    grain = 0.03 * np.sin(7 * points[:, 0] + 2 * np.sin(3 * points[:, 2]))
    floor = np.where(tiles[:, None] > 0, [0.62, 0.47, 0.32], [0.36, 0.25, 0.17]) + grain[:, None]
    return np.where((thing == 3)[:, None], floor, colours)


def lit(points: np.ndarray, normals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light that a point gets from the lamp, which is a ball: soft shadows from eight rays."""
    total = np.zeros(len(points))
    for _ in range(8):
        way = LAMP + rng.normal(0, 0.45, points.shape) - points
        distance = np.linalg.norm(way, axis=1)
        rays = way / distance[:, None]
        blocked = hit(points + 1e-3 * normals, rays)[0] < distance
        total += np.where(blocked, 0, np.clip((normals * rays).sum(1), 0, None))
    return total / 8


def trace(
    origins: np.ndarray, rays: np.ndarray, rng: np.random.Generator, depth: int = 2
) -> np.ndarray:
    """Colour that each ray sees."""
    distance, thing = hit(origins, rays)
    colours = sky(rays)
    seen = np.flatnonzero(thing >= 0)
    if not len(seen):
        return colours
    rays, thing = rays[seen], thing[seen]
    points = origins[seen] + distance[seen, None] * rays
    ball = (thing < 3)[:, None]
    normals = np.where(ball, unit(points - CENTRES[np.minimum(thing, 2)]), [0.0, 1.0, 0.0])
    light = lit(points, normals, rng)[:, None]
    around = 0.32 + 0.14 * normals[:, 1:2]  # from the sky
    found = surface(points, normals, thing) * (
        around * [0.9, 1.0, 1.15] + light * [0.95, 0.85, 0.7]
    )
    mirrored = rays - 2 * (rays * normals).sum(1, keepdims=True) * normals
    gloss = np.choose(thing, [*GLOSS, 0.0])[:, None]
    if depth:
        found = found + gloss * trace(points + 1e-3 * normals, mirrored, rng, depth - 1)
    spot = (mirrored * unit(LAMP - points)).sum(1, keepdims=True).clip(0) ** 60
    found = found + spot * (gloss > 0) * 0.8 * (light > 0.05)
    haze = (1 - np.exp(-((distance[seen] / 22) ** 2)))[:, None]
    colours[seen] = found * (1 - haze) + haze * [0.98, 0.78, 0.55]
    return colours


def main() -> None:
    rng = np.random.default_rng(0)
    columns = (np.arange(WIDTH * SAMPLES) + 0.5) / SAMPLES - WIDTH / 2
    rows = HEIGHT * 0.47 - (np.arange(HEIGHT * SAMPLES) + 0.5) / SAMPLES
    x, y = np.meshgrid(columns / WIDTH, rows / WIDTH)
    rays = unit(np.stack([x, y - 0.04, np.full_like(x, 0.85)], axis=-1).reshape(-1, 3))
    colours = trace(np.broadcast_to(EYE, rays.shape), rays, rng)
    fine = colours.reshape(HEIGHT, SAMPLES, WIDTH, SAMPLES, 3)
    image = fine.mean(axis=(1, 3)) ** (1 / 1.35)
    image += rng.normal(0, 0.008, (HEIGHT, WIDTH, 1))  # grain
    pixels = np.rint(255 * image.clip(0, 1)).astype(np.uint8)
    Image.fromarray(pixels).save(Path(__file__).with_name("photo.png"), optimize=True)


if __name__ == "__main__":
    main()
