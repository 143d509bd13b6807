"""What a survey's bit mask says: which pixels are spoilt, and which of them by saturation."""

import numpy as np

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
        header names, by ``MP_`` and the name, and that do no harm; of JWST, DO_NOT_USE alone.

    Returns
    -------
    bad, saturated : ndarray, (y, x), bool
        Saturated ones are those of a plane that the header calls so.
    notes : tuple of str
    """
    kind, planes = mask.data.dtype.type, _planes(mask.header)
    most = int(np.iinfo(mask.data.dtype).max)
    bits = (_automatic(mask, planes) if setting is None else setting) & most
    full = sum(1 << bit for name, bit in planes.items() if name in {"SAT", "SATURATED"})
    bad = (mask.data & kind(bits)) > 0
    saturated = (mask.data & kind(full & bits)) > 0
    return bad, saturated, (_told(mask, bits, planes, bad.mean()),)


def _planes(header):
    """Number of each plane that a header names."""
    named = ((key[3:], value) for key, value in header.items() if key.startswith("MP_"))
    return {name: bit for name, bit in named if isinstance(bit, int) and 0 <= bit < 64}


def _automatic(mask, planes):
    """Bits that spoil a pixel where the config does not say."""
    telescopes = (str(header.get("TELESCOP", "")) for header in (mask.header, mask.primary))
    if "JWST" in telescopes:
        return DO_NOT_USE
    return LOW & ~sum(1 << bit for name, bit in planes.items() if name in HARMLESS)


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
