"""Assemble one band: image, weight and mask become calibrated flux and inverse variance."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from pipeline.ingest import calibrate
from pipeline.ingest.bits import spoilt
from pipeline.ingest.dead import dark_pixels, dead_pixels, of_few_photons
from pipeline.ingest.fitsfile import read_bits, read_image, read_weight
from pipeline.ingest.mishaps import InputError, NoPixels
from pipeline.ingest.outliers import outlying
from pipeline.ingest.precision import SMALL, check_noise, check_size, drop_huge
from pipeline.ingest.regrid import elongation, pixel_side
from pipeline.ingest.sky import fit_sky
from pipeline.ingest.steps import spread
from pipeline.ingest.trend import noise_of_neighbours
from pipeline.ingest.weights import inverse_variance, typical
from pipeline.ingest.whose import check_whose

LEAST_ELECTRONS = 0.5  # of sky noise: below, a header's gain belongs to other counts
NOT_SQUARE = 1.05  # pixels, from this elongation on
NOTED, DOUBTED = 1.25, 2.0  # factors between the weight's noise and the measured one
SHORT = 32  # pixels along a side: below, the sky may hold sources (1.2 sigma high in 8 x 8 pixels)
SKEWED = 0.1  # of the noise: steps from which the noise may be that of few counts, and skewed
UNEVEN = 3.0  # times what its neighbours say: a pixel's noise on a sky that was not followed
WAVY = 0.1  # of the noise: what is left of the sky in blocks, from which a note is made


@dataclass(frozen=True)
class Band:
    """One band of a tile: as `pipeline.data.Exposure`, without the band axis."""

    name: str
    flux: np.ndarray
    ivar: np.ndarray
    wcs: WCS | None
    unit: str
    pixel_scale: float
    gain: float
    saturation: float
    notes: tuple[str, ...]


def read_band(tile, band, settings):
    """Read and calibrate one band of a tile.

    Parameters
    ----------
    tile : config.Tile
        Its window is of this band's pixels.
    band : str
    settings : config.Ingest

    Returns
    -------
    Band

    Raises
    ------
    InputError
        If a file is not what it should be; `NoPixels` if no pixel can be used.
    """
    image = _image(tile, band)
    flux = image.data
    pixel_scale, on_wcs = _pixel_scale(image, settings.pixel_scale)
    scale, unit, notes = calibrate.flux_scale(image, _zero_point(tile, band, settings), pixel_scale)
    check_size(flux, scale, image.name)
    drop_huge(flux, scale)
    weight, more = _weight(tile, band, settings.weight_is, image, scale)
    bad, full, reasons = _bad(tile, band, settings.bad_bits, image, weight)
    level, on_level = calibrate.saturation(image, _of(settings.saturation, band), bad)
    above = flux >= level
    flux *= scale
    flux[bad] = 0
    ivar, sky, told = _noise(flux, weight, bad, settings, image.name)
    check_noise(ivar, image.name)
    gain, on_gain = _gain(image, settings, band, scale, (sky.rms, weight is not None))
    level = level * scale - (sky.level if settings.fit_sky else 0.0)
    level, doubt = _saturated(flux, (full, above), level, sky, image.name)
    return Band(
        image.name,
        flux,
        ivar,
        image.wcs,
        unit,
        pixel_scale,
        gain,
        level,
        (*on_wcs, *notes, *more, *reasons, *told, *on_gain, *(doubt or on_level)),
    )


def _image(tile, band):
    """Image of a band; one that all bands name must have a plane for each."""
    place, index, n_bands = tile.place("image", band)
    image = read_image(place, index, n_bands, tile.window)
    axes = range(3, image.header["NAXIS"] + 1)
    if index is not None and all(image.header[f"NAXIS{axis}"] == 1 for axis in axes):
        raise InputError(
            f"{image.name}: all {n_bands} bands name it, but it is no cube; name each band's image"
        )
    return image


def _pixel_scale(image, setting):
    """Side of a pixel [arcsec], and notes on the coordinates."""
    if image.wcs:
        shape, notes = image.data.shape, image.notes
        if (longer := elongation(image.wcs, shape)) > NOT_SQUARE:
            told = f"{image.name}: pixels are {longer:.2f} times as long as wide, and so are shapes"
            notes = *notes, f"{told}; should the image be resampled?"
        return pixel_side(image.wcs, shape), notes
    known = "" if setting else ", nor ingest.pixel_scale"
    note = f"{image.name}: no celestial WCS{known}; sources have x and y only"
    return setting or np.nan, (*image.notes, note)


def _of(setting, band):
    """Value of a setting that may be given band by band."""
    return setting.get(band) if isinstance(setting, dict) else setting


def _zero_point(tile, band, settings):
    """Zero point of the tile's own, where it has one; else the survey's."""
    own = _of(tile.zero_point, band)
    return _of(settings.zero_point, band) if own is None else own


def _weight(tile, band, kind, image, scale):
    """Weight map (y, x) as inverse variance, still relative if it is of exposure; or None."""
    if band not in tile.weight:
        return None, (f"{image.name}: no weight, so the noise was measured",)
    read = read_weight(*tile.place("weight", band), tile.window)
    notes = *read.notes, *check_whose(read, image)
    read.data[read.zeros] = 0
    seen = np.isfinite(image.data) & (image.data != 0)  # sentinels may hold more than half the map
    return inverse_variance(read.data, kind, scale, seen), notes


def _bad(tile, band, bad_bits, image, weight):
    """Pixels without information, and saturated ones (y, x); notes on large parts of them."""
    is_nan = ~np.isfinite(image.data)
    dead = _dead(image, weight)
    unseen = lone = full = np.zeros_like(dead)
    if weight is not None:
        unseen, lone = (weight <= 0) & ~dead & ~is_nan, outlying(weight)
    bad = is_nan | dead | unseen | lone
    notes = [
        f"{image.name}: {part.mean():.2%} of the pixels {what}"
        for part, what in (
            (is_nan, "are no numbers"),
            (dead, "are a dead border or region"),
            (unseen, "have no weight"),
            (lone, "have far more weight than those around"),
        )
        if part.any()
    ]
    if band in tile.mask:
        mask = read_bits(*tile.place("mask", band), tile.window)
        notes += [*mask.notes, *check_whose(mask, image)]
        masked, full, told = spoilt(mask, bad_bits)
        bad |= masked
        notes += told
    if bad.all():
        why = "; ".join(note.removeprefix(f"{image.name}: ") for note in notes)
        raise NoPixels(
            f"{image.name}: no usable pixel ({why}); check the weight, the mask and ingest.bad_bits"
        )
    return bad, full, tuple(notes)


def _dead(image, weight):
    """Pixels of dead regions (y, x); refuses an image in which they cannot be told from the sky."""
    dead = dead_pixels(image.data, image.zeros)
    seen = np.ones_like(dead) if weight is None else weight > 0
    if of_few_photons(image.data, dead, seen):
        share = (image.data == 0).mean()
        raise InputError(
            f"{image.name}: {share:.0%} of the pixels are exactly 0, strewn among the others, as "
            "where photons are too few for Gaussian noise; bin the image until most hold some"
        )
    return dead


def _noise(flux, weight, bad, settings, name):
    """Subtract the sky from `flux` in place; give inverse variance (y, x), sky and notes."""
    step = spread(flux, bad)
    sky, notes = _sky(flux, bad, settings.sky_mesh, name)
    if not sky.rms > SMALL and (weight is None or settings.weight_is == "exposure"):
        raise InputError(
            f"{name}: there is no noise above {SMALL:g} a pixel; is it the right HDU? A model "
            "needs a weight, small fluxes need ingest.zero_point"
        )
    if step:
        told = f"{name}: values come in steps of {step / sky.rms:.2g} of the noise of a pixel"
        notes.append(f"{told}; they were spread over these")
    if (side := min(flux.shape)) < SHORT and (settings.fit_sky or weight is None):
        told = f"{name}: {side} pixels along a side hardly tell sky and noise from sources"
        notes.append(f"{told}; should ingest.fit_sky be false, and a weight be given?")
    if settings.fit_sky:
        sky.subtract_from(flux)
        if step > SKEWED * sky.rms:
            flux -= sky.mean_of(flux)
        notes += _left(sky, flux, bad, name)
    if weight is None:
        ivar = sky.ivar(flux if settings.fit_sky else sky.taken_from(flux))
    else:
        ivar, factor = weight, _normalisation(sky, weight) if sky.rms > 0 else np.inf
        if settings.weight_is == "exposure":
            ivar *= factor
        else:
            notes += _compared(typical(weight) ** -0.5, factor, name)
    flux[bad] = 0
    ivar[bad] = 0
    return ivar, sky, notes


def _sky(flux, bad, mesh, name):
    """Fit the sky; pixels that are darker than any can be become bad, in place, with a note."""
    sky = fit_sky(flux, bad, mesh)
    dark = dark_pixels(flux, bad, sky)
    if not dark.any():
        return sky, []
    flux[dark], bad[dark] = 0, True
    told = f"{name}: {dark.mean():.2%} of the pixels are far darker than the sky, and were left out"
    return fit_sky(flux, bad, mesh), [told]


def _left(sky, flux, bad, name):
    """Notes on what is left of the sky in `flux`, and on a noise that this inflates."""
    waves, near = sky.waves(flux), noise_of_neighbours(flux, bad)
    told = [f"the sky still waves by {waves:.2f} of the noise of a pixel"] if waves > WAVY else []
    if 0 < UNEVEN * near < sky.rms:
        told.append(
            f"the sky was not followed, and its noise is {sky.rms / near:.1f} times too large"
        )
    return [f"{name}: {what}; should ingest.sky_mesh be smaller?" for what in told]


def _compared(claimed, factor, name):
    """Note on a weight whose noise is not the measured one, which correlation may lower.

    `factor` is that of `_normalisation`: the depth of a mosaic may change from place to place.
    """
    measured = claimed / np.sqrt(factor)
    ratio = max(claimed / measured, measured / claimed) if measured > 0 else np.inf
    if ratio < NOTED:
        return []
    told = (
        f"{name}: the weight says a noise of {claimed:.3g} a pixel but {measured:.3g} is measured"
    )
    return [f"{told}; is ingest.weight_is right?" if ratio > DOUBTED else told]


def _normalisation(sky, weight):
    """Inverse variance of a unit of relative weight: the median over the image."""
    with np.errstate(divide="ignore", over="ignore"):
        measured = sky.ivar()
        ratio = np.divide(measured, weight, out=measured)
    ratio[weight <= 0] = 0
    return np.float32(typical(ratio))


def _gain(image, settings, band, scale, noise):
    """Electrons per flux unit; a header's gain is taken only if the sky's noise allows it."""
    rms, has_weight = noise
    setting = _of(settings.gain, band)
    gain, notes = calibrate.gain(image, setting, scale, has_weight)
    if setting is None and 0 < gain * rms < LEAST_ELECTRONS:
        said = f"the sky's noise would be {gain * rms:.2g} electrons"
        return 0.0, (f"{image.name}: the header's gain is not believed, since {said}",)
    return gain, notes


def _saturated(flux, marks, level, sky, name):
    """Give saturated pixels at least the flux `level`, in place; gives that level, and notes.

    `marks` are those of the mask, and those above the level.  One near the sky is not believed.
    Where only a mask knows of them, it is that of the brightest pixel.
    """
    (full, above), doubt = marks, ()
    if level < 10 * sky.rms:
        level = np.inf
        doubt = (f"{name}: the saturation level is not believed, it is near the sky",)
    else:
        full = full | above
    if full.any():
        if not np.isfinite(level):
            level = float(np.nextafter(flux.max(), np.float32(np.inf)))
        flux[full] = np.maximum(flux[full], np.float32(level))
    return level, doubt
