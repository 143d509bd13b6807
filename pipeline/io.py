"""Our own files: the only module that knows how a product looks on disk.

On disk images are ``(band, y, x)``, as FITS viewers expect.  Every file is written under a
temporary name and renamed, so that it appears whole or not at all.
"""

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from pipeline.data import Cutouts, Exposure
from pipeline.files import (  # noqa: F401
    new_records,
    read_csv,
    read_json,
    read_records,
    read_table,
    whole,
    write_csv,
    write_json,
    write_table,
    write_text,
)
from pipeline.masks import corner_in_tile, expand, side_in_tile

_PIXELS_AT_ONCE = 10_000_000


def read_exposure(path, step=1):
    """Read what `write_exposure` wrote; or only every `step`-th pixel, with the WCS of them all."""
    with fits.open(path, memmap=step > 1) as hdus:
        header = hdus["SCI"].header
        bands = tuple(header["BANDS"].split(","))
        if "REJECTED" in header:
            return Exposure.empty(bands, str(header["REJECTED"]))
        some = np.s_[..., ::step, ::step]
        flux, ivar = (_from_disk(_cube(hdus[name].data)[some]) for name in ("SCI", "IVAR"))
        return Exposure(
            flux,
            ivar,
            _wcs(header),
            bands,
            unit=header["BUNIT"],
            pixel_scale=header.get("PIXSCALE", np.nan),
            gain=tuple(header[f"GAIN{i}"] for i in range(len(bands))),
            saturation=tuple(header.get(f"SATUR{i}", np.inf) for i in range(len(bands))),
            notes=_notes(hdus),
        )


def read_notes(path):
    """Read only what was decided on the way to an exposure; a tuple of str."""
    with fits.open(path) as hdus:
        return _notes(hdus)


def _notes(hdus):
    return tuple(str(row["note"]) for row in Table.read(hdus["NOTES"]))


def read_frame(path):
    """Read only the coordinates (None if there are none) and the shape (y, x) of an exposure."""
    header = fits.getheader(path, "SCI")
    return _wcs(header), (header.get("NAXIS2", 0), header.get("NAXIS1", 0))


def read_rejection(path):
    """Read only why an exposure, or a table of its sources, is rejected; empty for a good one."""
    return str(fits.getheader(path, 1).get("REJECTED", ""))


def write_exposure(path, exposure):
    """Write an exposure: images SCI and IVAR with WCS, cubes of several bands; table of NOTES."""
    header = fits.Header() if exposure.wcs is None else exposure.wcs.to_header(relax=True)
    header["BANDS"] = ",".join(exposure.bands)
    header["BUNIT"] = exposure.unit
    if exposure.rejected:
        header["REJECTED"] = _plain(exposure.rejected)
    if np.isfinite(exposure.pixel_scale):
        header["PIXSCALE"] = exposure.pixel_scale, "[arcsec]"
    for i, (gain, level) in enumerate(zip(exposure.gain, exposure.saturation, strict=True)):
        header[f"GAIN{i}"] = gain, "[electron / BUNIT], 0 if unknown"
        if np.isfinite(level):
            header[f"SATUR{i}"] = level, "[BUNIT]"
    sci = fits.ImageHDU(_image(exposure.flux), header, name="SCI")
    header["BUNIT"] = _inverse_square(exposure.unit)
    ivar = fits.ImageHDU(_image(exposure.ivar), header, name="IVAR")
    notes = fits.table_to_hdu(
        Table({"note": np.array(list(map(_plain, exposure.notes)), dtype="U")})
    )
    notes.name = "NOTES"
    with whole(path) as partial:
        fits.HDUList([fits.PrimaryHDU(), sci, ivar, notes]).writeto(partial)


