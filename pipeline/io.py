"""Our own files: the only module that knows how a product looks on disk.

On disk images are ``(band, y, x)``, as FITS viewers expect.  Every file is written under a
temporary name and renamed, so that it appears whole or not at all.
"""

import csv
import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS

from pipeline.data import Cutouts, Exposure


@contextmanager
def whole(path):
    """Give a temporary path beside `path`; rename it to `path` if all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_exposure(path, step=1):
    """Read what `write_exposure` wrote; or only every `step`-th pixel, with the WCS of them all."""
    with fits.open(path, memmap=step > 1) as hdus:
        header = hdus["SCI"].header
        bands = tuple(header["BANDS"].split(","))
        if "REJECTED" in header:
            return Exposure.empty(bands, str(header["REJECTED"]))
        some = np.s_[..., ::step, ::step]
        flux, ivar = (_from_disk(hdus[name].data[some]) for name in ("SCI", "IVAR"))
        return Exposure(
            flux,
            ivar,
            _wcs(header),
            bands,
            unit=header["BUNIT"],
            pixel_scale=header.get("PIXSCALE", np.nan),
            gain=tuple(header[f"GAIN{i}"] for i in range(len(bands))),
            saturation=tuple(header.get(f"SATUR{i}", np.inf) for i in range(len(bands))),
            notes=tuple(str(row["note"]) for row in Table.read(hdus["NOTES"])),
        )


def read_rejection(path):
    """Read only why the tile of `write_exposure` is rejected; empty for a good one."""
    return str(fits.getheader(path, "SCI").get("REJECTED", ""))


def write_exposure(path, exposure):
    """Write an exposure: image cubes SCI and IVAR with WCS, and a table of NOTES."""
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
    sci = fits.ImageHDU(_to_disk(exposure.flux), header, name="SCI")
    header["BUNIT"] = _inverse_square(exposure.unit)
    ivar = fits.ImageHDU(_to_disk(exposure.ivar), header, name="IVAR")
    notes = fits.table_to_hdu(Table({"note": np.array(exposure.notes, dtype="U")}))
    notes.name = "NOTES"
    with whole(path) as partial:
        fits.HDUList([fits.PrimaryHDU(), sci, ivar, notes]).writeto(partial)


def read_cutouts(path):
    """Read what `write_cutouts` wrote."""
    with fits.open(path, memmap=False) as hdus:
        header, stamps = hdus["SCI"].header, Table.read(hdus["STAMPS"])
        bands, size = tuple(header["BANDS"].split(",")), header["SIZE"]
        if not len(stamps):
            flux = ivar = np.zeros((0, size, size, len(bands)), "f4")
        else:
            flux, ivar = (_from_disk(hdus[name].data) for name in ("SCI", "IVAR"))
        return Cutouts(
            flux,
            ivar,
            np.asarray(stamps["id"]),
            np.column_stack([stamps["x0"], stamps["y0"]]),
            bands,
            header["BUNIT"],
            _wcs(hdus["PARENT"].header),
            header["BINNING"],
            header["DETBAND"],
        )


def write_cutouts(path, cutouts):
    """Write stamps: image cubes SCI and IVAR, their STAMPS table and the PARENT's WCS."""
    header = fits.Header()
    header["BANDS"] = ",".join(cutouts.bands)
    header["BUNIT"] = cutouts.unit
    header["BINNING"] = cutouts.binning
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
    stamps = _stamps(cutouts.id, cutouts.corner)
    with whole(path) as partial:
        fits.HDUList([fits.PrimaryHDU(), sci, ivar, parent, stamps]).writeto(partial)


def read_maps(path, *names):
    """Read maps of stamps: ids (n,), corners (n, 2) and one (n, y, x) array a name, as float32."""
    with fits.open(path, memmap=False) as hdus:
        stamps = Table.read(hdus["STAMPS"])
        size = hdus[1].header["SIZE"]
        empty = np.zeros((0, size, size), "f4")
        planes = [np.asarray(hdus[n].data, "f4") if len(stamps) else empty for n in names]
        corner = np.column_stack([stamps["x0"], stamps["y0"]])
        return np.asarray(stamps["id"]), corner, *planes


