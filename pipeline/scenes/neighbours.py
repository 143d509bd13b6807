"""Sources about a scene's target as a detection has them: overlooked, or in stamps of their own."""

import jax
import jax.numpy as jnp

MOST = 3  # companions of a target
MIN_CENTRAL_SHARE = 0.2  # of the light at its place, that a source could be found there
MIN_SNR = 5.0  # of such a source
ERROR, FARTHEST = (0.3, 2.0), 3.0  # of its position: sigma, what S/N adds to it, limit [pixel]
OVERLOOKED = 0.5  # of the scenes, in which sources without a peak of their own are not known
DIP = 0.02, 1.0  # of the light on the way to a peak: of the peak's light, and sky sigmas, at least
STEPS = 12  # of that way
WINDOW, WIDEST = 0.85, 4.0  # sigma of a centroid's window: half-light radii, and at most [pixel]
HALF, OFF = 16, 6.0  # half a side of the square in which it is measured, and its limit [pixel]
ITERATIONS = 5


def overlooked(light, sources, dice):
    """Choose the sources that nobody tells from the target; (source - 1,).

    In `OVERLOOKED` of the scenes, they are those in whose direction the light falls from the target
    on, without a dip; in the others none.

    Parameters
    ----------
    light : array, (side, side)
        Noiseless, of all sources [sky sigma].
    sources : dict of array, (source,)
        ``x``, ``y`` on the canvas; the target comes first.
    dice : Dice
    """
    way = jnp.linspace(0.0, 1.0, STEPS + 1)[:, None]
    x, y = (v[0] + way * (v[1:] - v[0]) for v in (sources["x"], sources["y"]))
    row, column = (jnp.clip(jnp.round(v), 0, len(light) - 1).astype("int32") for v in (y, x))
    on_the_way = light[row, column]
    peak = on_the_way[-1]
    dips = on_the_way.min(0) < peak - jnp.maximum(DIP[0] * peak, DIP[1])
    return dice.chance(OVERLOOKED) & ~dips & (peak <= on_the_way[0])


def displacement(light, sources, hidden, fwhm):
    """How far a detection that takes `hidden` sources for part of the target is from it; x, y.

    It is at the windowed centroid of the light: Bertin & Arnouts (SExtractor's manual, "windowed
    positional parameters").

    Parameters
    ----------
    light, sources
        As of `overlooked`; of the target, ``re`` [pixel] too.
    hidden : array, (source - 1,)
    fwhm : float
        Of the PSF [pixel].
    """
    start = jnp.stack([sources["x"][0], sources["y"][0]])
    first = jnp.round(start).astype("int32") - HALF
    side = 2 * HALF + 1
    light = jax.lax.dynamic_slice(light, (first[1], first[0]), (side, side))
    columns, rows = (at + jnp.arange(side) for at in first)
    sigma = jnp.minimum(WINDOW * jnp.hypot(sources["re"][0], fwhm / 2), WIDEST)
    at = start
    for _ in range(ITERATIONS):
        x, y = columns - at[0], rows[:, None] - at[1]
        weight = light * jnp.exp(-(x**2 + y**2) / (2 * sigma**2))
        mean = jnp.stack([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        at = start + jnp.clip(at + 2 * mean - start, -OFF, OFF)
    is_merged = (hidden & (sources["flux"][1:] > 0)).any()
    return jnp.where(is_merged, at - start, 0.0)


def cut_companions(planes, seen, sources, target, dice):
    """Cut stamps of the `MOST` nearest sources that are known and whose stamps overlap.

    Parameters
    ----------
    planes : tuple of array, (side, side)
        Flux and ivar of the whole canvas.
    seen : array, (2, side, side)
        Noiseless light of the target and of all others [sky sigma].
    sources : dict of array, (source,)
        ``x``, ``y`` on the canvas, ``snr``, ``flux`` (0 of one that is not there), ``known``; the
        target comes first.
    target : array of int, (2,), and int
        Corner x, y of the target's stamp, and its side.
    dice : Dice

    Returns
    -------
    dict of array
        ``flux``, ``ivar`` (MOST, y, x); ``shift`` (MOST, 2), the corner's x, y [pixel], that of
        the target's stamp being 0; ``there`` (MOST,), False where there are fewer.
    """
    side, (own, size) = seen.shape[-1], target
    x, y = (sources[k][1:] for k in "xy")
    row, column = (jnp.clip(jnp.round(v), 0, side - 1).astype("int32") for v in (y, x))
    light = seen[:, row, column]
    found = sources["known"][1:] & (sources["flux"][1:] > 0) & (sources["snr"][1:] > MIN_SNR)
    found &= light[1] >= MIN_CENTRAL_SHARE * light.sum(0)
    corner = _corners(jnp.stack([x, y], axis=-1), sources["snr"][1:], size, dice)
    found &= ((corner >= 0) & (corner <= side - size) & (abs(corner - own) < size)).all(-1)
    apart = jnp.hypot(x - sources["x"][0], y - sources["y"][0])
    nearest = jnp.argsort(jnp.where(found, apart, jnp.inf))[:MOST]
    corner = jnp.clip(corner[nearest], 0, side - size)
    flux, ivar = (
        jnp.stack([jax.lax.dynamic_slice(v, (at[1], at[0]), (size, size)) for at in corner])
        for v in planes
    )
    there = found[nearest]
    return {"flux": flux, "ivar": ivar, "shift": corner - own, "there": there}


def _corners(place, snr, size, dice):
    """Corners of stamps centred on detections of sources at `place` (n, 2) [pixel]."""
    sigma = ERROR[0] + ERROR[1] / snr[:, None]
    error = jnp.clip(dice.normal(0, sigma, place.shape), -FARTHEST, FARTHEST)
    return jnp.round(place + error).astype("int32") - size // 2
