"""Refuse damaged HCOMPRESS tiles, which would crash the decoder and the whole run with it."""

import itertools

import numpy as np

MAGIC = b"\xdd\x99"
MOST_PLANES = 64  # bits of a coefficient
_HEAD = np.dtype([("magic", "S2"), ("sides", ">i4", 2), ("scale", ">i4"), ("sum", ">i8")])
_LENGTH = _HEAD.itemsize + 3  # the planes of the coefficients' three quadrants follow, a byte each


def damaged_tile(hdu, file):
    """Number of the first tile whose stream does not begin as it must; None if all do.

    A stream begins with its magic number, the sides of the tile, the scale and the bit planes
    (White et al. 1992; FITS standard 4.0, section 10.4.4): the decoder believes them, and writes
    where they say.

    Parameters
    ----------
    hdu : CompImageHDU
    file : file
        Of the bytes of the uncompressed file, open for reading.

    Returns
    -------
    int or None
        None too for any other compression.
    """
    table, header = hdu._bintable, hdu._bintable.header
    if header.get("ZCMPTYPE") != "HCOMPRESS_1":
        return None
    start, row = hdu.fileinfo()["datLoc"], table.columns.dtype.newbyteorder(">")
    file.seek(start)
    rows = np.frombuffer(file.read(header["NAXIS1"] * header["NAXIS2"]), row)
    heap = start + header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
    for i, (place, sides) in enumerate(zip(rows["COMPRESSED_DATA"], _sides(header), strict=False)):
        length, offset = (int(v) for v in place)
        if not length:
            continue  # stored in another column
        if offset < 0 or not _LENGTH <= length <= header["PCOUNT"] - offset:
            return i
        file.seek(heap + offset)
        if not _is_sound(file.read(_LENGTH), sides):
            return i
    return None


def _sides(header):
    """Sides of each tile, in the order of the rows."""
    whole = [header[f"ZNAXIS{i + 1}"] for i in range(header["ZNAXIS"])]
    tile = [header.get(f"ZTILE{i + 1}", n if not i else 1) for i, n in enumerate(whole)]
    starts = [range(0, n, max(step, 1)) for n, step in zip(whole, tile, strict=True)]
    for corner in itertools.product(*reversed(starts)):
        ends = zip(reversed(corner), tile, whole, strict=True)
        yield [min(start + step, n) - start for start, step, n in ends]


def _is_sound(stream, sides):
    head = np.frombuffer(stream, _HEAD, count=1)[0]
    said = sorted(int(side) for side in head["sides"] if side != 1)
    return (
        stream[:2] == MAGIC
        and said == sorted(side for side in sides if side != 1)
        and max(stream[_HEAD.itemsize :]) <= MOST_PLANES
    )
