"""Our own files: the only module that knows how a product looks on disk.

On disk images are ``(band, y, x)``, as FITS viewers expect.  Every file is written under a
temporary name and renamed, so that it appears whole or not at all.
"""

import numpy as np
from astropy.io import fits
from astropy.table import Table

from pipeline.data import Exposure, Frame
from pipeline.stamps.planes import in_8_bit, parts, scratch  # noqa: F401
from pipeline.storage.cubes import (  # noqa: F401
    new_cutouts,
    new_masks,
    open_cutouts,
    open_maps,
    read_cutouts,
    read_light,
    read_maps,
    write_cutouts,
    write_light,
    write_maps,
)
from pipeline.storage.files import (  # noqa: F401
    copy_networks,
    empty_folder,
    new_records,
    read_csv,
    read_json,
    read_records,
    read_table,
    remove_parts,
    whole,
    write_csv,
    write_figure,
    write_json,
    write_table,
    write_text,
)
from pipeline.storage.headers import inverse_square, plain, spelt, wcs_of


def read_exposure(path, step=1):
    """Read what `write_exposure` wrote; or only every `step`-th pixel, with the WCS of them all."""
    with fits.open(path, memmap=step > 1) as hdus:
        header = hdus["SCI"].header
        bands = tuple(header["BANDS"].split(","))
        if "REJECTED" in header:
            return Exposure.empty(bands, spelt(header["REJECTED"]))
        some = np.s_[..., ::step, ::step]
        flux, ivar = (_from_disk(_cube(hdus[name].data)[some]) for name in ("SCI", "IVAR"))
        return Exposure(
            flux,
            ivar,
            wcs_of(header),
            bands,
            unit=header["BUNIT"],
            pixel_scale=header.get("PIXSCALE", np.nan),
            gain=tuple(header[f"GAIN{i}"] for i in range(len(bands))),
            saturation=tuple(header.get(f"SATUR{i}", np.inf) for i in range(len(bands))),
            notes=_notes(hdus),
        )


def read_usable(path, band, row, column):
    """Read only whether pixels (n,) of a band of an exposure are usable; (n,), bool."""
    with fits.open(path, memmap=True) as hdus:
        ivar = hdus["IVAR"].data
        return np.asarray((ivar if ivar.ndim == 2 else ivar[band])[row, column] > 0)


def tile_folders(manifest):
    """Folders of a survey's tiles, beside the manifest that lists their names."""
    return [manifest.parent / "tiles" / name for name in manifest.read_text().split()]


def read_notes(tile):
    """Read only what was decided on the way to a tile's exposure and sources; a tuple of str."""
    doubt = fits.getheader(tile / "sources.fits", 1).get("DOUBT")
    with fits.open(tile / "exposure.fits") as hdus:
        return (*_notes(hdus), *filter(None, [doubt]))


def read_measured(path):
    """Read only how many sources a table holds, and the unit of their fluxes ("" of none)."""
    with fits.open(path) as hdus:
        columns = hdus[1].columns
        unit = columns["flux_auto"].unit if "flux_auto" in columns.names else ""
        return hdus[1].header["NAXIS2"], unit or ""


def _notes(hdus):
    return tuple(spelt(row["note"]) for row in Table.read(hdus["NOTES"]))


def read_frame(path):
    """Read only the `Frame` of an exposure; older ones do not say how many pixels are usable."""
    header = fits.getheader(path, "SCI")
    shape = header.get("NAXIS2", 0), header.get("NAXIS1", 0)
    return Frame(wcs_of(header), shape, tuple(header["USABLE*"].values()))


def read_rejection(path):
    """Read only why an exposure, or a table of its sources, is rejected; empty for a good one."""
    return spelt(fits.getheader(path, 1).get("REJECTED", ""))


def write_exposure(path, exposure):
    """Write an exposure: images SCI and IVAR with WCS, cubes of several bands; table of NOTES."""
    header = _header(exposure)
    if exposure.rejected:
        header["REJECTED"] = plain(exposure.rejected)
    if np.isfinite(exposure.pixel_scale):
        header["PIXSCALE"] = exposure.pixel_scale, "[arcsec]"
    usable = np.count_nonzero(exposure.ivar, axis=(0, 1)) / max(exposure.ivar[..., 0].size, 1)
    said = zip(exposure.gain, exposure.saturation, usable, strict=True)
    for i, (gain, level, share) in enumerate(said):
        header[f"GAIN{i}"] = gain, "[electron / BUNIT], 0 if unknown"
        header[f"USABLE{i}"] = share, "Share of pixels with IVAR above 0"
        if np.isfinite(level):
            header[f"SATUR{i}"] = level, "[BUNIT]"
    notes = fits.table_to_hdu(
        Table({"note": np.array(list(map(plain, exposure.notes)), dtype="U")})
    )
    notes.name = "NOTES"
    with whole(path) as partial:
        fits.HDUList([fits.PrimaryHDU(), *_pixels(exposure, header), notes]).writeto(partial)


