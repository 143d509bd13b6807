"""What a count is worth: flux unit, electrons and saturation, as the surveys write them."""

import math

import numpy as np

from pipeline.data import AB_ZERO_POINT, FLUX_UNIT
from pipeline.ingest.fitsfile import as_number
from pipeline.ingest.mishaps import InputError
from pipeline.ingest.units import counting, of_counts, own_unit, physical, plain_unit

ZERO_POINTS = (
    "MAGZERO",  # DECam community pipeline, DES, Euclid MER, MOSAIC, BASS
    "MAGZEROP",  # Euclid, SWarp
    "PHOTZP",  # ESO phase 3, MegaPipe, CFHTLS, UNIONS
    "MAGZP",  # ZTF, WISE, SkyMapper
    "MAGZPT",  # CASU (VISTA, UKIRT), DECam: of one second
    "MAGZPT1",
    "ZPAB",  # Euclid VIS
    "SEXMGZPT",  # DES coadds
    "MAG0",
    "ZPT",
    "ZP",  # THELI
)
EXPOSURE = "EXPTIME", "EXP_TIME"  # the latter in images of UKIRT (Astro::FITS::HdrTrans)
SUMS = {"ct", "adu", "photon", "ph"}  # units of counts that are not those of one second
LEGACY = ("decals", "legacysurvey", "bass", "mzls")
PLAUSIBLE = 10, 40
LOWEST = -30  # that a config may say: 0 of maggies, as KiDS has them, -22 of erg/s/cm2/Angstrom
CLIPPED = 8  # pixels that share the highest value of a clipped image, at least
OF_A_DETECTOR = 30  # electrons per count, at most: a larger gain is one of counts a second already
SAMPLE = 100_000  # pixels that tell a level and a noise well enough
IN_VEGA = {"MAGZP": ("WISE", "2MASS"), "MAGZPT": ("VISTA", "UKIRT")}  # by telescope or survey


def flux_scale(image, setting, pixel_scale):
    """Find what multiplies an image's values to give flux.

    Parameters
    ----------
    image : Image
    setting : float, str or None
        ``ingest.zero_point`` of the band: AB magnitude of 1 count, or the keyword with it.
    pixel_scale : float
        Side of a pixel [arcsec], for surface brightnesses; NaN if unknown.

    Returns
    -------
    scale : float
    unit : str
        "nJy", or the image's own unit where there is no zero point.
    notes : tuple of str

    Raises
    ------
    InputError
        If the keyword is missing or the zero point cannot be true.

    Notes
    -----
    Without a setting the image's header is asked before the file's first one, and each for a
    physical BUNIT (a flux of a wavelength becomes one of a frequency at PHOTPLAM); for a zero point
    keyword; for FLUXMAG0, the counts of magnitude 0 (HSC, Bosch et al. 2018); where BUNIT is of
    counts, for PHOTFLAM with PHOTPLAM, ``-2.5 log PHOTFLAM - 5 log PHOTPLAM - 2.408`` (Bohlin et
    al. 2011; per second, so that EXPTIME, of either header, enters where BUNIT is no rate); for
    FPA.ZP, also per second (Pan-STARRS, Waters et al. 2020), as MAGZPT is; and for the Legacy
    Surveys' marks, whose unit is the nanomaggy (AB 22.5; Dey et al. 2019).
    """
    if setting is not None:
        zero_point, source = _number(image, setting, "zero_point")
        low = LOWEST if source is None else PLAUSIBLE[0]
        return _from_zero_point(image, zero_point, source or "the config", low)
    pivot, _ = _first(image, ("PHOTPLAM",))
    for header in (image.header, image.primary):
        if found := physical(header, pixel_scale, pivot):
            scale, told = found
            return scale, FLUX_UNIT, (f"{image.name}: {told}",)
        zero_point, source = _zero_point(header, image)
        if zero_point is not None:
            return _from_zero_point(image, zero_point, source, PLAUSIBLE[0])
    unit = own_unit(image)
    why = f"{image.name}: no zero point in the header, so fluxes are in {unit}"
    return 1.0, unit, (f"{why}; set ingest.zero_point for nJy", *_left_out(image))


def _left_out(image):
    """Note on a PHOTFLAM beside a BUNIT that it is not of."""
    density, _ = _first(image, ("PHOTFLAM",))
    if density is None or of_counts(image):
        return ()
    said = next(h["BUNIT"] for h in (image.header, image.primary) if h.get("BUNIT"))
    told = f"{image.name}: PHOTFLAM was left out, for it is of counts, but BUNIT is {said!r}"
    return (f"{told}; should ingest.zero_point be set?",)


def _from_zero_point(image, zero_point, source, low):
    if not low <= zero_point <= PLAUSIBLE[1]:
        raise InputError(
            f"{image.name}: {source} gives the zero point {zero_point:g}, outside "
            f"{low} to {PLAUSIBLE[1]}; set ingest.zero_point to the AB magnitude of 1 count"
        )
    notes = [f"{image.name}: AB zero point {zero_point:.4f} from {source}"]
    if _says_vega(image, source.partition(",")[0]):
        notes.append(
            f"{image.name}: {source} is in the VEGA system but was taken as AB; "
            "should ingest.zero_point be set to the AB magnitude of 1 count?"
        )
    return 10 ** (0.4 * (AB_ZERO_POINT - zero_point)), FLUX_UNIT, tuple(notes)


