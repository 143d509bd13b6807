"""Open one image of somebody else's FITS file, or say what is wrong with the file."""

import math
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, WcsError

from pipeline.data import blocks_wcs
from pipeline.ingest.coordinates import celestial
from pipeline.ingest.mishaps import NONSENSE, InputError, one_line, reading
from pipeline.ingest.rounded import zeros
from pipeline.ingest.whole import check_whole

MISSING = (  # what a name that is no file's may be, and what to do
    (r"[A-Za-z][A-Za-z0-9+.-]*://", "download it, and name the file"),
    (r"~", "write the home folder in full"),
    (r".*\[[\d\s*:-]+,[\d\s*:-]+\]$", "set the tile's window instead"),  # as CFITSIO has them
    (r"", "correct the path"),
)


@dataclass(frozen=True)
class Image:
    """One image of a FITS file.

    Attributes
    ----------
    name : str
        ``path[HDU]``, for messages.
    data : ndarray, (y, x)
        Pixels as they are meant (BSCALE, BZERO and BLANK applied), native and ours to change.
    zeros : ndarray, (y, x), bool; None of a mask
        Pixels that are 0, or may have been before a lossy compression.
    header, primary : Header
        Of the image, and of the file's first HDU.
    wcs : WCS or None
        Celestial coordinates of the pixels; None where the header has none, or only nonsense in a
        mask.
    notes : tuple of str
        What astropy had to repair.
    whole : tuple of int
        Shape ``(y, x)`` of the file's image, of which `data` may be a window.
    """

    name: str
    data: np.ndarray
    zeros: np.ndarray | None
    header: fits.Header
    primary: fits.Header
    wcs: WCS | None
    notes: tuple[str, ...]
    whole: tuple[int, int]


def read_image(where, index=None, n_bands=1, window=None):
    """Read an image as float32.

    Parameters
    ----------
    where : str
        ``path`` or ``path[HDU name or number]``; without HDU the first one with an image.
    index, n_bands : int or None, int
        Which plane of a cube of `n_bands` to take; None if the file is no cube of bands.
    window : tuple of int, optional
        The pixels to take, from ``x0, y0`` on and before ``x1, y1``; all if left out.

    Returns
    -------
    Image

    Raises
    ------
    InputError
        If there is no such image, or it cannot be read.
    """
    return _linear(_read(where, _as_float, (index, n_bands, window)))


def read_weight(where, index=None, n_bands=1, window=None):
    """Read a weight as `read_image` an image, as float64 where it is: squares may need its range.

    Inverse variances of images in erg/s/cm2/Angstrom are about 1e40.
    """
    return _linear(_read(where, _as_own_float, (index, n_bands, window)))


def _linear(image):
    """The image without an asinh scaling that its header tells of."""
    softening, offset = (as_number(image.header.get(k)) for k in ("BSOFTEN", "BOFFSET"))
    if not softening or offset is None:
        return image
    _undo_asinh(image.data, softening, offset)
    return replace(image, notes=(*image.notes, f"{image.name}: asinh scaling (BSOFTEN) undone"))


def _undo_asinh(data, softening, offset):
    """Make values linear that Pan-STARRS stores as asinh magnitudes (Waters et al. 2020)."""
    data *= 0.4 * math.log(10)
    np.sinh(data, out=data)
    data *= 2 * softening
    data += offset


