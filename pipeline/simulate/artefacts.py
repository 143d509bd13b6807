"""What instruments add: saturated stars, cosmic rays, trails, bleeding columns and sky jumps.

Images are in units of the sky's noise in a pixel.
"""

import numpy as np

from pipeline.simulate.galaxies import STAR

KINDS = "cosmic ray", "trail", "column", "jump", "hot"


def draw_star(renderer, x, y, flux, rng):
    """Draw a star, when bright with spikes, a flat core, bleeding, or a ghost; (side, side)."""
    light = flux * renderer.draw(STAR, x, y)
    row, column = np.mgrid[: renderer.side, : renderer.side]
    dx, dy = column - x, row - y
    radius = np.hypot(dx, dy)
    if rng.random() < 0.7:
        light = light + _spikes(dx, dy, flux, rng)
    if rng.random() < 0.3:
        size, middle = rng.uniform(6, 25), rng.normal(0, 6, 2)
        ghost = np.hypot(dx - middle[0], dy - middle[1])
        disc = (ghost < size) & (ghost > size * rng.uniform(0, 0.5))
        light = light + disc * flux * 10 ** rng.uniform(-3, -2) / max(disc.sum(), 1)
    if rng.random() < 0.5:
        level = light.max() * 10 ** rng.uniform(-1.5, -0.1)
        light = np.minimum(light, level)
        if rng.random() < 0.4:
            bled = (np.abs(dx) < rng.uniform(0.5, 2)) & (np.abs(dy) < rng.uniform(5, 60))
            light = np.where(bled, level, light)
        elif rng.random() < 0.3:
            light = np.where(radius < rng.uniform(1, 3), 0, light)
    return light.astype("f4")


def _spikes(dx, dy, flux, rng):
    """Diffraction spikes: four, six or eight rays that fall off with distance."""
    turn, number = rng.uniform(0, np.pi), int(rng.choice([2, 2, 3, 4]))
    length, width = rng.uniform(4, 20), rng.uniform(0.5, 1.2)
    rays = np.zeros(dx.shape)
    for i in range(number):
        angle = turn + i * np.pi / number
        across = dy * np.cos(angle) - dx * np.sin(angle)
        along = np.abs(dx * np.cos(angle) + dy * np.sin(angle))
        rays += np.exp(-0.5 * (across / width) ** 2 - along / length)
    return rays * flux * 10 ** rng.uniform(-2.5, -1) / rays.sum()


def draw_artefact(shape, rng):
    """Draw a defect that no mask has caught; (y, x)."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    centre = np.array(shape) / 2 + rng.normal(0, shape[0] / 8, 2)
    dx, dy = column - centre[1], row - centre[0]
    angle, height = rng.uniform(0, np.pi), 10 ** rng.uniform(0.6, 2.2)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    kind = rng.choice(KINDS, p=[0.35, 0.25, 0.15, 0.15, 0.1])
    if kind == "cosmic ray":
        half, bend = rng.uniform(0.5, 12), rng.normal(0, 0.02)
        return height * ((np.abs(across - bend * along**2) < 0.6) & (np.abs(along) < half))
    if kind == "trail":
        return height / 5 * np.exp(-0.5 * (across / rng.uniform(0.7, 3)) ** 2)
    if kind == "column":
        column_light = height * (np.abs(dx) < rng.uniform(0.5, 2)) * (dy > 0)
        return np.rot90(column_light, rng.integers(4))
    if kind == "jump":
        return rng.uniform(-3, 3) * (np.rot90(dx, rng.integers(4)) > 0)
    hot = rng.random(shape) < 10 ** rng.uniform(-3.5, -2)
    return height * hot
