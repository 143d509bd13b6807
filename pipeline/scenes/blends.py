"""Training scenes for the deblender: a source among its neighbours, its light apart."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.detection.psf import effective_pixels
from pipeline.scenes import light
from pipeline.scenes.conditions import draw_conditions, observe
from pipeline.scenes.device import each
from pipeline.scenes.dice import Dice, accepted_first
from pipeline.scenes.galaxies import draw_galaxy, placed
from pipeline.scenes.neighbours import MIN_CENTRAL_SHARE, cut_companions
from pipeline.scenes.optics import MOFFAT_BETAS, Canvas, response

CANVAS = Canvas(128)  # twice a stamp, so that little light comes back from beyond its edges
PROFILES = 1, len(MOFFAT_BETAS)  # of PSFs: without the widest wings, and without rings
SURPLUS = 1.6  # scenes drawn for one that is accepted
SOURCES = 9  # of a scene, at most
NEIGHBOURS = {1.0: 0.35, 3.0: 0.4, 6.0: 0.25}  # mean number, and share of the scenes
MIN_SNR = 3.5  # of a target; below, a source is a neighbour only
MIN_BINNED = 30.0, 4.5  # S/N and half-light radius [pixel] of a target that needs binning, at least
DECADES_OF_SNR = 0.2, 4.0
SEPARATIONS = 0.4, 5.0  # in a group, log-uniform: half-light radii, or half widths of the PSF
GROUPED = 0.6  # of the neighbours, which lie within a few radii of another source
ALIKE = 0.5  # of those, whose brightness is about the other's: the hard blends
SCATTER_OF_ALIKE = 0.4  # of the S/N of those [decade]
FIELD = 48.0  # other neighbours lie so far from the target, at most, along each axis [pixel]
STARS = 0.1  # of the sources
BINNED_SHARE = 0.45  # of the scenes, whose pixels are blocks of a detector's: large galaxies
BINNINGS = {2: 0.5, 3: 0.2, 4: 0.15, 6: 0.1, 8: 0.05}  # pixels along a block's side, and share
LARGE = 12.0  # half a side of the footprint for which stamps are binned, at least [pixel]
LARGEST = 34.0  # half a side of a target's footprint, at most [pixel]
LARGEST_RE = 14.0  # [pixel]
DIFFUSE_SHARE = 0.05  # of the scenes, which lie in a halo of light, as in a cluster
VISIBLE = 0.03  # of the target's flux: fainter neighbours do not count
ERRORS = {0.3: 0.93, 2.0: 0.07}  # of the detection's position [pixel], and share
FARTHEST = 3.0  # of the target from the stamp's middle pixel, but for its fraction [pixel]


def draw_batch(key, n, size, companions=False):
    """Draw `n` scenes at once, as `draw_scene` does; few of them, if any, are not ``accepted``."""
    keys = jax.random.split(key, int(np.ceil(SURPLUS * n)))
    draw = partial(draw_scene, size=size, companions=companions)
    return accepted_first(each(draw, keys), n)


def draw_scene(key, size, companions=False):
    """Draw a stamp centred on one of several overlapping sources.

    Neighbours are log-uniform in separation, in units of radii, and in half of the groups of like
    brightness, where blends are hard.  The S/N runs from 1.6 to 10,000, the ratio of half-light
    radius to PSF from that of deep ground-based to that of space images; both broad, for no
    survey's own distribution may be learnt.

    Parameters
    ----------
    key : jax.Array
    size : int
        Side of the stamp [pixel].
    companions : bool
        Whether other sources have stamps too.

    Returns
    -------
    dict of array
        ``flux``, ``ivar`` (y, x), in a unit that differs from scene to scene; ``light``
        (y, x, 2), noiseless, of the target and of everything else; ``truth``, a dict: ``flux``
        (total, of the target), ``re`` [pixel], ``snr``, ``fwhm`` [pixel], ``x``, ``y`` (of the
        target, in the stamp), ``n_sources``, ``neighbour`` (distance of the nearest other source
        that has at least `VISIBLE` of its flux [pixel]; inf if none), ``neighbour_dm`` (how much
        fainter that one is [mag]), ``sky_rms`` of a pixel, ``binning``; ``accepted``, whether a
        detection could have found the target; and, with `companions`, these, as
        `pipeline.scenes.neighbours` cuts them, and ``neighbour_known`` in ``truth``: whether that
        neighbour has a stamp.
    """
    dice = Dice(key)
    binning = jnp.where(
        dice.chance(BINNED_SHARE), dice.choice(list(BINNINGS), list(BINNINGS.values())), 1
    )
    conditions = draw_conditions(dice, PROFILES, binning=binning)
    sources, galaxies = _draw_crowd(dice, conditions)
    seen = _see(galaxies, conditions.psf)
    margin = (CANVAS.side - size) // 2
    window = slice(margin, margin + size)
    diffuse = _diffuse_light(size, margin, dice)
    own, other = seen[0][window, window], (seen[1] + diffuse)[window, window]
    flux, ivar = observe(own + other, conditions, dice)
    unit = 10 ** dice.uniform(-1.0, 3.0)
    truth = _truth_of(sources, conditions, margin)
    scene = {
        "flux": unit * flux,
        "ivar": ivar / unit**2,
        "light": unit * jnp.stack([own, other], axis=-1),
        "truth": truth | {"flux": unit * sources["flux"][0], "sky_rms": unit},
        "accepted": _could_be_found(seen, ivar, truth, binning, margin),
    }
    if companions:
        around = observe(seen.sum(0) + diffuse, conditions, dice)
        planes = [v.at[window, window].set(w) for v, w in zip(around, (flux, ivar), strict=True)]
        planes = unit * planes[0], planes[1] / unit**2
        scene["companions"], known = cut_companions(planes, size, seen, sources, dice)
        near, apart = _nearest(sources)
        scene["truth"]["neighbour_known"] = known[near] & jnp.isfinite(apart)
    return scene


def _draw_crowd(dice, conditions):
    """Draw the target and its neighbours: their table, each (source,), and their light."""
    fwhm, is_binned = conditions.psf.fwhm, conditions.binning > 1
    # The ratio of sizes to the PSF: half to 1 from the ground, several from space, where galaxies
    # of 0.2 to 0.5 arcsec are seen through 0.1 (Leauthaud et al. 2007, ApJS 172, 219).
    most = jnp.where(is_binned, jnp.clip(14 / fwhm, 1.0, 16.0), jnp.clip(24 / fwhm, 1.0, 10.0))
    sharpness = dice.log_uniform(jnp.where(is_binned, most / 4, 0.5), most)
    mean = dice.choice(list(NEIGHBOURS), list(NEIGHBOURS.values()))
    n = 1 + dice.poisson(mean, SOURCES - 1)
    first = _draw_source(dice, conditions, sharpness)
    crowd = {k: jnp.zeros(SOURCES).at[0].set(v) for k, v in first.items()}

    def add(crowd, each):
        i, key = each
        own = Dice(key)
        parent = jnp.floor(i * own.uniform() ** 1.5).astype("int32")
        other = {k: v[parent] for k, v in crowd.items()}
        source = _draw_source(own, conditions, sharpness, other)
        source["flux"] = source["flux"] * (i < n)
        return {k: v.at[i].set(source[k]) for k, v in crowd.items()}, None

    rest = jnp.arange(1, SOURCES), dice.keys(SOURCES - 1)
    crowd, _ = jax.lax.scan(add, crowd, rest)
    galaxies = jax.vmap(lambda key, re: draw_galaxy(re, Dice(key)))(dice.keys(SOURCES), crowd["re"])
    columns = (crowd[k][:, None] for k in ("flux", "x", "y"))
    return crowd, placed(galaxies, *columns)


def _draw_source(dice, conditions, sharpness, other=None):
    """Draw one source: the target, or one near `other` or somewhere in the field."""
    fwhm, (low, high) = conditions.psf.fwhm, DECADES_OF_SNR
    grouped = dice.chance(GROUPED)
    is_large = (conditions.binning > 1) & (other is None)
    least = low if other else jnp.log10(jnp.where(is_large, MIN_BINNED[0], MIN_SNR))
    decade = least + (high - least) * dice.hump(1.0, 1.5)
    if other:
        like = jnp.log10(other["snr"]) + dice.normal(0, SCATTER_OF_ALIKE)
        decade = jnp.where(grouped & dice.chance(ALIKE), jnp.clip(like, low, high), decade)
    snr = 10**decade
    typical = 0.4 * sharpness * (snr / 10) ** 0.2 * 10 ** dice.normal(0, 0.25)
    re = jnp.clip(fwhm * typical, 0.1 * fwhm, LARGEST_RE)
    re = jnp.where(dice.chance(STARS), 0.0, re)
    re = jnp.where(is_large, jnp.maximum(re, MIN_BINNED[1]), re)
    flux = snr * jnp.sqrt(effective_pixels(re, fwhm))
    x, y = _place_near(other, re, fwhm, grouped, dice) if other else _place_target(snr, dice)
    return {"re": re, "snr": snr, "flux": flux, "x": x, "y": y}


def _place_target(snr, dice):
    """Place of the target on the canvas, where its detection is a little wrong."""
    sigma = dice.choice(list(ERRORS), list(ERRORS.values())) + 2 / snr
    error = jnp.clip(dice.normal(0, sigma, (2,)), -FARTHEST, FARTHEST)
    return tuple(CANVAS.side / 2 + error + dice.uniform(-0.5, 0.5, (2,)))


def _place_near(other, re, fwhm, grouped, dice):
    """Place of a neighbour: a few radii from `other` if they are grouped, or anywhere."""
    reach = jnp.hypot(jnp.maximum(re, other["re"]), fwhm / 2)
    r, phi = reach * dice.log_uniform(*SEPARATIONS), dice.angle()
    near = other["x"] + r * jnp.cos(phi), other["y"] + r * jnp.sin(phi)
    far = CANVAS.side / 2 + dice.uniform(-FIELD, FIELD, (2,))
    return tuple(jnp.where(grouped, a, b) for a, b in zip(near, far, strict=True))


def _see(galaxies, psf):
    """Noiseless images of the target and of all others; (2, side, side)."""
    optics, images = response(CANVAS, psf), []
    for some in (slice(0, 1), slice(1, None)):
        parts, points = (type(g)(*(v[some].ravel() for v in g)) for g in galaxies)
        images.append(CANVAS.image(light.transform(CANVAS, parts, points), optics))
    return jnp.stack(images)


def _diffuse_light(size, margin, dice):
    """Light between the galaxies of a cluster, up to a few times the noise; mostly none."""
    y, x = np.mgrid[-margin : size + margin, -margin : size + margin].astype("f4")
    x0, y0 = size * dice.uniform(-0.5, 1.5, (2,))
    level = jnp.where(dice.chance(DIFFUSE_SHARE), dice.uniform(0.3, 4.0), 0.0)
    return level * jnp.exp(-jnp.hypot(x - x0, y - y0) / dice.uniform(15.0, 60.0))


def _could_be_found(seen, ivar, truth, binning, margin):
    """Whether the target stands out at its place, is seen there, and has the size of a target.

    Half the side of its footprint is what stamps are binned for, where they are.
    """
    own = seen[0]
    x, y = (truth[k] + margin for k in "xy")
    rows, columns = np.mgrid[: own.shape[0], : own.shape[1]].astype("f4")
    reach = jnp.maximum(jnp.abs(columns - x), jnp.abs(rows - y))
    half_side = jnp.max(jnp.where(own > 1, reach, 0.0))
    centre = jnp.round(y).astype("int32"), jnp.round(x).astype("int32")
    stands_out = own[centre] >= MIN_CENTRAL_SHARE * seen.sum(0)[centre]
    fits = (half_side >= jnp.where(binning > 1, LARGE, 0.0)) & (half_side <= LARGEST)
    middle = slice(ivar.shape[0] // 2 - 2, ivar.shape[0] // 2 + 3)
    return stands_out & fits & (ivar[middle, middle] > 0).any()


def _truth_of(sources, conditions, margin):
    """What is true of the target: of its neighbours, the nearest that is not much fainter."""
    own, (near, apart) = {k: v[0] for k, v in sources.items()}, _nearest(sources)
    ratio = sources["flux"][1 + near] / own["flux"]
    fainter = -2.5 * jnp.log10(jnp.maximum(ratio, 1e-9))
    return {
        "re": own["re"],
        "snr": own["snr"],
        "fwhm": conditions.psf.fwhm,
        "binning": conditions.binning,
        "x": own["x"] - margin,
        "y": own["y"] - margin,
        "n_sources": jnp.sum(sources["flux"] > 0),
        "neighbour": apart,
        "neighbour_dm": jnp.where(jnp.isfinite(apart), fainter, jnp.nan),
    }


def _nearest(sources):
    """Which other is the nearest that is not much fainter than the target, and how far [pixel].

    That is inf if there is none.
    """
    x, y, flux = (sources[k] for k in ("x", "y", "flux"))
    apart = jnp.hypot(x[1:] - x[0], y[1:] - y[0])
    apart = jnp.where(flux[1:] / flux[0] > VISIBLE, apart, jnp.inf)
    near = jnp.argmin(apart)
    return near, apart[near]
