"""Cubes of stamps on disk, as FITS has them: cutouts, maps, and the light that was simulated.

As those of `pipeline.io`, which hands these functions on, files appear whole or not at all.
"""

from contextlib import contextmanager

import numpy as np
from astropy.io import fits
from astropy.table import Table

from pipeline.data import Cutouts
from pipeline.stamps.masks import corner_in_tile, expand, side_in_tile
from pipeline.stamps.planes import MapPlanes, StampPlanes, parts
from pipeline.storage.files import whole
from pipeline.storage.headers import inverse_square, wcs_of

_PIXELS_AT_ONCE = 10_000_000
_SCALED = {"BSCALE": 1 / 255, "BZERO": 0.0}


def open_cutouts(path):
    """Open what `write_cutouts` wrote; the stamps' pixels stay on disk until rows are chosen."""
    with fits.open(path) as hdus:
        header, stamps = hdus["SCI"].header, Table.read(hdus["STAMPS"])
        bands, size = tuple(header["BANDS"].split(",")), header["SIZE"]
        shape = len(stamps), size, size, len(bands)
        return Cutouts(
            *(StampPlanes(path, shape, _start(hdus[name])) for name in ("SCI", "IVAR")),
            np.asarray(stamps["id"]),
            np.column_stack([stamps["x0"], stamps["y0"]]),
            bands,
            header["BUNIT"],
            wcs_of(hdus["PARENT"].header),
            np.asarray(stamps["binning"]),
            header["DETBAND"],
        )


def read_cutouts(path, ids=None):
    """Read what `write_cutouts` wrote; or only the stamps of the sources `ids`."""
    cutouts = open_cutouts(path)
    return cutouts[_rows(cutouts.id, ids)]


def write_cutouts(path, cutouts):
    """Write stamps: image cubes SCI and IVAR, their STAMPS table and the PARENT's WCS."""
    with new_cutouts(path, cutouts, len(cutouts)) as keep:
        keep(cutouts)


@contextmanager
def new_cutouts(path, like, n):
    """Give a function that writes some of `n` stamps, which are like some others, after the rest.

    `like` has their size, bands, unit, WCS and detection band.
    """
    header = {"BANDS": ",".join(like.bands), "BUNIT": like.unit, "SIZE": like.flux.shape[1]}
    header["DETBAND"] = like.reference, "number of the detection band"
    headers = {"SCI": header, "IVAR": header | {"BUNIT": inverse_square(like.unit)}}
    kept, parent = [], fits.ImageHDU(name="PARENT")
    if like.wcs is not None:
        parent.header.update(like.wcs.to_header(relax=True))

    def keep(cutouts):
        start = sum(len(places["id"]) for places in kept)
        rows = slice(start, start + len(cutouts))
        cubes["SCI"][rows], cubes["IVAR"][rows] = cutouts.flux, cutouts.ivar
        kept.append(_places(cutouts.id, cutouts.corner, binning=cutouts.binning))

    with _new_cubes(path, StampPlanes, (n, *like.flux.shape[1:]), headers) as (cubes, others):
        yield keep
        joined = {name: np.concatenate([places[name] for places in kept]) for name in kept[0]}
        others += [parent, _stamps(joined)]


def open_maps(path, *names):
    """Open maps of stamps by name, each (n, y, x), which stay on disk until rows are chosen."""
    with fits.open(path) as hdus:
        size, n = hdus[1].header["SIZE"], hdus["STAMPS"].header["NAXIS2"]
        return {name: MapPlanes(path, (n, size, size), _start(hdus[name])) for name in names}


def read_maps(path, *names, ids=None):
    """Read maps of stamps, all or those of the sources `ids`.

    Gives ids (n,), corners (n, 2) and one (n, y, x) array a name, as float32.
    """
    stamps = Table.read(path, hdu="STAMPS")
    rows = _rows(stamps["id"], ids)
    corner = np.column_stack([stamps["x0"], stamps["y0"]])
    planes = [planes[rows] for planes in open_maps(path, *names).values()]
    return np.asarray(stamps["id"])[rows], corner[rows], *planes