def read_cutouts(path, ids=None):
    """Read what `write_cutouts` wrote; or only the stamps of the sources `ids`."""
    with fits.open(path, memmap=False) as hdus:
        header, (stamps, rows) = hdus["SCI"].header, _chosen(hdus, ids)
        bands, size = tuple(header["BANDS"].split(",")), header["SIZE"]
        if not len(stamps):
            flux = ivar = np.zeros((0, size, size, len(bands)), "f4")
        else:
            flux, ivar = (_from_disk(_planes(hdus[name], rows)) for name in ("SCI", "IVAR"))
        return Cutouts(
            flux,
            ivar,
            np.asarray(stamps["id"]),
            np.column_stack([stamps["x0"], stamps["y0"]]),
            bands,
            header["BUNIT"],
            _wcs(hdus["PARENT"].header),
            np.asarray(stamps["binning"]),
            header["DETBAND"],
        )


def write_cutouts(path, cutouts):
    """Write stamps: image cubes SCI and IVAR, their STAMPS table and the PARENT's WCS."""
    header = fits.Header()
    header["BANDS"] = ",".join(cutouts.bands)
    header["BUNIT"] = cutouts.unit
    header["SIZE"] = cutouts.flux.shape[1]
    header["DETBAND"] = cutouts.reference, "number of the detection band"
    empty = not len(cutouts)
    planes = [None if empty else _to_disk(p) for p in (cutouts.flux, cutouts.ivar)]
    sci = fits.ImageHDU(planes[0], header, name="SCI")
    header["BUNIT"] = _inverse_square(cutouts.unit)
    ivar = fits.ImageHDU(planes[1], header, name="IVAR")
    parent = fits.ImageHDU(name="PARENT")
    if cutouts.wcs is not None:
        parent.header.update(cutouts.wcs.to_header(relax=True))
    stamps = _stamps(cutouts.id, cutouts.corner, binning=cutouts.binning)
    with whole(path) as partial:
        fits.HDUList([fits.PrimaryHDU(), sci, ivar, parent, stamps]).writeto(partial)


def read_maps(path, *names, ids=None):
    """Read maps of stamps, all or those of the sources `ids`.

    Gives ids (n,), corners (n, 2) and one (n, y, x) array a name, as float32.
    """
    with fits.open(path, memmap=False) as hdus:
        stamps, rows = _chosen(hdus, ids)
        size = hdus[1].header["SIZE"]
        empty = np.zeros((0, size, size), "f4")
        planes = [np.asarray(_planes(hdus[n], rows), "f4") if len(stamps) else empty for n in names]
        corner = np.column_stack([stamps["x0"], stamps["y0"]])
        return np.asarray(stamps["id"]), corner, *planes


def write_maps(path, ids, corner, *, binning=1, **maps):
    """Write maps of stamps, each (n, y, x) between 0 and 1, as 8-bit cubes with BSCALE."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, plane in maps.items():
        hdu = fits.ImageHDU(header=_cube_header(name, len(plane), plane.shape[1]))
        if len(plane):
            hdu.data = _in_8_bit(plane)
            hdu.header["BSCALE"], hdu.header["BZERO"] = 1 / 255, 0.0  # assigning data drops them
        hdus.append(hdu)
    hdus.append(_stamps(ids, corner, binning=np.full(len(ids), binning)))
    with whole(path) as partial:
        hdus.writeto(partial)


def write_masks(path, cutouts, maps):
    """Write maps of stamps as `write_maps` does, but in pixels of the tile, a few at a time.

    All squares have one side, which holds nearly all stamps whole, see `pipeline.masks`; a larger
    stamp loses its margin, a smaller one is surrounded by 0.
    """
    side = side_in_tile(cutouts.binning, cutouts.flux.shape[1])
    step = max(1, _PIXELS_AT_ONCE // side**2)
    with whole(path) as partial:
        fits.PrimaryHDU().writeto(partial)
        for name, plane in maps.items():
            stream = fits.StreamingHDU(str(partial), _cube_header(name, len(plane), side))
            for start in range(0, len(plane), step):
                rows = slice(start, start + step)
                stream.write(_in_8_bit(expand(plane[rows], cutouts.binning[rows], side)))
            stream.close()
        stamps = _stamps(cutouts.id, corner_in_tile(cutouts, side))
        fits.append(partial, stamps.data, stamps.header)


def read_light(path):
    """Read what `write_light` wrote; (n, y, x, 2), float32."""
    with fits.open(path, memmap=False) as hdus:
        return _from_disk(hdus["LIGHT"].data)


def write_light(path, light):
    """Write the noiseless light of stamps' targets and of all else; (n, y, x, 2)."""
    with whole(path) as partial:
        hdu = fits.ImageHDU(_to_disk(light), name="LIGHT")
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(partial)


