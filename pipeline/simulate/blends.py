"""Training scenes for the deblender: crowds of galaxies and stars, each target's light apart."""

import numpy as np
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.simulate.conditions import draw_conditions, observe
from pipeline.simulate.galaxies import STAR, draw_galaxy
from pipeline.simulate.render import Renderer

BAND = ("sim",)
CANVAS = 5  # side of a canvas, in halves of a stamp
TARGETS_PER_SCENE = 4
MIN_SNR = 3.5
MIN_CENTRAL_SHARE = 0.2
SEPARATIONS = 0.4, 5.0  # in a group, log-uniform: half-light radii, or half widths of the PSF
BINNED_SHARE = 0.45  # of the scenes, whose pixels are blocks of a detector's: large galaxies
BINNINGS = 2, 3, 4, 6, 8  # pixels along a block's side
BINNINGS_SHARES = 0.5, 0.2, 0.15, 0.1, 0.05
LARGE = 12  # half a side of the footprint for which stamps are binned, at least [pixel]
DIFFUSE_SHARE = 0.05  # of the scenes, which lie in a halo of light, as in a cluster
CONTAINED = 1000.0  # flux of a small source that is drawn on a stamp, in the sky's noise
EDGE = 4  # windows of targets end this far within the canvas, at least [pixel]
VISIBLE = 0.03  # of the target's flux: fainter neighbours do not count
DECADES_OF_SNR = 0.2, 4.0  # below 3.5 a source is a neighbour only
GROUPED = 0.6  # of the sources, which lie within a few radii of another
ALIKE = 0.5  # of those, whose brightness is about the other's: the hard blends
SCATTER_OF_ALIKE = 0.4  # of the S/N of those [decade]


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
        (distance of the nearest other source that has at least `VISIBLE` of its flux [pixel]),
        ``neighbour_dm`` (how much fainter that one is [mag]), ``sky_rms`` of a pixel,
        ``binning``, ``scene``.
    """
    stamps, rows, scene = [], [], 0
    while len(rows) < n:
        for stamp, row in _draw_scene(size, rng):
            stamps.append(stamp)
            rows.append({**row, "scene": scene})
        scene += 1
    flux, ivar, light = (np.stack(part[:n]) for part in zip(*stamps, strict=True))
    ids = np.arange(n)
    truth = Table(rows[:n])
    cutouts = Cutouts(
        flux[..., None],
        ivar[..., None],
        ids,
        np.zeros((n, 2), int),
        BAND,
        unit="ct",
        binning=np.asarray(truth["binning"]),
    )
    truth.add_column(ids, name="id", index=0)
    return cutouts, light, truth


def _draw_scene(size, rng):
    """Draw one canvas; yield the stamp and the truth of a few of its sources."""
    is_binned = rng.random() < BINNED_SHARE
    binning = int(rng.choice(BINNINGS, p=BINNINGS_SHARES)) if is_binned else 1
    conditions = draw_conditions(rng, binning=binning)
    sources = draw_crowd(conditions, size, rng)
    oversampling = _oversampling(conditions.fwhm)
    renderers = [Renderer(conditions.psf, n, oversampling) for n in (size, CANVAS * size // 2)]
    lights = np.stack([_draw_light(source, *renderers) for source in sources])
    total = lights.sum(0) + _diffuse_light(size, rng)
    flux, ivar = observe(total, conditions, rng)
    unit = 10 ** rng.uniform(-1, 3)
    limits = LARGE if is_binned else 0, 0.53 * size
    for i in _choose_targets(sources, lights, total, limits, rng):
        window, centre = _window(sources[i], size, rng)
        middle = slice(size // 2 - 2, size // 2 + 3)
        if not ivar[window][middle, middle].any():
            continue
        light = unit * np.stack([lights[i][window], (total - lights[i])[window]], axis=-1)
        row = _truth_of(i, sources, conditions)
        row |= {"x": centre[0], "y": centre[1], "flux": unit * row["flux"], "sky_rms": unit}
        yield (unit * flux[window], ivar[window] / unit**2, light.astype("f4")), row


def _oversampling(fwhm):
    return 1 if fwhm > 2.5 else 2 if fwhm > 1.2 else 3


def _draw_light(source, small, whole):
    """Light of a source on the canvas, drawn on a small part of it where nothing is beyond."""
    x, y, half = source["x"], source["y"], small.side // 2
    x0, y0, last = round(x) - half, round(y) - half, whole.side - small.side
    if (
        source["flux"] > CONTAINED
        or source["re"] > half / 16
        or not (0 <= min(x0, y0) <= max(x0, y0) <= last)
    ):
        return source["flux"] * whole.draw(source["galaxy"], x, y)
    light = np.zeros((whole.side, whole.side), "f4")
    own = source["flux"] * small.draw(source["galaxy"], x - x0, y - y0)
    light[y0 : y0 + small.side, x0 : x0 + small.side] = own
    return light


def draw_crowd(conditions, size, rng):
    """Draw sources about the middle of a canvas: groups in a field.

    The S/N runs from 1.6 to 10,000, the ratio of half-light radius to PSF from that of deep
    ground-based to that of space images; both broad, for no survey's own distribution may be
    learnt.  Separations inside a group are a few radii, where blends are hard.
    """
    # The ratio of sizes to the PSF: 1 from the ground, 6 and more from space.
    is_binned = conditions.binning > 1
    most = np.clip(14 / conditions.fwhm, 1, 16 if is_binned else 6)
    least = most / 4 if is_binned else 1
    sharpness = np.exp(rng.uniform(np.log(least), np.log(most)))
    mean = rng.choice([1.0, 3.0, 6.0, 12.0], p=[0.25, 0.4, 0.25, 0.1])
    crowd = []
    for _ in range(1 + rng.poisson(mean)):
        other = crowd[rng.integers(len(crowd))] if crowd and rng.random() < GROUPED else None
        source = _draw_source(conditions, sharpness, _draw_snr(other, rng), rng)
        if other:
            reach = np.hypot(max(source["re"], other["re"]), conditions.fwhm / 2)
            r = reach * np.exp(rng.uniform(*np.log(SEPARATIONS)))
            phi = rng.uniform(0, 2 * np.pi)
            source["x"], source["y"] = other["x"] + r * np.cos(phi), other["y"] + r * np.sin(phi)
        else:
            source["x"], source["y"] = CANVAS * size / 4 + size * rng.uniform(-0.8, 0.8, 2)
        crowd.append(source)
    return crowd


def _draw_snr(other, rng):
    """Draw a source's S/N, in a group at times about that of the `other` member it is near."""
    least, most = DECADES_OF_SNR
    if other and rng.random() < ALIKE:
        decade = np.log10(other["snr"]) + rng.normal(0, SCATTER_OF_ALIKE)
        return 10 ** np.clip(decade, least, most)
    return 10 ** (least + (most - least) * rng.beta(1, 1.5))


