"""What a survey's bit mask says: which pixels are spoilt, and which of them by saturation."""

import re

import numpy as np

from pipeline.ingest.calibrate import of_legacy_surveys

LOW = 0xFFFF  # bits that spoil a pixel where nothing else is known
HARMLESS = {  # planes of the LSST science pipelines (Bosch et al. 2018), which HSC has too
    "BRIGHT_OBJECT",
    "CLIPPED",
    "DETECTED",
    "DETECTED_NEGATIVE",
    "INEXACT_PSF",
    "NOT_DEBLENDED",
    "REJECTED",
    "SENSOR_EDGE",
}
DO_NOT_USE = 1  # of JWST's data quality; its other bits tell what was done to a pixel
OF_SOURCES = 1 << 1 | 1 << 11  # of ZTF: found by SExtractor, by PSF fits (ztfimg, BITMASK_KEY)
LOST = "SATUR", "ALLMASK"  # planes of the Legacy Surveys; their others tell of stars and galaxies
LOST_UNNAMED = 0b1100_0000_1111_1100  # of files without names (legacysurvey.org/dr10/bitmasks)
LEGACY_NAME = re.compile(r"(?:MBIT_|BITNM)(\d+)")  # as legacypipe writes them, and did for DR8
MANY = 0.3  # share of spoilt pixels from which the setting is doubted
TOLD = 6  # bits that a note lists


def spoilt(mask, setting):
    """Find the pixels that a mask spoils.

    Parameters
    ----------
    mask : Image
        Of unsigned integers.
    setting : int or None
        ``ingest.bad_bits``.  If None, all of the lowest 16 bits, without the planes that the
        header names, by ``MP_`` and the name, and that do no harm; of JWST, DO_NOT_USE alone; of
        ZTF, all but those of detected sources; of the Legacy Surveys, those of saturated pixels
        and of those that all exposures have masked.

    Returns
    -------
    bad, saturated : ndarray, (y, x), bool
        Saturated ones are those of a plane that the header calls so.
    notes : tuple of str
    """
    kind, planes = mask.data.dtype.type, _planes(mask.header)
    most = int(np.iinfo(mask.data.dtype).max)
    bits, why = _automatic(mask, planes) if setting is None else (setting, ())
    bits &= most
    full = sum(1 << bit for name, bit in planes.items() if name in {"SAT", "SATURATED"})
    bad = (mask.data & kind(bits)) > 0
    saturated = (mask.data & kind(full & bits)) > 0
    return bad, saturated, (*why, _told(mask, bits, planes, bad.mean()))


def _planes(header):
    """Number of each plane that a header names."""
    named = ((key[3:], value) for key, value in header.items() if key.startswith("MP_"))
    legacy = ((header[key], LEGACY_NAME.fullmatch(key)) for key in header)
    named = (*named, *((name, int(number[1])) for name, number in legacy if number))
    return {name: bit for name, bit in named if isinstance(bit, int) and 0 <= bit < 64}


def _automatic(mask, planes):
    """Bits that spoil a pixel where the config does not say, and notes on a survey's own."""
    headers = mask.header, mask.primary
    if "JWST" in (str(header.get("TELESCOP", "")) for header in headers):
        return DO_NOT_USE, (f"{mask.name}: of JWST's bits only DO_NOT_USE counts",)
    if any("ZTF" in str(header.get("INSTRUME", "")) for header in headers):
        told = "of ZTF's bits 1 and 11 do not count, which mark sources"
        return LOW & ~OF_SOURCES, (f"{mask.name}: {told}",)
    if planes.get("NPRIMARY") == 0 or any(map(of_legacy_surveys, headers)):
        named = sum(1 << bit for name, bit in planes.items() if str(name).startswith(LOST))
        told = "of the Legacy Surveys' bits only those of saturated pixels, and of those that all"
        numbers = ", ".join(map(str, _set(named or LOST_UNNAMED)))
        return named or LOST_UNNAMED, (f"{mask.name}: {told} exposures masked, count: {numbers}",)
    return LOW & ~sum(1 << bit for name, bit in planes.items() if name in HARMLESS), ()


def _told(mask, bits, planes, share):
    """Say how many pixels are spoilt, and by which bits."""
    names = {bit: f" ({name})" for name, bit in planes.items()}
    there = int(np.bitwise_or.reduce(mask.data, axis=None))
    if there and not there & bits:
        uncounted = ", ".join(f"{bit}{names.get(bit, '')}" for bit in _set(there)[:TOLD])
        return f"{mask.name}: no pixel is spoilt; bits that are set, but do not count: {uncounted}"
    found = {
        bit: float(((mask.data & mask.data.dtype.type(1 << bit)) > 0).mean())
        for bit in _set(there & bits)
    }
    most = sorted(found, key=found.get, reverse=True)[:TOLD]
    listed = ", ".join(f"bit {bit}{names.get(bit, '')} {found[bit]:.2%}" for bit in most)
    doubt = "; is ingest.bad_bits right?" if share > MANY else ""
    return f"{mask.name}: {share:.2%} of the pixels are spoilt: {listed or 'no bit'}{doubt}"


def _set(bits):
    """Numbers of the bits that are set."""
    return [bit for bit in range(bits.bit_length()) if bits >> bit & 1]
