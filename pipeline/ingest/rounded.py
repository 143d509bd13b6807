"""What a lossy compression has left of pixels that were 0."""

import numpy as np
from astropy.io import fits


def zeros(hdu, data, index, window):
    """Find pixels that are 0, or may have been before they were compressed.

    Floats become integers of a step of their own in each compressed tile, and 0 becomes any value
    within half a step of it: with the dither that fpack uses, another in each pixel, so that a
    border of zeros looks like faint noise (Pence et al. 2010, PASP 122, 1065; FITS standard 4.0,
    section 10.2).

    Parameters
    ----------
    hdu : HDU
    data : ndarray, (y, x), float
        Its pixels, in `window`, of the plane `index`.
    index : int or None
    window : tuple of int or None
        ``x0, y0, x1, y1``.

    Returns
    -------
    ndarray, (y, x), bool
    """
    half = _half_steps(hdu)
    while half.ndim > 2:
        half = half[index if index and half.ndim == 3 and len(half) > 1 else 0]
    if window:
        x0, y0, x1, y1 = window
        half = half[slice(y0, y1) if len(half) > 1 else ..., :]
        half = half[:, slice(x0, x1) if half.shape[1] > 1 else ...]
    return np.abs(data) <= half


def _half_steps(hdu):
    """Half of the step in each pixel, 0 where nothing was rounded; sides of 1 stand for all."""
    exact = np.zeros((1, 1), "f4")
    if not isinstance(hdu, fits.CompImageHDU) or "ZSCALE" not in hdu._bintable.columns.names:
        return exact
    table, header = hdu._bintable, hdu._bintable.header
    if header.get("ZQUANTIZ") == "SUBTRACTIVE_DITHER_2":  # which keeps zeros
        return exact
    axes = range(header["ZNAXIS"], 0, -1)
    sides = [header[f"ZNAXIS{i}"] for i in axes]
    tiles = [header.get(f"ZTILE{i}", 1 if i > 1 else sides[-1]) for i in axes]
    half = np.abs(np.nan_to_num(table.data["ZSCALE"].astype("f4"))) / 2
    half = half.reshape([-(-side // tile) for side, tile in zip(sides, tiles, strict=True)])
    for axis, (side, tile) in enumerate(zip(sides, tiles, strict=True)):
        if half.shape[axis] > 1:
            half = np.repeat(half, tile, axis).take(range(side), axis)
    return half
