"""Stamps of the sources about a scene's target, as the chain would cut them if it found them."""

import jax
import jax.numpy as jnp

MOST = 3  # companions of a target
MIN_CENTRAL_SHARE = 0.2  # of the light at its place, that a source could be found there
MIN_SNR = 5.0  # of such a source
ERROR, FARTHEST = (0.3, 2.0), 3.0  # of its position: sigma, what S/N adds to it, limit [pixel]
OVERLOOKED = 0.5  # of the scenes, in which sources without a peak of their own are not known
DIP = 0.02, 1.0  # of the light on the way to a peak: of the peak's light, and sky sigmas, at least
STEPS = 12  # of that way


def cut_companions(planes, size, seen, sources, dice):
    """Cut stamps of the `MOST` nearest sources that are known and whose stamps overlap.

    Known are those that could be found; in `OVERLOOKED` of the scenes, such only as a detection by
    peaks would separate from the target.

    Parameters
    ----------
    planes : tuple of array, (side, side)
        Flux and ivar of the whole canvas.
    size : int
        Side of a stamp; the target's is in the middle of the canvas.
    seen : array, (2, side, side)
        Noiseless light of the target and of all others [sky sigma].
    sources : dict of array, (source,)
        ``x``, ``y`` on the canvas, ``snr``, ``flux`` (0 of one that is not there); the target
        comes first.
    dice : Dice

    Returns
    -------
    dict of array
        ``flux``, ``ivar`` (MOST, y, x); ``shift`` (MOST, 2), the corner's x, y [pixel], that of
        the target's stamp being 0; ``there`` (MOST,), False where there are fewer.
    array of bool, (source - 1,)
        Whether each of the others has a stamp.
    """
    side = seen.shape[-1]
    margin = (side - size) // 2
    x, y = (sources[k][1:] for k in "xy")
    row, column = (jnp.clip(jnp.round(v), 0, side - 1).astype("int32") for v in (y, x))
    light = seen[:, row, column]
    found = (sources["flux"][1:] > 0) & (sources["snr"][1:] > MIN_SNR)
    found &= light[1] >= MIN_CENTRAL_SHARE * light.sum(0)
    found &= dice.chance(1 - OVERLOOKED) | _peaks(seen.sum(0), sources)
    corner = _corners(jnp.stack([x, y], axis=-1), sources["snr"][1:], size, dice)
    found &= ((corner >= 0) & (corner <= side - size) & (abs(corner - margin) < size)).all(-1)
    apart = jnp.hypot(x - sources["x"][0], y - sources["y"][0])
    nearest = jnp.argsort(jnp.where(found, apart, jnp.inf))[:MOST]
    corner = jnp.clip(corner[nearest], 0, side - size)
    flux, ivar = (
        jnp.stack([jax.lax.dynamic_slice(v, (at[1], at[0]), (size, size)) for at in corner])
        for v in planes
    )
    there = found[nearest]
    known = jnp.zeros_like(found).at[nearest].set(there)
    return {"flux": flux, "ivar": ivar, "shift": corner - margin, "there": there}, known


def _peaks(light, sources):
    """Whether the light dips between the target and each of the others; (source - 1,)."""
    way = jnp.linspace(0.0, 1.0, STEPS + 1)[:, None]
    x, y = (v[0] + way * (v[1:] - v[0]) for v in (sources["x"], sources["y"]))
    row, column = (jnp.clip(jnp.round(v), 0, len(light) - 1).astype("int32") for v in (y, x))
    on_the_way = light[row, column]
    peak = on_the_way[-1]
    return on_the_way.min(0) < peak - jnp.maximum(DIP[0] * peak, DIP[1])


def _corners(place, snr, size, dice):
    """Corners of stamps centred on detections of sources at `place` (n, 2) [pixel]."""
    sigma = ERROR[0] + ERROR[1] / snr[:, None]
    error = jnp.clip(dice.normal(0, sigma, place.shape), -FARTHEST, FARTHEST)
    return jnp.round(place + error).astype("int32") - size // 2