def read_behind(path):
    """Read what `write_behind` wrote; (y, x, band), or None if it has no pixels."""
    with fits.open(path, memmap=False) as hdus:
        image = hdus["BEHIND"].data
        return None if image is None else _from_disk(_cube(image))


def write_behind(path, exposure, behind):
    """Write the light BEHIND sources of an exposure, an image or a cube with WCS; None is empty."""
    image = None if behind is None else _image(behind)
    with whole(path) as partial:
        behind = fits.ImageHDU(image, _header(exposure), name="BEHIND")
        fits.HDUList([fits.PrimaryHDU(), behind]).writeto(partial)


def write_cutout(path, exposure, light, maps, row):
    """Write a cutout of one source, as FITS viewers like it.

    Parameters
    ----------
    path : path
    exposure : Exposure
        Of the cutout's pixels (y, x): images SCI and IVAR, cubes of several bands.
    light : ndarray, (y, x, band)
        The source's own: DEBLENDED.
    maps : dict of ndarray, (y, x)
        Images of their own.
    row : Table
        The source's in the catalog: CATALOG.
    """
    hdus = [fits.PrimaryHDU(), *_pixels(exposure, _header(exposure))]
    hdus += [fits.ImageHDU(_image(light), _header(exposure), name="DEBLENDED")]
    places = _coordinates(exposure.wcs)
    hdus += [fits.ImageHDU(image, places, name=name) for name, image in maps.items()]
    hdus += [fits.table_to_hdu(row)]
    hdus[-1].name = "CATALOG"
    with whole(path) as partial:
        fits.HDUList(hdus).writeto(partial)


def _pixels(exposure, header):
    """Images SCI and IVAR of an exposure, with this header."""
    sci = fits.ImageHDU(_image(exposure.flux), header, name="SCI")
    header["BUNIT"] = inverse_square(exposure.unit)
    return sci, fits.ImageHDU(_image(exposure.ivar), header, name="IVAR")


def _header(exposure):
    """WCS, bands and unit of an exposure."""
    header = _coordinates(exposure.wcs)
    header["BANDS"] = ",".join(exposure.bands)
    header["BUNIT"] = exposure.unit
    return header


def _coordinates(wcs):
    return fits.Header() if wcs is None else wcs.to_header(relax=True)


def write_images(path, wcs, **images):
    """Write images (y, x) on a tile's grid, compressed, each an HDU with WCS.

    Integers are kept as they are; other numbers, which are between 0 and 1, as those of maps.
    """
    header = _coordinates(wcs)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, image in images.items():
        if not image.size:
            hdus.append(fits.ImageHDU(header=header, name=name))
            continue
        is_map = image.dtype.kind == "f"
        data = in_8_bit(image) if is_map else image
        hdus.append(fits.CompImageHDU(data, header, name=name, compression_type="RICE_1"))
        if is_map:
            hdus[-1].header["BSCALE"], hdus[-1].header["BZERO"] = 1 / 255, 0.0
    with whole(path) as partial:
        hdus.writeto(partial)


def read_image(path, name):
    """Read one image of `write_images`; (y, x)."""
    with fits.open(path, memmap=False) as hdus:
        return np.zeros((0, 0)) if hdus[name].data is None else np.asarray(hdus[name].data)


def _image(planes):
    """Planes as they are on disk: (band, y, x), of one band (y, x), for SIP takes no third axis."""
    cube = np.ascontiguousarray(np.moveaxis(planes, -1, 0), ">f4")
    return cube[0] if len(cube) == 1 else cube


def _cube(image):
    """Undo that; (band, y, x)."""
    return image.reshape(-1, *image.shape[-2:])


def _from_disk(cube):
    return np.ascontiguousarray(np.moveaxis(cube, -3, -1), "f4")
