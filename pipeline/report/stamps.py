"""Stamps as the report shows them: in units of the noise."""

import numpy as np


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
    width = cutouts.flux.shape[1] * cutouts.binning * pixel_scale
    rows = np.flatnonzero(np.isin(cutouts.id, ids))
    return {int(cutouts.id[row]): (in_noise(cutouts[[row]])[0], width) for row in rows}


def in_noise(cutouts):
    """Flux (n, y, x, band) in units of each stamp's median noise in each band."""
    ivar = np.where(cutouts.ivar > 0, cutouts.ivar, np.nan)
    filled = np.where(np.isnan(ivar).all(axis=(1, 2), keepdims=True), 0, ivar)
    return cutouts.flux * np.sqrt(np.nanmedian(filled, axis=(1, 2), keepdims=True))


def blend_panels(cutouts, share, spread, label, rows):
    """Gather what the deblending gallery shows of one tile's sources.

    Parameters
    ----------
    cutouts : Cutouts
    share, spread : ndarray, (n, y, x)
        Maps SHARE and TARGET_STD of all stamps.
    label : ndarray, (y, x), int
        Segmentation image of the tile.
    rows : Table
        The chosen sources of the tile: ``id``, ``label``, ``blend_fraction``, ``n_neighbours``.

    Returns
    -------
    dict of dict
        By id, as `pipeline.report.mosaic.gallery` takes them.
    """
    found, size = {}, cutouts.flux.shape[1]
    for row in rows:
        for i in np.flatnonzero(cutouts.id == row["id"]):
            found[int(row["id"])] = {
                "image": in_noise(cutouts[[i]])[0],
                "label": window(label, cutouts.corner[i], size),
                "own": int(row["label"]),
                "share": share[i],
                "spread": spread[i],
                "caption": f"{row['id']}\nneighbours: {int(row['n_neighbours'])}, "
                f"{row['blend_fraction']:.0%} claimed",
            }
    return found


def window(image, corner, size):
    """Square of an image (y, x) from ``corner`` (x, y) on; 0 beyond the image."""
    x, y = (int(v) for v in corner)
    cut = np.zeros((size, size), image.dtype)
    height, width = image.shape
    top, left, bottom, right = max(y, 0), max(x, 0), min(y + size, height), min(x + size, width)
    if bottom > top and right > left:
        cut[top - y : bottom - y, left - x : right - x] = image[top:bottom, left:right]
    return cut
