import galsim
import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import cKDTree

from pipeline import config
from pipeline.data import Exposure
from pipeline.detection import kron
from pipeline.detection.extract import Detections, TooMuch, add_cores, extract_cores
from pipeline.detection.psf import Moffat
from pipeline.flags import Flag
from tests.detected import detect

FWHM = 3.0
SETTINGS = config.Detect(psf_fwhm=FWHM)


def tan_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [100.0, 100.0], [-5e-5, 5e-5]
    wcs.wcs.radesys = "ICRS"
    return wcs


def exposure_of(*planes, ivar=None, **more):
    flux = np.stack(planes, axis=-1).astype("f4")
    ivar = np.ones_like(flux) if ivar is None else np.broadcast_to(ivar[..., None], flux.shape)
    bands = tuple("grizy"[: len(planes)])
    return Exposure(flux, ivar.astype("f4"), more.pop("wcs", None), bands, **more)


def paint(shape, positions, fluxes, fwhm=FWHM):
    """Round Moffat sources of the PSF's profile."""
    image = np.zeros((shape[0] + 200, shape[1] + 200))
    for (x, y), flux in zip(positions, fluxes, strict=True):
        x0, y0 = int(np.rint(x)), int(np.rint(y))
        stamp = flux * Moffat(fwhm).stamps([x - x0], [y - y0], 101)[0]
        image[y0 + 50 : y0 + 151, x0 + 50 : x0 + 151] += stamp
    return image[100:-100, 100:-100]


@pytest.fixture(scope="module")
def sky():
    """Galaxies on a jittered grid, with noise of 1: their exposure, positions and S/N."""
    rng = np.random.default_rng(3)
    side, step = 1000, 50
    psf = galsim.Moffat(beta=3, fwhm=FWHM)
    image = galsim.ImageF(side, side, xmin=0, ymin=0, scale=1.0)
    grid = np.stack(np.mgrid[25:side:step, 25:side:step], -1).reshape(-1, 2)
    places, snr = grid + rng.uniform(-6, 6, grid.shape), np.zeros(len(grid))
    for i, (x, y) in enumerate(places):
        galaxy = galsim.Exponential(half_light_radius=rng.uniform(0.5, 4))
        galaxy = galaxy.shear(q=rng.uniform(0.4, 1), beta=rng.uniform(0, 180) * galsim.degrees)
        stamp = galsim.ImageF(48, 48, scale=1.0)
        stamp.setCenter(round(x), round(y))
        galsim.Convolve(galaxy, psf).drawImage(image=stamp, center=galsim.PositionD(x, y))
        snr[i] = 10 ** rng.uniform(0.5, 2.5)
        stamp *= snr[i] / np.sqrt((stamp.array**2).sum())
        image[stamp.bounds & image.bounds] += stamp[stamp.bounds & image.bounds]
    exposure = exposure_of(image.array + rng.normal(size=(side, side)), wcs=tan_wcs())
    return exposure, places, snr, detect(exposure, SETTINGS)


def distances(found, places):
    tree = cKDTree(np.column_stack([found["x"].value, found["y"].value]))
    return tree.query(places)


def test_isolated_galaxies_are_complete_pure_and_in_place(sky):
    _, places, snr, found = sky
    away, _ = distances(found, places[snr > 10])
    assert np.mean(away < 3) > 0.97
    assert np.median(away) < 0.15
    assert np.median(distances(found, places[snr > 50])[0]) < 0.06
    spurious = cKDTree(places).query(np.column_stack([found["x"].value, found["y"].value]))[0] > 5
    assert spurious.mean() < 0.01


def test_every_column_has_its_type_and_unit(sky):
    exposure, *_, found = sky
    assert found.meta["BANDS"] == "g"
    assert found.meta["DETBAND"] == 0
    assert "PIXSCALE" not in found.meta
    assert found["id"].dtype == np.int64
    assert found["label"].dtype == found["flags"].dtype == np.int32
    assert found["flux_auto"].unit == exposure.unit
    assert found["flux_auto"].shape == (len(found), 1)
    assert_array_equal(found["label"], np.arange(1, len(found) + 1))
    assert np.isfinite(found["flux_auto"]).all()
    assert (found["a"] >= found["b"]).all()


def test_positions_on_the_sky_are_those_of_the_pixels(sky):
    exposure, *_, found = sky
    expected = exposure.wcs.pixel_to_world_values(found["x"].value, found["y"].value)
    assert_allclose([found["ra"].value, found["dec"].value], expected, atol=1e-9)


def test_without_wcs_there_is_no_sky_position(rng):
    image = paint((60, 60), [(30, 30)], [200]) + rng.normal(size=(60, 60))
    found = detect(exposure_of(image, pixel_scale=0.2), SETTINGS)
    assert np.isnan(found["ra"]).all()
    assert found.meta["PIXSCALE"] == 0.2