def as_number(value):
    """Make a header's value a finite float, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def read_bits(where, index=None, n_bands=1, window=None):
    """Read a mask as unsigned integers, as `read_image` reads an image.

    The sign bit of a signed type is its highest bit; a float that is no number has all bits.
    """
    return _read(where, _as_bits, (index, n_bands, window))


def read_frame(where, index=None, n_bands=1):
    """Read only the shape (y, x) of an image, and its WCS or None, as `read_image` would."""
    with _opened(where) as (hdus, hdu, name, notes):
        shape = _shape(hdu, name, index, n_bands)
        return shape, _coordinates(hdu.header.copy(), hdus, name, notes)


def image_names(path):
    """List the HDUs with images, each as ``path[HDU]`` takes it: a name, ``SCI,2``, or a number."""
    # Tables that hold compressed images are read four times faster as tables.
    with reading(path), fits.open(path, disable_image_compression=True) as hdus:
        return [name for name, _ in named_images(hdus)]


def named_images(hdus):
    """List names, as `image_names` does, and HDUs with images, of two dimensions or more."""
    labels = [(hdu.name, f"{hdu.name},{hdu.ver}") for hdu in hdus]
    said = [label for own in labels for label in own]
    return [
        (next((name for name in own if hdu.name and said.count(name) == 1), str(i)), hdu)
        for i, (own, hdu) in enumerate(zip(labels, hdus, strict=True))
        if (is_image(hdu) and len(hdu.shape) > 1) or hdu.header.get("ZNAXIS", 0) > 1
    ]


def split_name(where):
    """Split ``path[HDU]`` into path and HDU (name, number, or None); a file of that name wins."""
    found = re.fullmatch(r"(.+)\[([^\[\]]*)\]", where, flags=re.DOTALL)
    if not found or Path(where).exists():
        return where, None
    hdu = found[2].strip()
    name, comma, version = hdu.rpartition(",")
    if comma and version.strip().isdecimal():
        return found[1], (name.strip(), int(version))
    return found[1], int(hdu) if hdu.isdecimal() else hdu


def _read(where, convert, part):
    is_mask = convert is _as_bits
    with _opened(where, is_mask) as (hdus, hdu, name, notes):
        header, primary = hdu.header.copy(), hdus[0].header.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            data = convert(_plane(hdu, name, *part))
        wcs = (_any_coordinates if is_mask else _coordinates)(header, hdus, name, notes)
        whole, (index, _, window) = _shape(hdu, name, *part[:2]), part
        zero = None if is_mask else zeros(hdu, data, index, window)
    if window and wcs:
        wcs = blocks_wcs(wcs, window[:2])
    notes = tuple(f"{name}: {note}" for note in notes)
    return Image(name, data, zero, header, primary, wcs, notes, whole)


@contextmanager
def _opened(where, is_mask=False):
    """Open a file; give its HDUs, the one that was asked for, its name, and a list of notes."""
    with reading(where):
        place, wanted = split_name(where)
    path = Path(place)
    with reading(path) as notes:
        if not path.is_file():
            remedy = next(remedy for kind, remedy in MISSING if re.match(kind, where))
            raise InputError(f"{place}: no such file (looked in {Path.cwd()}); {remedy}")
        with path.open("rb") as file, fits.open(file, uint=is_mask) as hdus:
            number, hdu = _find(hdus, wanted, path, notes)
            name = f"{path}[{hdu.name or number}]"
            check_whole(hdu, path, name)
            yield hdus, hdu, name, notes


def _find(hdus, wanted, path, notes):
    """Find number and HDU of what was asked for, or the first one with an image."""
    images = [i for i, hdu in enumerate(hdus) if is_image(hdu)]
    if wanted is None:
        if not images:
            raise InputError(
                f"{path}: no HDU holds an image; there are {_listing(hdus)}; was it copied whole?"
            )
        if len(images) > 1:
            notes.append(f"the first of {len(images)} images in the file")
        return images[0], hdus[images[0]]
    try:
        number = hdus.index_of(wanted)
        hdu = hdus[number]
    except (KeyError, IndexError):
        raise InputError(f"{path}[{wanted}]: no such HDU; there are {_listing(hdus)}") from None
    if not is_image(hdu):
        raise InputError(f"{path}[{wanted}]: holds no image; there are {_listing(hdus)}")
    return number, hdu


def is_image(hdu):
    """Whether an HDU holds pixels."""
    kinds = fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU
    return isinstance(hdu, kinds) and len(hdu.shape) > 0 and 0 not in hdu.shape


def _listing(hdus):
    return ", ".join(f"{i} {hdu.name or '(no name)'} {_what(hdu)}" for i, hdu in enumerate(hdus))


def _what(hdu):
    if is_image(hdu):
        return "x".join(str(side) for side in reversed(hdu.shape))
    return "table" if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) else "without pixels"


def without_ones(shape):
    """Shape of an image without axes of one plane in front."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _shape(hdu, name, index, n_bands):
    """Shape (y, x) of a two-dimensional HDU, or of a plane of a cube of bands."""
    shape = without_ones(hdu.shape)
    if len(shape) == 2 or (len(shape) == 3 and index is not None and shape[0] == n_bands):
        return shape[-2:]
    if len(shape) == 3:
        raise InputError(
            f"{name}: a cube of {shape[0]} planes; name it for each of {shape[0]} bands, "
            "in the order of the planes, or give one image a band"
        )
    raise InputError(f"{name}: {len(shape)}-dimensional {hdu.shape}; an image has 2 dimensions")


def _plane(hdu, name, index, n_bands, window):
    """Pixels (y, x) of an image, or of one plane of a cube of bands, within the window."""
    height, width = _shape(hdu, name, index, n_bands)
    x0, y0, x1, y1 = window or (0, 0, width, height)
    if x1 > width or y1 > height:
        raise InputError(f"{name}: {width}x{height} pixels do not hold the window {window}")
    if not window and len(hdu.shape) == 2:
        return hdu.data
    in_front = [0] * (len(hdu.shape) - 2)
    if len(hdu.shape) > 2 and hdu.shape[-3] > 1:
        in_front[-1] = index
    return hdu.section[(*in_front, slice(y0, y1), slice(x0, x1))]


def _as_float(raw):
    return np.array(raw, dtype="f4", order="C")


def _as_own_float(raw):
    return np.array(raw, dtype=np.result_type(raw, "f4"), order="C")


def _as_bits(raw):
    if raw.dtype.kind not in "iu":
        whole = np.where(np.isfinite(raw), raw, -1)
        return whole.astype("i8").view("u8")
    return np.array(raw, dtype=raw.dtype.newbyteorder("="), order="C").view(f"u{raw.itemsize}")


def _coordinates(header, hdus, name, notes):
    try:
        wcs, more = celestial(header, hdus)
    except (WcsError, *NONSENSE) as error:
        raise InputError(
            f"{name}: the coordinates cannot be understood ({one_line(error)}); "
            "repair the WCS keywords, or remove them and set ingest.pixel_scale"
        ) from error
    notes += more
    return wcs


def _any_coordinates(header, hdus, name, _):
    """Coordinates of a mask if it has any that can be understood; whatever they are is not said."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return _coordinates(header, hdus, name, [])
        except InputError:
            return None
