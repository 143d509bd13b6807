"""Refuse an image that its file cannot hold, before memory is asked for it."""

from math import prod

from astropy.io import fits

from pipeline.ingest.hcompress import damaged_tile
from pipeline.ingest.mishaps import InputError

LARGEST = 2**32  # pixels: more is a damaged header, not an image
DEFLATED = 1032  # bytes that gzip makes one of, at most
PLAIN, GZIP = b"SIMPLE", b"\x1f\x8b"


def check_whole(hdu, path, name):
    """Refuse an HDU whose pixels end after the file does, or are more than it can hold."""
    with path.open("rb") as file:
        start = file.read(len(PLAIN))
    size, stored = path.stat().st_size, hdu.fileinfo()["datLoc"] + _stored_bytes(hdu)
    is_packed = isinstance(hdu, fits.CompImageHDU)
    if (
        prod(hdu.shape) > LARGEST
        or (start.startswith(GZIP) and stored > DEFLATED * size)
        or (is_packed and _tiles(hdu._bintable.header) > hdu._bintable.header["NAXIS2"])
    ):
        sides = "x".join(str(side) for side in reversed(hdu.shape))
        raise InputError(f"{name}: {sides} pixels cannot be true; the header is damaged")
    if start == PLAIN and size < stored:
        raise InputError(
            f"{name}: truncated, {size} bytes of at least {stored}; copy the file again"
        )
    if start == PLAIN and is_packed:
        _check_tiles(hdu, path, name)


def _check_tiles(hdu, path, name):
    with path.open("rb") as file:
        damaged = damaged_tile(hdu, file)
    if damaged is not None:
        raise InputError(f"{name}: compressed tile {damaged + 1} is damaged; copy the file again")


def _stored_bytes(hdu):
    """Bytes of an HDU's data, without the padding that some writers leave out."""
    header = hdu._bintable.header if isinstance(hdu, fits.CompImageHDU) else hdu.header
    elements = header.get("PCOUNT", 0) + prod(_sides(header, "NAXIS"))
    return abs(header["BITPIX"]) // 8 * header.get("GCOUNT", 1) * elements


def _tiles(header):
    """How many tiles a compressed image has, each of which is a row of its table."""
    sides = _sides(header, "ZNAXIS")
    steps = [header.get(f"ZTILE{i + 1}", 1 if i else side) for i, side in enumerate(sides)]
    return prod(-(-side // max(step, 1)) for side, step in zip(sides, steps, strict=True))


def _sides(header, key):
    return [header[f"{key}{i + 1}"] for i in range(header[key])]