def test_kron_flux_is_most_of_the_light_in_every_band(rng):
    places = [(40, 40), (110, 45), (75, 110)]
    red, blue = (paint((150, 150), places, fluxes) for fluxes in ([900, 700, 500], [90, 70, 50]))
    exposure = exposure_of(blue, red + rng.normal(size=red.shape), gain=(0.5, 0.0))
    found = detect(exposure, config.Detect(psf_fwhm=FWHM, band="r"))
    _, rows = distances(found, places)
    assert found.meta["DETBAND"] == 1
    flux = found["flux_auto"].value[rows]
    assert_allclose(flux[:, 1], [900, 700, 500], rtol=0.15)
    assert_allclose(flux[:, 0] / flux[:, 1], 0.1, rtol=0.15)
    area = np.pi * (found["kron_radius"] ** 2 * found["a"] * found["b"]).value[rows]
    assert_allclose(found["flux_auto_err"].value[rows, 1] ** 2, area, rtol=0.2)
    poisson = area + flux[:, 0] / 0.5
    assert_allclose(found["flux_auto_err"].value[rows, 0] ** 2, poisson, rtol=0.1)


def test_a_neighbours_pixels_are_replaced_by_those_opposite():
    image = paint((80, 120), [(40, 40)], [1000])
    segments = np.zeros((80, 120), "i4")
    segments[np.hypot(*(np.mgrid[:80, :120] - np.array([40, 40])[:, None, None])) < 5] = 1
    shapes = np.array([(40, 40, 2.5, 2.5, 0.0)], [(k, "f8") for k in ("x", "y", "a", "b", "theta")])
    alone, _, _ = kron.aperture_flux(exposure_of(image), shapes, np.array([3.5]), segments)
    image[:, 46:], segments[:, 46:] = 77, 2
    beside, _, _ = kron.aperture_flux(exposure_of(image), shapes, np.array([3.5]), segments)
    assert_allclose(beside, alone, rtol=1e-5)


def test_the_extent_reaches_to_the_end_of_the_footprint():
    image = np.zeros((80, 90))
    image[30:41, 20:61] = 100 - np.hypot(*np.mgrid[-5:6, -20:21])  # 41 pixels by 11
    found = detect(exposure_of(image + 1e-3), config.Detect(psf_fwhm=1.5, deblend_contrast=1))
    assert len(found) == 1
    assert_allclose(found["extent"].value, 20.5 + 2, atol=1.01)  # smoothed by the filter


def test_blended_sources_are_told_apart(rng):
    places = [(40, 40), (47, 41)]
    image = paint((80, 80), places, [2000, 1500]) + rng.normal(size=(80, 80))
    found = detect(exposure_of(image), SETTINGS)
    away, rows = distances(found, places)
    assert (away < 0.5).all()
    assert (found["flags"][rows] & Flag.BLENDED).all()


def test_a_faint_star_in_the_halo_of_a_galaxy_is_found(rng):
    y, x = np.mgrid[:300, :300]
    halo = 300 * np.exp(-np.hypot(x - 150, y - 150) / 16)
    image = halo + paint((300, 300), [(205, 160)], [500]) + rng.normal(size=(300, 300))
    found = detect(exposure_of(image), SETTINGS)
    away, _ = distances(found, [(150, 150), (205, 160)])
    assert (away < 0.5).all()


def test_a_core_that_has_a_source_gives_only_its_centre(rng):
    image = paint((80, 80), [(40, 40)], [2000]).astype("f4")
    image += rng.normal(size=image.shape)
    cores = extract_cores(image, 1.0, np.ones_like(image))
    found = Detections(cores.objects.copy(), cores.segments.copy())
    joined, centre = add_cores(found, cores)
    assert len(joined.objects) == 1
    assert_allclose(centre, [[cores.objects["x"][0], cores.objects["y"][0]]])
    nothing = Detections(cores.objects[:0], np.zeros_like(cores.segments))
    joined, centre = add_cores(nothing, cores)
    assert_array_equal(joined.segments, cores.segments)
    assert len(joined.objects) == len(centre) == 1


def test_a_core_takes_pixels_of_its_host_alone():
    kind = extract_cores(np.zeros((9, 9), "f4"), 1.0, np.zeros((9, 9), "f4")).objects.dtype
    cold, hot = np.zeros(2, kind), np.zeros(2, kind)
    cold["xcpeak"], hot["xcpeak"], hot["cflux"] = [1, 7], [1, 4], [9, 5]
    found = Detections(cold, np.array([[1, 1, 1, 1, 1, 2, 2, 2, 2]], "i4"))
    cores = Detections(hot, np.array([[0, 1, 1, 0, 2, 2, 2, 2, 0]], "i4"))
    joined, centre = add_cores(found, cores)
    assert_array_equal(joined.segments, [[1, 1, 1, 1, 3, 2, 2, 2, 2]])
    assert_array_equal(np.isnan(centre[:, 0]), [False, True, False])
    assert_array_equal(joined.objects["flag"] > 0, [True, False, True])


