"""Training scenes for the deblender: crowds of galaxies and stars, each target's light apart."""

import numpy as np
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.simulate.conditions import draw_conditions, observe
from pipeline.simulate.galaxies import STAR, draw_galaxy
from pipeline.simulate.render import Renderer

BAND = ("sim",)
CANVAS = 5  # side of a canvas, in halves of a stamp
TARGETS_PER_SCENE = 3
MIN_SNR = 4.0
MIN_CENTRAL_SHARE = 0.4


def draw_blends(n, size, rng):
    """Draw stamps centred on one of several overlapping sources.

    Parameters
    ----------
    n : int
        Number of stamps.
    size : int
        Side of a stamp [pixel].
    rng : numpy.random.Generator

    Returns
    -------
    cutouts : Cutouts
        Observed stamps, in arbitrary units of flux that differ from scene to scene.
    light : ndarray, (n, y, x, 2), float32
        Noiseless light of the target and of everything else, in the stamp's unit.
    truth : Table
        One row a stamp: ``id``, ``flux`` (total, of the target), ``re`` [pixel], ``snr``, ``fwhm``
        [pixel], ``x``, ``y`` (the target's centre in the stamp), ``n_sources``, ``neighbour``
        (distance of the nearest other source [pixel]), ``sky_rms`` of a pixel, and ``scene``.
    """
    stamps, rows, scene = [], [], 0
    while len(rows) < n:
        for stamp, row in _draw_scene(size, rng):
            stamps.append(stamp)
            rows.append({**row, "scene": scene})
        scene += 1
    flux, ivar, light = (np.stack(part[:n]) for part in zip(*stamps, strict=True))
    ids = np.arange(n)
    cutouts = Cutouts(flux[..., None], ivar[..., None], ids, np.zeros((n, 2), int), BAND, unit="ct")
    truth = Table(rows[:n])
    truth.add_column(ids, name="id", index=0)
    return cutouts, light, truth


def _draw_scene(size, rng):
    """Draw one canvas; yield the stamp and the truth of a few of its sources."""
    conditions = draw_conditions(rng)
    sources = draw_crowd(conditions, size, rng)
    renderer = Renderer(conditions.psf, CANVAS * size // 2, 2 if conditions.fwhm < 2.5 else 1)
    lights = np.stack([s["flux"] * renderer.draw(s["galaxy"], s["x"], s["y"]) for s in sources])
    total = lights.sum(0)
    flux, ivar = observe(total, conditions, rng)
    unit = 10 ** rng.uniform(-1, 3)
    for i in _choose_targets(sources, lights, total, size, rng):
        window, centre = _window(sources[i], size, rng)
        middle = slice(size // 2 - 2, size // 2 + 3)
        if not ivar[window][middle, middle].any():
            continue
        light = unit * np.stack([lights[i][window], (total - lights[i])[window]], axis=-1)
        row = _truth_of(i, sources, conditions)
        row |= {"x": centre[0], "y": centre[1], "flux": unit * row["flux"], "sky_rms": unit}
        yield (unit * flux[window], ivar[window] / unit**2, light.astype("f4")), row


def draw_crowd(conditions, size, rng):
    """Draw sources about the middle of a canvas: groups in a field.

    The S/N runs from 3 to 1000, the ratio of half-light radius to PSF from that of deep
    ground-based to that of space images; both broad, for no survey's own distribution may be
    learnt.  Separations inside a group are a few radii, where blends are hard.
    """
    # The ratio of sizes to the PSF: 1 from the ground, up to 6 from space.
    sharpness = np.exp(rng.uniform(0, np.log(min(6, 14 / conditions.fwhm))))
    mean = rng.choice([1.0, 3.0, 6.0, 12.0], p=[0.25, 0.35, 0.25, 0.15])
    crowd = []
    for _ in range(1 + rng.poisson(mean)):
        source = _draw_source(conditions, sharpness, rng)
        if crowd and rng.random() < 0.6:
            other = crowd[rng.integers(len(crowd))]
            reach = np.hypot(max(source["re"], other["re"]), conditions.fwhm / 2)
            r, phi = reach * rng.uniform(0.7, 5), rng.uniform(0, 2 * np.pi)
            source["x"], source["y"] = other["x"] + r * np.cos(phi), other["y"] + r * np.sin(phi)
        else:
            source["x"], source["y"] = CANVAS * size / 4 + size * rng.uniform(-0.8, 0.8, 2)
        crowd.append(source)
    return crowd


def _draw_source(conditions, sharpness, rng):
    snr = 10 ** (0.5 + 2.5 * rng.beta(1, 1.7))
    if rng.random() < 0.1:
        re, galaxy = 0.0, STAR
    else:
        typical = 0.4 * sharpness * (snr / 10) ** 0.2
        re = conditions.fwhm * typical * 10 ** rng.normal(0, 0.25)
        re = float(np.clip(re, 0.2, 14))
        galaxy = draw_galaxy(re, rng)
    flux = snr * np.sqrt(effective_pixels(re, conditions.fwhm))
    return {"galaxy": galaxy, "re": re, "snr": snr, "flux": flux}


def effective_pixels(re, fwhm):
    """Pixels whose noise counts in an optimal measurement: ``4 pi sigma^2`` of a Gaussian.

    King (1983, PASP 95, 163); `re` and `fwhm` in pixels, the source taken as a Gaussian of its
    half-light radius convolved with the PSF.
    """
    return 4 * np.pi * ((fwhm / 2.355) ** 2 + (re / 1.177) ** 2)


def _choose_targets(sources, lights, total, size, rng):
    """Indices of a few sources that a detection could have found, near the canvas's middle."""
    possible = []
    for i, (source, own) in enumerate(zip(sources, lights, strict=True)):
        offset = max(abs(source["x"] - CANVAS * size / 4), abs(source["y"] - CANVAS * size / 4))
        if source["snr"] < MIN_SNR or offset > size / 2:
            continue
        centre = round(source["y"]), round(source["x"])
        if own[centre] > MIN_CENTRAL_SHARE * total[centre]:
            possible.append(i)
    return rng.permutation(possible)[:TARGETS_PER_SCENE].astype(int)


def _window(source, size, rng):
    """Window of the canvas about a slightly wrong centre, and the true centre within it."""
    error = rng.normal(0, 0.3 + 2 / source["snr"], 2)
    x0, y0 = (round(source[k] + e) - size // 2 for k, e in zip("xy", error, strict=True))
    return np.s_[y0 : y0 + size, x0 : x0 + size], (source["x"] - x0, source["y"] - y0)


def _truth_of(i, sources, conditions):
    source = sources[i]
    apart = [
        np.hypot(s["x"] - source["x"], s["y"] - source["y"])
        for k, s in enumerate(sources)
        if k != i
    ]
    return {
        "flux": source["flux"],
        "re": source["re"],
        "snr": source["snr"],
        "fwhm": conditions.fwhm,
        "n_sources": len(sources),
        "neighbour": min(apart, default=np.inf),
    }
