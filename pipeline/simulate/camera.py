"""What a camera does to a clean image: noise, saturation, bleeding, a satellite, a dead border."""

from enum import IntFlag

import numpy as np
from scipy.ndimage import binary_dilation
from surveycodex import available_surveys, get_survey
from surveycodex.utilities import mean_sky_level

SKY_NOISE = 7.0  # of a pixel, where no gain is given [electron]
SATURATION = 500.0  # count above the sky, where the sky's rms is 0.035
BORDER = 12  # pixel
TRAIL_WIDTH, TRAIL_LEVEL = 2.0, 12.0  # of the satellite's light: sigma [pixel], peak [sky rms]


class Bit(IntFlag):
    """Bits of the survey's masks."""

    DEAD = 1
    SATURATED = 2
    BLEED = 4
    SATELLITE = 8


def like(settings):
    """Settings whose pixel scale, PSF, zero point, noise and gain are those of a real survey.

    Parameters
    ----------
    settings : config.Survey
        With ``like``, "SURVEY BAND"; what else was set is kept, and noise and gain are those of
        a count at the zero point that is kept.

    Returns
    -------
    config.Survey
        A count is an electron per second of the whole exposure, unless ``zero_point`` was given.

    Raises
    ------
    ValueError
        If surveycodex knows no such survey or band.
    """
    if settings.like is None:
        return settings
    survey, band = _survey_and_band(settings.like)
    seconds = band.full_exposure_time.to_value("s")
    zero_point = float(band.zeropoint.value)
    kept = settings.model_dump(exclude_unset=True, exclude_none=True)
    count = 10 ** (0.4 * (zero_point - kept.get("zero_point", zero_point)))  # electron / s
    found = {
        "pixel_scale": survey.pixel_scale.to_value("arcsec"),
        "psf_fwhm": band.psf_fwhm.to_value("arcsec"),
        "zero_point": zero_point,
        "sky_rms": float(np.sqrt(mean_sky_level(survey, band).value)) / seconds / count,
        "gain": seconds * count,
    }
    return settings.model_copy(update=found | kept)


def _survey_and_band(name):
    """What surveycodex says of "SURVEY BAND"."""
    survey, _, band = name.partition(" ")
    if survey not in available_surveys:
        known = ", ".join(sorted(available_surveys))
        raise ValueError(f"survey.like: there is no survey {survey!r}; known are {known}")
    found = get_survey(survey)
    if band not in found.available_filters:
        known = ", ".join(found.available_filters)
        raise ValueError(f"survey.like: {survey} has no band {band!r}; it has {known}")
    return found, found.get_filter(band)


def noise(settings, rng):
    """Noise of the sky on every pixel of a tile [count]: a slope, and a strip of half the depth.

    Parameters
    ----------
    settings : config.Survey
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, (y, x), float32
    """
    side = settings.side
    slope = np.linspace(-0.08, 0.08, side)
    rms = settings.sky_rms * (1 + slope[:, None] + slope * rng.choice([-1, 1]))
    start = int(rng.uniform(0.2, 0.7) * side)
    rms[:, start : start + side // 30] *= np.sqrt(2)
    return rms.astype("f4")


def observe(settings, clean, rms, i, rng):
    """Observe noiseless light.

    Parameters
    ----------
    settings : config.Survey
    clean : ndarray, (y, x)
        Light without the sky [count].
    rms : ndarray, (y, x)
        As `noise` gives it.
    i : int
        Number of the tile; the first one has the satellite.
    rng : numpy.random.Generator

    Returns
    -------
    image, weight, mask : ndarray, (y, x)
        As in `pipeline.simulate.survey.SurveyTile`.
    keywords : dict
        Of the header.
    """
    side = settings.side
    gain = settings.gain or SKY_NOISE / settings.sky_rms
    mask = np.zeros(clean.shape, "i2")
    trail = _satellite(side) if i == 0 else np.zeros_like(clean)
    light = clean + TRAIL_LEVEL * settings.sky_rms * trail
    sky = _sky(settings, gain, rng)
    spread = np.sqrt(rms**2 + np.clip(light, 0, None) / gain)
    image = light + spread * rng.standard_normal(clean.shape, dtype="f4")
    level = SATURATION * settings.sky_rms / 0.035
    full, bled = light > level, _bleed(clean, level)
    image[full | bled] = level
    image += sky
    mask[trail > 0.02] |= Bit.SATELLITE
    mask[binary_dilation(full, iterations=2)] |= Bit.SATURATED
    mask[binary_dilation(bled, iterations=1)] |= Bit.BLEED
    dead = np.ones(clean.shape, bool)
    dead[BORDER:-BORDER, BORDER:-BORDER] = False
    mask[dead] |= Bit.DEAD
    image[dead] = 0
    weight = np.where(dead, 0, rms**-2.0)
    keywords = {
        "BUNIT": ("count", "unit of the image"),
        "MAGZERO": (settings.zero_point, "[mag] AB magnitude of 1 count"),
        "GAIN": (gain, "[electron/count]"),
        "SATURATE": (level, "[count] level of saturation"),
    }
    return image.astype("f4"), weight.astype("f4"), mask, keywords


def _sky(settings, gain, rng):
    """Light of the sky [count], which makes the noise; uneven by a tenth."""
    row, column = np.mgrid[: settings.side, : settings.side].astype("f4") / settings.side
    slope, bend = rng.uniform(-0.1, 0.1, 2)
    level = gain * settings.sky_rms**2
    return level * (1 + slope * column + bend * row**2)


def _satellite(side):
    """Profile of a trail across the tile, 1 along its ridge; (y, x)."""
    row, column = np.mgrid[:side, :side].astype("f4")
    angle = np.radians(27)
    across = (column - 0.3 * side) * np.sin(angle) - (row - 0.6 * side) * np.cos(angle)
    return np.exp(-0.5 * (across / TRAIL_WIDTH) ** 2)


def _bleed(clean, level):
    """Pixels that the charge of saturated ones runs into, up and down their columns."""
    bled = np.zeros(clean.shape, bool)
    over = np.clip(clean - level, 0, None).sum(axis=0) / level
    for column in np.flatnonzero(over >= 1):
        middle = int(np.argmax(clean[:, column]))
        reach = int(over[column])
        bled[max(middle - reach, 0) : middle + reach + 1, column] = True
    return bled