def write_maps(path, ids, corner, *, binning=1, **maps):
    """Write maps of stamps, each (n, y, x) between 0 and 1, as 8-bit cubes with BSCALE."""
    (shape,) = {plane.shape for plane in maps.values()}
    headers = dict.fromkeys(maps, _SCALED | {"SIZE": shape[1]})
    with _new_cubes(path, MapPlanes, shape, headers) as (cubes, others):
        for name, plane in maps.items():
            for rows in parts(len(plane)):
                cubes[name][rows] = plane[rows]
        others.append(_stamps(_places(ids, corner, binning=np.full(len(ids), binning))))


@contextmanager
def new_masks(path, cutouts, *names):
    """Give a function that writes maps of some rows of stamps, in pixels of the tile.

    All squares have one side, which holds nearly all stamps whole, see `pipeline.stamps.masks`; a
    larger stamp loses its margin, a smaller one is surrounded by 0.
    """
    n, side = len(cutouts), side_in_tile(cutouts.binning, cutouts.flux.shape[1])
    headers = dict.fromkeys(names, _SCALED | {"SIZE": side})
    step = max(1, _PIXELS_AT_ONCE // side**2)

    def keep(rows, maps):
        every, binning = np.arange(n)[rows], cutouts.binning[rows]
        for some in (slice(start, start + step) for start in range(0, len(every), step)):
            for name, cube in cubes.items():
                cube[every[some]] = expand(maps[name][some], binning[some], side)

    with _new_cubes(path, MapPlanes, (n, side, side), headers) as (cubes, others):
        yield keep
        others.append(_stamps(_places(cutouts.id, corner_in_tile(cutouts, side))))


def read_light(path):
    """Read what `write_light` wrote; (n, y, x, 2), float32."""
    with fits.open(path) as hdus:
        n, planes, height, width = hdus["LIGHT"].shape
        return StampPlanes(path, (n, height, width, planes), _start(hdus["LIGHT"]))[:]


def write_light(path, light):
    """Write the noiseless light of stamps' targets and of all else; (n, y, x, 2)."""
    with _new_cubes(path, StampPlanes, light.shape, {"LIGHT": {}}) as (cubes, _):
        cubes["LIGHT"][:] = light


@contextmanager
def _new_cubes(path, kind, shape, headers):
    """Give arrays of a `kind` to be filled, by name, and a list for the HDUs that follow them."""
    others = []
    with whole(path) as partial:
        with open(partial, "w+b") as file:
            file.write(fits.PrimaryHDU().header.tostring().encode())
            cubes = {}
            for name, cards in headers.items():
                cubes[name] = kind(file, shape)
                file.write(_header(name, cubes[name].stored, cubes[name].dtype, cards))
                cubes[name].start = file.tell()
                file.truncate(_whole_blocks(file.tell() + cubes[name].n_bytes))
                file.seek(0, 2)
            yield cubes, others
        with fits.open(partial, mode="append") as hdus:
            hdus.extend(others)


def _header(name, shape, dtype, cards):
    """Header of a cube, as bytes; of no image at all if it has no planes."""
    hdu = fits.ImageHDU(np.zeros((1,) * len(shape), dtype) if shape[0] else None, name=name)
    if shape[0]:
        for axis, side in enumerate(reversed(shape), 1):
            hdu.header[f"NAXIS{axis}"] = side
    hdu.header.update(cards)
    return hdu.header.tostring().encode()


def _whole_blocks(n_bytes):
    """Size of as many blocks of a FITS file."""
    return -(-n_bytes // fits.header.BLOCK_SIZE) * fits.header.BLOCK_SIZE


def _start(hdu):
    """Byte of the file at which an HDU's data begin."""
    return hdu.fileinfo()["datLoc"]


def _rows(known, ids):
    """Which rows are those of the sources `ids`; all if None."""
    return slice(None) if ids is None else np.flatnonzero(np.isin(known, ids))


def _places(ids, corner, **more):
    return {"id": np.asarray(ids, "i8"), "x0": corner[:, 0], "y0": corner[:, 1], **more}


def _stamps(places):
    hdu = fits.table_to_hdu(Table(places))
    hdu.name = "STAMPS"
    return hdu