def test_masked_pixels_hide_what_is_under_them(rng):
    image = paint((100, 100), [(50, 50)], [1e4]) + rng.normal(size=(100, 100))
    ivar = np.ones((100, 100))
    ivar[40:61, 40:61] = 0
    image[40:61, 40:61] = 0
    found = detect(exposure_of(image, ivar=ivar), SETTINGS)
    assert ((np.abs(found["x"].value - 50) > 9) | (np.abs(found["y"].value - 50) > 9)).all()


def test_noise_that_varies_gives_no_spurious_sources(rng):
    sigma = np.where(np.arange(600) % 200 < 100, 1, 8)[:, None] * np.ones((1, 600))
    image = sigma * rng.normal(size=(600, 600))
    assert len(detect(exposure_of(image, ivar=sigma**-2), SETTINGS)) == 0


@pytest.mark.parametrize("exposure", [
    Exposure.empty(("g", "r"), "broken"),
    exposure_of(np.zeros((64, 64)), np.zeros((64, 64)), ivar=np.zeros((64, 64))),
    exposure_of(np.zeros((64, 64)), np.zeros((64, 64))),
    exposure_of(np.zeros((3, 3)), np.zeros((3, 3))),
], ids=["rejected", "all masked", "flat", "tiny"])  # fmt: skip
def test_nothing_to_find_gives_the_same_columns(exposure, sky):
    found = detect(exposure, config.Detect(band="r", psf_fwhm=3))
    full = sky[-1]
    assert len(found) == 0
    assert found.colnames == full.colnames
    assert [found[n].dtype for n in found.colnames] == [full[n].dtype for n in full.colnames]
    assert found["flux_auto"].shape == (0, 2)
    assert found.meta["DETBAND"] == 1


def test_an_image_all_above_the_threshold_says_what_to_do(monkeypatch, rng):
    monkeypatch.setattr("pipeline.detection.extract._PIXEL_STACKS", (500,))
    image = 100 + rng.normal(size=(200, 200))
    with pytest.raises(TooMuch, match=r"more than 500 pixels are above .* is the sky"):
        detect(exposure_of(image), SETTINGS)


def test_lack_of_memory_is_not_the_images(monkeypatch, rng):
    def failed(*_, **__):
        raise MemoryError("memory allocation failed")

    monkeypatch.setattr("pipeline.detection.extract.sep.extract", failed)
    with pytest.raises(MemoryError):
        detect(exposure_of(rng.normal(size=(64, 64))), SETTINGS)


def test_the_same_inputs_give_the_same_sources(sky):
    exposure, *_, found = sky
    again = detect(exposure, SETTINGS)
    for name in found.colnames:
        assert_array_equal(np.asarray(found[name]), np.asarray(again[name]))


def test_large_galaxies_are_not_like_points(sky):
    *_, found = sky
    star = detect(exposure_of(paint((80, 80), [(40.3, 40.4)], [3000])), SETTINGS)
    assert star["flags"][0] & Flag.POINT_LIKE
    big = found["r50"].value > 4
    assert big.sum() > 20
    assert not (found["flags"][big] & Flag.POINT_LIKE).any()


@pytest.mark.parametrize("fwhm", [1.2, 1.7, 2.5, 4.0])
def test_faint_stars_are_found_whatever_the_width_of_the_psf(fwhm, rng):
    grid = np.stack(np.mgrid[20:500:40, 20:500:40], -1).reshape(-1, 2)
    places = grid + rng.uniform(-5, 5, grid.shape)
    peak = Moffat(fwhm).stamps(*rng.uniform(-0.5, 0.5, (2, 50)), 31)
    flux = 8 / np.sqrt((peak**2).sum((1, 2)).mean())  # for a S/N of 8, in the mean
    image = paint((500, 500), places, np.full(len(places), flux), fwhm) + rng.normal(
        size=(500, 500)
    )
    found = detect(exposure_of(image), config.Detect(psf_fwhm=fwhm))
    x, y = (found[name].value for name in "xy")
    away, _ = cKDTree(np.column_stack([x, y])).query(places)
    assert np.mean(away < 2) > 0.9
    assert len(found) < 1.02 * len(places)


def test_noise_has_no_cores_however_much_more_of_it_a_part_has(rng):
    noise = np.ones((200, 200), "f4")
    noise[:, 150:] = 15
    image = (noise * rng.normal(size=noise.shape)).astype("f4")
    assert not len(extract_cores(image, 1.0, noise**-2).objects)
    image[98:103, 173:178] += 200
    assert len(extract_cores(image, 1.0, noise**-2).objects) == 1