def _draw_source(conditions, sharpness, snr, rng):
    if rng.random() < 0.1:
        re, galaxy = 0.0, STAR
    else:
        typical = 0.4 * sharpness * (snr / 10) ** 0.2
        re = conditions.fwhm * typical * 10 ** rng.normal(0, 0.25)
        re = float(np.clip(re, 0.1 * conditions.fwhm, 14))
        galaxy = draw_galaxy(re, rng)
    flux = snr * np.sqrt(effective_pixels(re, conditions.fwhm))
    return {"galaxy": galaxy, "re": re, "snr": snr, "flux": flux}


def _diffuse_light(size, rng):
    """Light between the galaxies of a cluster, up to a few times the noise; mostly none."""
    side = CANVAS * size // 2
    if rng.random() > DIFFUSE_SHARE:
        return np.zeros((side, side), "f4")
    y, x = np.mgrid[:side, :side] - side * rng.uniform(0.2, 0.8, 2)[:, None, None]
    return (rng.uniform(0.3, 4) * np.exp(-np.hypot(x, y) / rng.uniform(15, 60))).astype("f4")


def effective_pixels(re, fwhm):
    """Pixels whose noise counts in an optimal measurement: ``4 pi sigma^2`` of a Gaussian.

    King (1983, PASP 95, 163); `re` and `fwhm` in pixels, the source taken as a Gaussian of its
    half-light radius convolved with the PSF.
    """
    return 4 * np.pi * ((fwhm / 2.355) ** 2 + (re / 1.177) ** 2)


def _choose_targets(sources, lights, total, limits, rng):
    """Indices of a few sources that a detection could have found, away from the canvas's edges.

    Their footprints' half sides are within `limits` [pixel], as where stamps are binned to fit.
    """
    possible, middle = [], total.shape[0] / 2
    farthest = middle * (1 - 2 / CANVAS) - EDGE
    for i, (source, own) in enumerate(zip(sources, lights, strict=True)):
        offset = max(abs(source["x"] - middle), abs(source["y"] - middle))
        if source["snr"] < MIN_SNR or offset > farthest:
            continue
        centre = round(source["y"]), round(source["x"])
        if own[centre] < MIN_CENTRAL_SHARE * total[centre]:
            continue
        if limits[0] <= _half_side(own, source) <= limits[1]:
            possible.append(i)
    return rng.permutation(possible)[:TARGETS_PER_SCENE].astype(int)


def _half_side(own, source):
    """Half a side of the square about a source that holds its light above the noise [pixel]."""
    y, x = np.nonzero(own > 1)
    return max(np.abs(y - source["y"]).max(initial=0), np.abs(x - source["x"]).max(initial=0))


def _window(source, size, rng):
    """Window of the canvas about a slightly wrong centre, and the true centre within it."""
    error = rng.normal(0, rng.choice([0.3, 2], p=[0.93, 0.07]) + 2 / source["snr"], 2)
    error = np.clip(error, 1 - EDGE, EDGE - 1)
    x0, y0 = (round(source[k] + e) - size // 2 for k, e in zip("xy", error, strict=True))
    return np.s_[y0 : y0 + size, x0 : x0 + size], (source["x"] - x0, source["y"] - y0)


def _truth_of(i, sources, conditions):
    """What is true of a source: of its neighbours, the nearest that is not much fainter."""
    source = sources[i]
    near = min(
        (
            (np.hypot(s["x"] - source["x"], s["y"] - source["y"]), s["flux"] / source["flux"])
            for k, s in enumerate(sources)
            if k != i and s["flux"] > VISIBLE * source["flux"]
        ),
        default=(np.inf, np.nan),
    )
    return {
        "flux": source["flux"],
        "re": source["re"],
        "snr": source["snr"],
        "fwhm": conditions.fwhm,
        "binning": conditions.binning,
        "n_sources": len(sources),
        "neighbour": near[0],
        "neighbour_dm": -2.5 * np.log10(near[1]),
    }
