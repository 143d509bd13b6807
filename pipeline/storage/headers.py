"""What the headers of our files say: coordinates, units and words."""

from astropy import units as u
from astropy.wcs import WCS


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
    return text.encode("unicode_escape").decode()


def spelt(text):
    """Give back what `plain` wrote otherwise."""
    return str(text).encode().decode("unicode_escape")
