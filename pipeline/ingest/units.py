"""What BUNIT says, as the surveys spell it."""

import re
import warnings

from astropy import units as u
from astropy.utils.exceptions import AstropyWarning

from pipeline.data import AB_ZERO_POINT, FLUX_UNIT
from pipeline.ingest.fitsfile import as_number

NANOMAGGIES = {"nanomaggy", "nanomaggies", "nmgy", "nmaggy", "nanomaggie"}
MAGGIES = {"maggy", "maggies", "mgy"}
SPELLINGS = (
    (r"\b(adus?|dns?)\b", "adu"),
    (r"\b(electrons?|counts?|cts?|e-|e)(?![\w-])", "ct"),
    (r"\bcps\b", "ct/s"),
    (r"\bjy\b", "Jy"),
    (r"\b(seconds?|secs?|sec)\b", "s"),
    (r"\*?\*?/ ?(pixels?|pix)\b|\b(pixels?|pix)(\*\*|\^)?-1", ""),
)


def physical(header, pixel_scale):
    """NJy per value of a header whose BUNIT is a flux (or surface brightness), else None."""
    bunit = str(header.get("BUNIT", "")).strip()
    if bunit.lower() in NANOMAGGIES | MAGGIES:
        return 10 ** (0.4 * (AB_ZERO_POINT - (22.5 if bunit.lower() in NANOMAGGIES else 0.0)))
    unit = _parse(plain_unit(header))
    if unit is None:
        return None
    if unit.is_equivalent(u.Jy):
        return unit.to(FLUX_UNIT)
    if not unit.is_equivalent(u.Jy / u.sr):
        return None
    area = as_number(header.get("PIXAR_SR")) or (pixel_scale * u.arcsec).to_value("rad") ** 2
    return unit.to(u.nJy / u.sr) * area if area > 0 else None


def own_unit(image):
    """Name the unit of an image without zero point, as FITS allows it; "ct" where it says none."""
    for header in (image.header, image.primary):
        unit = _parse(plain_unit(header))
        if unit is not None and unit != u.dimensionless_unscaled and unit.scale == 1:
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
    """Make `text` a unit that FITS can hold, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            unit = u.Unit(text)
            unit.to_string("fits")
    except (ValueError, TypeError):
        return None
    return unit
