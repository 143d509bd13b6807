"""The files of a simulated survey, as an observatory delivers them."""

import os

from astropy.io import fits


def deliver(path, tile):
    """Write a tile: images SCI, WHT (inverse variance) and MSK, each with WCS and keywords.

    Parameters
    ----------
    path : Path
    tile : pipeline.simulate.survey.SurveyTile
    """
    header = tile.wcs.to_header(relax=True)
    header.update(tile.keywords)
    unit = header.get("BUNIT", "count")
    planes = {"SCI": (tile.image, unit), "WHT": (tile.weight, f"{unit}-2"), "MSK": (tile.mask, "")}
    images = []
    for name, (plane, unit) in planes.items():
        images.append(fits.ImageHDU(plane, header, name=name))
        images[-1].header["BUNIT"] = unit
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path, overwrite=True)


def cut_short(path):
    """Damage a file: only its first third arrives."""
    os.truncate(path, os.path.getsize(path) // 3)