def _says_vega(image, source):
    for header in (image.header, image.primary):
        said = [str(header.get(k, "")) for k in ("PHOTSYS", "MAGSYS", "MAG_SYS", "MAGTYPE")]
        said += [header.comments[source]] if source in header else []
        names = " ".join(str(header.get(k, "")) for k in ("TELESCOP", "ORIGIN", "SURVEY")).upper()
        if any("vega" in text.lower() for text in said) or any(
            name in names for name in IN_VEGA.get(source, ())
        ):
            return True
    return False


def _zero_point(header, image):
    """Zero point of a header of the image and the keyword it came from, or two Nones."""
    for keyword in ZERO_POINTS:
        value = as_number(header.get(keyword))
        if value is not None:
            sums = {*SUMS, ""} if keyword == "MAGZPT" else ()
            return _exposed(value, keyword, image, sums)
    counts = as_number(header.get("FLUXMAG0"))
    if counts is not None and counts > 0:
        return 2.5 * math.log10(counts), "FLUXMAG0"
    density, pivot = (as_number(header.get(k)) for k in ("PHOTFLAM", "PHOTPLAM"))
    if density and pivot and density > 0 and pivot > 0 and of_counts(image):
        zero_point = -2.5 * math.log10(density) - 5 * math.log10(pivot) - 2.408
        return _exposed(zero_point, "PHOTFLAM", image, SUMS)
    per_second, (seconds, _) = as_number(header.get("FPA.ZP")), _first(image, EXPOSURE)
    if per_second is not None and seconds:
        return per_second + 2.5 * math.log10(seconds), "FPA.ZP"
    if of_legacy_surveys(header):
        return 22.5, "SURVEY (Legacy Surveys)"
    return None, None


def of_legacy_surveys(header):
    """Whether a coadded image, or mask, of the Legacy Surveys has this header."""
    survey = str(header.get("SURVEY", "")).lower().replace(" ", "")
    return survey.startswith(LEGACY) and "BRICK" in header


def _exposed(zero_point, source, image, sums):
    """Turn a zero point per second into that of the image's counts, if its BUNIT is of `sums`."""
    units = (plain_unit(header) for header in (image.header, image.primary))
    if next(filter(None, units), "") not in sums:
        return zero_point, source
    seconds, _ = _first(image, EXPOSURE)
    if seconds is None:
        return zero_point, f"{source}, which is of one second, for there is no EXPTIME"
    return zero_point + 2.5 * math.log10(seconds), f"{source}, of {seconds:g} s"


def gain(image, setting, scale, has_weight):
    """Find the electrons of one flux unit, 0 if unknown, and a note.

    The header's word (a BUNIT of electrons, else GAIN or EGAIN) is taken only without a weight
    map, which may hold the sources' Poisson noise already.  A detector's is multiplied by EXPTIME
    where BUNIT is a rate.
    """
    if setting is not None:
        value, _ = _number(image, setting, "ingest.gain")
        if not value > 0:
            raise InputError(f"{image.name}: ingest.gain is {value:g}; it must be positive")
        return value / scale, ()
    if has_weight:
        return 0.0, ()
    is_rate, is_electrons = counting(image)
    value, keyword = (1.0, "BUNIT") if is_electrons else _first(image, ("GAIN", "EGAIN"))
    if value is None:
        return 0.0, ()
    if is_rate and value > OF_A_DETECTOR:
        keyword = f"{keyword}, taken for that of a count/s, as no detector has so much"
    elif is_rate:
        seconds, _ = _first(image, EXPOSURE)
        if seconds is None:
            return 0.0, (f"{image.name}: no EXPTIME, so the electrons of a count/s are unknown",)
        value, keyword = value * seconds, f"{keyword} and EXPTIME"
    return value / scale, (f"{image.name}: gain {value:g} electrons per count from {keyword}",)


def saturation(image, setting, bad):
    """Find the value, in the image's own counts, at which a pixel saturates; inf if unknown.

    Without a setting or a keyword it is the highest value, if `CLIPPED` good pixels or more share
    it exactly and it is far above all but a few.
    """
    if setting is not None:
        return _number(image, setting, "ingest.saturation")[0], ()
    value, keyword = _first(image, ("SATURATE", "SATURAT", "SATLEVEL"))
    if value is not None:
        return value, (f"{image.name}: saturation at {value:g} counts from {keyword}",)
    good = image.data[~bad]
    top = float(good.max())
    n = int((good == top).sum())
    if n < CLIPPED or not top > _far_above(good):
        return math.inf, ()
    told = f"{n} pixels share the highest value, {top:g}: it was taken for saturation"
    return top, (f"{image.name}: {told}; is that right (ingest.saturation)?",)


def _far_above(values):
    """Value that only saturation reaches, from a sample of pixels."""
    low, middle = np.percentile(values[:: max(1, values.size // SAMPLE)], [16, 50])
    return middle + 100 * (middle - low)


def _first(image, keywords):
    """First positive number among the keywords, and its keyword."""
    for header in (image.header, image.primary):
        for keyword in keywords:
            value = as_number(header.get(keyword))
            if value is not None and value > 0:
                return value, keyword
    return None, None


def _number(image, setting, name):
    """Value of a setting that is a number or a keyword, and the keyword (None for a number)."""
    if not isinstance(setting, str):
        return float(setting), None
    for header in (image.header, image.primary):
        value = as_number(header.get(setting))
        if value is not None:
            return value, setting
    found = image.header.get(setting, image.primary.get(setting, "missing"))
    raise InputError(
        f"{image.name}: {name} names the keyword {setting}, which is {found!r}; "
        "name another, or give the number"
    )