def write_maps(path, ids, corner, **maps):
    """Write maps of stamps, each (n, y, x) between 0 and 1, as 8-bit cubes with BSCALE."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, plane in maps.items():
        hdu = fits.ImageHDU(name=name)
        if len(plane):
            hdu.data = np.rint(np.clip(plane, 0, 1) * 255).astype("u1")
        hdu.header["BSCALE"], hdu.header["BZERO"] = 1 / 255, 0.0
        hdu.header["SIZE"] = plane.shape[1]
        hdus.append(hdu)
    hdus.append(_stamps(ids, corner))
    with whole(path) as partial:
        hdus.writeto(partial)


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
    """Write images (y, x) on a tile's grid, losslessly compressed, each an HDU with WCS."""
    header = fits.Header() if wcs is None else wcs.to_header(relax=True)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, image in images.items():
        kind = "RICE_1" if image.dtype.kind in "iu" else "GZIP_2"
        hdus.append(
            fits.CompImageHDU(image, header, name=name, compression_type=kind, quantize_level=0)
            if image.size
            else fits.ImageHDU(header=header, name=name)
        )
    with whole(path) as partial:
        hdus.writeto(partial)


def read_image(path, name):
    """Read one image of `write_images`; (y, x)."""
    with fits.open(path, memmap=False) as hdus:
        return np.zeros((0, 0)) if hdus[name].data is None else np.asarray(hdus[name].data)


def read_table(path):
    """Read a FITS table: units, descriptions, UCDs (``info.meta["ucd"]``) and meta."""
    table = QTable.read(path, mask_invalid=False)
    table.convert_bytestring_to_unicode()
    for i, column in enumerate(table.itercols(), start=1):
        column.info.description = table.meta.pop(f"TCOMM{i}", column.info.description)
        column.info.meta = column.info.meta or {}
        if f"TUCD{i}" in table.meta:
            column.info.meta["ucd"] = table.meta.pop(f"TUCD{i}")
    return table


def write_table(path, table):
    """Write a table: FITS, or Parquet if `path` says so, with unit, UCD and description.

    FITS says them in TUNITn, TUCDn and TCOMMn (as TOPCAT reads them) and in astropy's own
    comments; Parquet in each field's metadata, and a column of several bands is a list.
    """
    if Path(path).suffix == ".parquet":
        _write_parquet(path, table)
        return
    described = table.copy(copy_data=False)
    for i, column in enumerate(table.itercols(), start=1):
        if column.info.description:
            described.meta[f"TCOMM{i}"] = column.info.description
        if "ucd" in (column.info.meta or {}):
            described.meta[f"TUCD{i}"] = column.info.meta["ucd"]
    with whole(path) as partial:
        described.write(partial, format="fits")


def read_csv(path):
    """Read the rows of `write_csv`, each a mapping of text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path, table):
    """Write a table of words as comma-separated values."""
    with whole(path) as partial:
        table.write(partial, format="ascii.csv")


def read_json(path):
    """Read a mapping."""
    return json.loads(Path(path).read_text())


def write_json(path, values):
    """Write a mapping, one key a line."""
    write_text(path, json.dumps(values, indent=1) + "\n")


def write_text(path, text):
    """Write text."""
    with whole(path) as partial:
        partial.write_text(text)


def _write_parquet(path, table):
    import pyarrow as pa
    from pyarrow import parquet

    arrays, fields = [], []
    for column in table.itercols():
        info, values = column.info, np.ascontiguousarray(column)
        said = {"unit": info.unit, "description": info.description, **(info.meta or {})}
        array = pa.array(values.ravel())
        if values.ndim == 2:
            array = pa.FixedSizeListArray.from_arrays(array, values.shape[1])
        arrays.append(array)
        metadata = {key: str(value) for key, value in said.items() if value}
        fields.append(pa.field(info.name, array.type, metadata=metadata))
    meta = {str(key): str(value) for key, value in table.meta.items()}
    with whole(path) as partial:
        parquet.write_table(pa.table(arrays, pa.schema(fields, metadata=meta)), partial)


def _to_disk(cube):
    return np.ascontiguousarray(np.moveaxis(cube, -1, -3), ">f4") if cube.size else None


def _from_disk(cube):
    return np.ascontiguousarray(np.moveaxis(cube, -3, -1), "f4")


def _wcs(header):
    """Read celestial coordinates; NAXIS is left out, for a header without image may hold them."""
    coordinates = header.copy(strip=True)
    wcs = WCS(coordinates, naxis=2)
    return wcs if wcs.has_celestial else None


def _stamps(ids, corner):
    table = Table({"id": np.asarray(ids, "i8"), "x0": corner[:, 0], "y0": corner[:, 1]})
    hdu = fits.table_to_hdu(table)
    hdu.name = "STAMPS"
    return hdu


def _inverse_square(unit):
    return (u.Unit(unit) ** -2).to_string("fits")


def _plain(text):
    """Make `text` fit for a FITS header: ASCII on one line."""
    return " ".join(text.encode("ascii", "replace").decode().split())
