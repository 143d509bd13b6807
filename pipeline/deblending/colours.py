"""What fraction of each pixel's light is a source's in the other bands, by its colour."""

import numpy as np

from pipeline.deblending.shares import LEAST, claims, divide

TURNS = 4  # of colours and shares, each from the other
SCATTER = 1.0  # of colours about that of all light there, relative to it
RANGE = 1e-2, 1e2  # of colours, relative to that


def names(cutouts):
    """Name of the map of shares of each band: SHARE in that of the detection, else numbered."""
    reference = cutouts.reference
    return ["SHARE" if i == reference else f"SHARE_{i}" for i in range(len(cutouts.bands))]


def shared(planes, cutouts, rows=slice(None)):
    """Maps by name, of some rows; of SHARE a list with that of each band.

    Parameters
    ----------
    planes : dict of ndarray or Planes, (n, y, x)
    cutouts : Cutouts
    rows : slice

    Returns
    -------
    dict of ndarray, (m, y, x)
    """
    found = {name: maps[rows] for name, maps in planes.items() if not name.startswith("SHARE")}
    return found | {"SHARE": [planes[name][rows] for name in names(cutouts)]}


def colour(maps, cutouts, shape, front=None):
    """Say what the shares are in the bands other than that of the detection.

    There a source that is redder than its neighbours has another fraction of the same pixel's
    light: its share times its colour, of the sum of all sources' shares times their colours, if
    each has one colour throughout.  Colours follow from the light that shares give to each source,
    and shares from the colours; from no colour at all a few turns lead to both, as of the mixtures
    of Dempster, Laird & Rubin (1977, JRSS B 39, 1).

    Parameters
    ----------
    maps : dict of ndarray or Planes, (n, y, x)
        TARGET and SHARE of each stamp, `pipeline.deblending.shares.reconcile` behind them; the
        other maps of `names` are filled.
    cutouts : Cutouts
    shape : tuple of int
        Of the tile (y, x, ...).
    front : pipeline.deblending.shares.Front, optional
    """
    share, where = maps["SHARE"], (cutouts, shape, front)
    for band, name in enumerate(names(cutouts)):
        if name == "SHARE":
            continue
        found = _colours(share, maps["TARGET"], band, where)
        plain, tinted = claims(share, *where), claims(share, *where, found)
        for (rows, own, others), (_, _, tinted_others) in zip(plain, tinted, strict=True):
            sum_of_all = own + tinted_others
            factor = np.where(sum_of_all > LEAST, (own + others) / np.maximum(sum_of_all, LEAST), 1)
            maps[name][rows] = np.minimum(share[rows] * factor, 1)


def _colours(share, target, band, where):
    """Colour of each source, its flux in a band over that in the detection's; (n,), float32.

    Of the light on its own pixels that shares and, from the second turn on, colours give to it.
    One of which the band's noise tells little has the colour of all the light there; where that is
    lost or dark, the middle one of all sources.
    """
    cutouts = where[0]
    reference, common, flux, noise, found = np.ones((5, len(cutouts)), "f4")
    for turn in range(TURNS):
        for rows, divided in divide(share, *where, found):
            here, there, variance = _light(cutouts[rows], band)
            weight = target[rows] * np.isfinite(variance)
            own = weight * divided
            if turn == 0:
                reference[rows] = (own * there).sum((1, 2))
                common[rows] = _ratio(*((weight * light).sum((1, 2)) for light in (here, there)))
            noise[rows] = (own**2 * np.where(weight > 0, variance, 0)).sum((1, 2)) ** 0.5
            flux[rows] = (own * here).sum((1, 2))
        if turn == 0:
            common = _filled(common)
        found = _likely(flux, noise, reference, common)
    return found


def _light(stamps, band):
    """Flux in a band and in the detection's, and the first's variance: inf where one is lost."""
    here, there = (stamps.flux[..., i] for i in (band, stamps.reference))
    ivar, known = (stamps.ivar[..., i] for i in (band, stamps.reference))
    usable = (ivar > 0) & (known > 0)
    return here, there, np.divide(1, ivar, where=usable, out=np.full_like(ivar, np.inf))


def _ratio(flux, reference):
    """One over the other; NaN where either is not positive; (n,)."""
    is_known = (flux > 0) & (reference > 0)
    return np.where(is_known, flux, np.nan) / np.where(is_known, reference, 1)


def _filled(values):
    """Those that are known, and their median instead of the others; 1 of none."""
    is_known = np.isfinite(values)
    return np.where(is_known, values, np.median(values[is_known]) if is_known.any() else 1)


def _likely(flux, noise, reference, common):
    """Colours (n,), which scatter by `SCATTER` about the `common` one, of fluxes with `noise`."""
    expected = common * reference
    told = SCATTER * expected
    weight = (told / np.maximum(np.hypot(told, noise), np.finfo("f4").tiny)) ** 2
    colour = weight * flux / np.where(reference > 0, reference, np.inf) + (1 - weight) * common
    return np.clip(np.where(reference > 0, colour, common), *(common * limit for limit in RANGE))
