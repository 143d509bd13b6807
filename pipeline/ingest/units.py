"""What BUNIT says, as the surveys spell it."""

import re
import warnings
from contextlib import suppress

from astropy import units as u
from astropy.utils.exceptions import AstropyWarning

from pipeline.data import AB_ZERO_POINT, FLUX_UNIT
from pipeline.ingest.fitsfile import as_number

FLAM = u.erg / u.s / u.cm**2 / u.AA
OF_COUNTS = u.dimensionless_unscaled, u.ct, u.adu, u.ph
ANOTHER_AREA = 0.03  # of a pixel's: PIXAR_SR is a mean over a detector, which differs by less
SPELLINGS = (
    (r"\b(adus?|dns?)\b", "adu"),
    (r"\b(electrons?|counts?|cts?|e-|e)(?![\w-])", "ct"),
    (r"\bcps\b", "ct/s"),
    (r" ?/ ?exp\b", ""),  # of UKIRT: counts of the exposure time
    (r"\b(u|µ|micro)[ -]?(jy|janskys?)\b", "uJy"),
    (r"\bn(ano)?[ -]?(jy|janskys?)\b", "nJy"),
    (r"\b(?-i:mjy|MJY|Mjy)(?= ?/ ?sr| sr)", "MJy"),  # mJy/sr are too faint to be seen
    (r"\b(jy|janskys?)\b", "Jy"),
    (r"\b(n|nano-?)(mgy|magg(y|ies?))\b", "nmgy"),
    (r"\b(mgy|magg(y|ies?))\b", "mgy"),
    (r"\bphotons\b", "photon"),
    (r"\bergs?\b", "erg"),
    (r"\b(a|ang|angstroms?)\b", "Angstrom"),
    (r"\b(seconds?|secs?|sec)\b", "s"),
    (r"\*?\*?/ ?(pixels?|pix)\b|\b(pixels?|pix)(\*\*|\^)?-1", ""),
)


def physical(header, pixel_scale, pivot=None):
    """Flux of a value where BUNIT is one (of a frequency or a wavelength), or a surface brightness.

    The area of a pixel is that of the WCS: PIXAR_SR goes stale when an image is resampled, in the
    JWST pipeline too (spacetelescope/jwst#7390), so it is taken only where there is no WCS.

    Parameters
    ----------
    header : Header
    pixel_scale : float
        Side of a pixel [arcsec]; NaN if unknown.
    pivot : float, optional
        Wavelength of the band [Angstrom], at which a flux of a wavelength is one of a frequency.

    Returns
    -------
    tuple of float and str, or None
        NJy per value, and what is to be said of it.
    """
    bunit = str(header.get("BUNIT", "")).strip()
    told = f"unit {bunit} from BUNIT"
    unit = _parse(plain_unit(header))
    if unit is None:
        return None
    if unit.is_equivalent(u.mgy):
        return unit.to(u.mgy) * 10 ** (0.4 * AB_ZERO_POINT), told
    if unit.is_equivalent(u.Jy):
        return unit.to(FLUX_UNIT), told
    if pivot and unit.is_equivalent(FLAM):
        scale = unit.to(FLUX_UNIT, equivalencies=u.spectral_density(pivot * u.AA))
        return float(scale), f"{told}, at the {pivot:g} Angstrom of PHOTPLAM"
    if not unit.is_equivalent(u.Jy / u.sr):
        return None
    area, doubt = _area(header, pixel_scale)
    return (float(unit.to(u.nJy / u.sr) * area), told + doubt) if area > 0 else None


def _area(header, pixel_scale):
    """Area of a pixel [sr], 0 if unknown, and a doubt if the header says another."""
    area, said = (pixel_scale * u.arcsec).to_value("rad") ** 2, as_number(header.get("PIXAR_SR"))
    if not area > 0:
        return said or 0.0, ""
    if not said or abs(said / area - 1) < ANOTHER_AREA:
        return area, ""
    told = f"PIXAR_SR is {said / area:.3g} times the area of a pixel by its coordinates"
    return area, f", but {told}, which was taken; is that right?"


def of_counts(image):
    """Whether BUNIT is one of counts, in all or in a second, or not there."""
    said = next(filter(None, map(plain_unit, (image.header, image.primary))), "")
    unit = _parse(said)
    return unit is not None and any(
        unit.is_equivalent(kind) or unit.is_equivalent(kind / u.s) for kind in OF_COUNTS
    )


def own_unit(image):
    """Name the unit of an image without zero point, as FITS allows it; "ct" where it says none."""
    for header in (image.header, image.primary):
        unit = _parse(plain_unit(header))
        if unit is not None and unit != u.dimensionless_unscaled and unit.scale == 1:
            with suppress(ValueError):
                return unit.to_string("fits")
    return "ct"


def counting(image):
    """Whether BUNIT is of one second, and whether it is of electrons."""
    for header in (image.header, image.primary):
        unit = _parse(plain_unit(header))
        if unit is not None and unit != u.dimensionless_unscaled:
            said = str(header["BUNIT"]).strip().lower()
            is_rate = dict(zip(unit.bases, unit.powers, strict=True)).get(u.s, 0) < 0
            return is_rate, bool(re.match(r"(electrons?|e-?)(?![a-z])", said))
    return False, False


def plain_unit(header):
    """BUNIT with the surveys' spellings brought to those of FITS."""
    text = str(header.get("BUNIT", "")).strip()
    if text.lower() != text and text.upper() == text:
        text = text if _parse(text) else text.lower()
    for pattern, plain in SPELLINGS:
        text = re.sub(pattern, plain, text, flags=re.IGNORECASE)
    return text.strip()


def _parse(text):
    """Make `text` a unit, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            return u.Unit(text)
    except (ValueError, TypeError):
        return None
