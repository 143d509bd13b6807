"""Stamps as the report shows them: in units of the noise."""

import numpy as np

from pipeline.stamps.cutouts import boxes


def pick(cutouts, ids, pixel_scale):
    """Stamps of the chosen sources.

    Parameters
    ----------
    cutouts : Cutouts
        Of one tile.
    ids : ndarray, (m,)
        Sources; those that have no stamp here are left out.
    pixel_scale : float
        Of the tile [arcsec].

    Returns
    -------
    dict
        ``(image, width)`` by id: the stamp (y, x, band) in units of its median noise, and the
        length of its side [arcsec].
    """
    widths = cutouts.flux.shape[1] * cutouts.binning * pixel_scale
    rows = np.flatnonzero(np.isin(cutouts.id, ids))
    return {int(cutouts.id[row]): (in_noise(cutouts[[row]])[0], widths[row]) for row in rows}


def in_noise(cutouts):
    """Flux (n, y, x, band) in units of each stamp's median noise in each band."""
    ivar = np.where(cutouts.ivar > 0, cutouts.ivar, np.nan)
    filled = np.where(np.isnan(ivar).all(axis=(1, 2), keepdims=True), 0, ivar)
    return cutouts.flux * np.sqrt(np.nanmedian(filled, axis=(1, 2), keepdims=True))


def blend_panels(cutouts, maps, label, rows, pixel_scale):
    """Gather what the deblending gallery shows of one tile's sources.

    Parameters
    ----------
    cutouts : Cutouts
    maps : dict
        SHARE (n, y, x) of the stamps, and TARGET_STD of `from_squares`.
    label : ndarray, (y, x), int
        Segmentation image of the tile.
    rows : Table
        The chosen sources of the tile: ``id``, ``label``, ``blend_fraction``, ``n_neighbours``.
    pixel_scale : float
        Of the tile [arcsec].

    Returns
    -------
    dict of dict
        By id, as `pipeline.report.mosaic.gallery` takes them.
    """
    found, sides = {}, cutouts.flux.shape[1] * cutouts.binning
    for row in rows:
        for i in np.flatnonzero(cutouts.id == row["id"]):
            width = sides[i] * pixel_scale
            wide = f"{width:.1f}″" if np.isfinite(width) else f"{sides[i]} pixels"
            found[int(row["id"])] = {
                "image": in_noise(cutouts[[i]])[0],
                "label": boxes(label, cutouts.corner[[i]], sides[i])[0],
                "own": int(row["label"]),
                "share": maps["SHARE"][i],
                "spread": maps["TARGET_STD"][i],
                "caption": f"{row['id']}, {wide} wide\nneighbours: {int(row['n_neighbours'])}, "
                f"{row['blend_fraction']:.0%} claimed",
            }
    return found