def write_images(path, wcs, **images):
    """Write images (y, x) on a tile's grid, compressed, each an HDU with WCS.

    Integers are kept as they are; other numbers, which are between 0 and 1, as those of maps.
    """
    header = fits.Header() if wcs is None else wcs.to_header(relax=True)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, image in images.items():
        if not image.size:
            hdus.append(fits.ImageHDU(header=header, name=name))
            continue
        is_map = image.dtype.kind == "f"
        data = _in_8_bit(image) if is_map else image
        hdus.append(fits.CompImageHDU(data, header, name=name, compression_type="RICE_1"))
        if is_map:
            hdus[-1].header["BSCALE"], hdus[-1].header["BZERO"] = 1 / 255, 0.0
    with whole(path) as partial:
        hdus.writeto(partial)


def read_image(path, name):
    """Read one image of `write_images`; (y, x)."""
    with fits.open(path, memmap=False) as hdus:
        return np.zeros((0, 0)) if hdus[name].data is None else np.asarray(hdus[name].data)


def _chosen(hdus, ids):
    """Rows of the STAMPS table of the sources `ids`, and their numbers; all and None if None."""
    stamps = Table.read(hdus["STAMPS"])
    if ids is None:
        return stamps, None
    rows = np.flatnonzero(np.isin(stamps["id"], ids))
    return stamps[rows], rows


def _planes(hdu, rows):
    """Planes of a cube, of which only the chosen `rows` are read from disk; all if None."""
    return hdu.data if rows is None else np.stack([hdu.section[int(row)] for row in rows])


def _to_disk(cube):
    return np.ascontiguousarray(np.moveaxis(cube, -1, -3), ">f4") if cube.size else None


def _image(planes):
    """As `_to_disk`, but an image (y, x) of one band: with SIP, a WCS takes no third axis."""
    cube = _to_disk(planes)
    return cube[0] if cube is not None and len(cube) == 1 else cube


def _cube(image):
    """Undo that; (band, y, x)."""
    return image.reshape(-1, *image.shape[-2:])


def _from_disk(cube):
    return np.ascontiguousarray(np.moveaxis(cube, -3, -1), "f4")


def _wcs(header):
    """Read celestial coordinates; NAXIS is left out, for a header without image may hold them."""
    coordinates = header.copy(strip=True)
    wcs = WCS(coordinates, naxis=2)
    return wcs if wcs.has_celestial else None


def _stamps(ids, corner, **more):
    columns = {"id": np.asarray(ids, "i8"), "x0": corner[:, 0], "y0": corner[:, 1], **more}
    hdu = fits.table_to_hdu(Table(columns))
    hdu.name = "STAMPS"
    return hdu


def _in_8_bit(plane):
    return np.rint(np.clip(plane, 0, 1) * 255).astype("u1")


def _cube_header(name, n, side):
    """Header of a cube (n, side, side) of `_in_8_bit`; of no image at all if there are none."""
    header = fits.ImageHDU(np.zeros((1, 1, 1), "u1") if n else None, name=name).header
    if n:
        header["NAXIS1"], header["NAXIS2"], header["NAXIS3"] = side, side, n
    header["BSCALE"], header["BZERO"], header["SIZE"] = 1 / 255, 0.0, side
    return header


def _inverse_square(unit):
    return (u.Unit(unit) ** -2).to_string("fits")


def _plain(text):
    """Make `text` fit for a FITS header: ASCII on one line."""
    return " ".join(text.encode("ascii", "replace").decode().split())
