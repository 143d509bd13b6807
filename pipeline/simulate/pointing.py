"""Where the tiles of a simulated survey lie on the sky."""

import numpy as np
from astropy.wcs import WCS, Sip

CENTRE = 35.0, -70.0  # ra, dec [deg]: no known lens within 3 degrees
ODD_TILE = 1  # has coordinates of its own: distorted, and turned by TURN
TURN = 0.5  # deg


def extent(settings):
    """Width and height of the survey [pixel]; the tiles lie in a square."""
    columns = int(np.ceil(np.sqrt(settings.tiles)))
    rows = -(-settings.tiles // columns)
    step = settings.side - settings.overlap
    return columns * step + settings.overlap, rows * step + settings.overlap


def sky_wcs(settings):
    """Coordinates of the survey's own pixels."""
    width, height = extent(settings)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], CENTRE
    wcs.wcs.crpix = [(width + 1) / 2, (height + 1) / 2]
    wcs.wcs.cd = np.diag([-1, 1]) * settings.pixel_scale / 3600
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def tile_wcs(settings, i):
    """Coordinates of a tile: a part of the survey's grid, but for the second tile."""
    columns = int(np.ceil(np.sqrt(settings.tiles)))
    step = settings.side - settings.overlap
    corner = np.array([i % columns, i // columns]) * step
    wcs = sky_wcs(settings)
    if i != ODD_TILE:
        wcs.wcs.crpix -= corner
        return wcs
    middle = (settings.side - 1) / 2
    wcs.wcs.crval = wcs.all_pix2world([corner + middle], 0)[0]
    wcs.wcs.crpix = [middle + 1, middle + 1]
    c, s = np.cos(np.radians(TURN)), np.sin(np.radians(TURN))
    wcs.wcs.cd = wcs.wcs.cd @ [[c, -s], [s, c]]
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a, b = np.zeros((2, 4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = 1.0 / middle**3  # a pixel at the edge's middle
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def turn_of(settings, wcs):
    """Matrix (2, 2) that brings the survey's pixels to those of a tile, at the tile's middle."""
    middle = np.full(2, (settings.side - 1) / 2)
    sky = sky_wcs(settings)
    start = sky.all_world2pix(wcs.all_pix2world([middle], 0), 0)
    there = wcs.all_world2pix(sky.all_pix2world(start + np.eye(2), 0), 0)
    return (there - middle).T
