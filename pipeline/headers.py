"""What the headers of our files say: coordinates, units and words."""

import re

from astropy import units as u
from astropy.wcs import WCS

_ESCAPED = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def wcs_of(header):
    """Read celestial coordinates; NAXIS is left out, for a header without image may hold them."""
    coordinates = header.copy(strip=True)
    wcs = WCS(coordinates, naxis=2)
    return wcs if wcs.has_celestial else None


def inverse_square(unit):
    """Unit of an inverse variance."""
    return (u.Unit(unit) ** -2).to_string("fits")


def plain(text):
    """Make `text` fit for a FITS header: ASCII on one line, other letters as in Python's source."""
    return " ".join(text.encode("ascii", "backslashreplace").decode().split())


def spelt(text):
    """Give back the letters that `plain` wrote otherwise."""
    return _ESCAPED.sub(lambda found: chr(int(found[0][2:], 16)), str(text))
