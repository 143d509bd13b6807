import galsim
import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.detection import psf
from pipeline.detection.extract import extract_cores, without_halos
from pipeline.detection.psf import DEFAULT_FWHM, Moffat, measure_psf

LOOSE = galsim.GSParams(folding_threshold=2e-2, maximum_fft_size=8192)


def sky_of(fwhm, n_stars, n_galaxies, rng, *, side=700, sizes=(0.5, 2), psf=None):
    """Stars and larger galaxies on a jittered grid; the noise of a pixel is 1."""
    psf = psf or galsim.Moffat(beta=3.2, fwhm=fwhm, gsparams=LOOSE)
    image = galsim.ImageF(side, side, scale=1.0, xmin=0, ymin=0)
    cells = rng.permutation((side // 70) ** 2)[: n_stars + n_galaxies]
    places = (
        35
        + 70 * np.column_stack(np.divmod(cells, side // 70))
        + rng.uniform(-5, 5, (len(cells), 2))
    )
    for i, (x, y) in enumerate(places):
        thing = psf.withFlux(10 ** rng.uniform(3, 4.5))
        if i >= n_stars:
            size = fwhm * rng.uniform(*sizes)
            galaxy = galsim.Sersic(n=1.5, half_light_radius=size, flux=10 ** rng.uniform(3, 4.5))
            galaxy = galaxy.shear(q=rng.uniform(0.5, 1), beta=rng.uniform(0, 180) * galsim.degrees)
            thing = galsim.Convolve(galaxy, psf, gsparams=LOOSE)
        stamp = galsim.ImageF(64, 64, scale=1.0)
        stamp.setCenter(round(x), round(y))
        thing.drawImage(image=stamp, center=galsim.PositionD(x, y), add_to_image=True)
        shared = stamp.bounds & image.bounds
        image[shared] += stamp[shared]
    return (image.array + rng.normal(size=(side, side))).astype("f4")


def measure(flux, ivar=None, **more):
    ivar = np.ones_like(flux) if ivar is None else ivar
    sharp, rms = without_halos(flux, ivar)
    return measure_psf(sharp, ivar, extract_cores(sharp, rms, ivar).objects, **more)


@pytest.mark.parametrize("fwhm", [1.2, 1.5, 2.2, 3.3, 6.0])
def test_the_width_of_stars_is_found_among_galaxies(fwhm, rng):
    found, doubt = measure(sky_of(fwhm, 25, 60, rng))
    assert_allclose(found.fwhm, fwhm, rtol=0.03)
    assert not doubt


@pytest.mark.parametrize("fwhm", [2.5, 3.5])
def test_few_stars_among_many_small_galaxies_are_enough(fwhm, rng):
    found, doubt = measure(sky_of(fwhm, 12, 180, rng, side=1000, sizes=(0.25, 1.2)))
    assert_allclose(found.fwhm, fwhm, rtol=0.04)
    assert not doubt


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_width_of_gaussian_stars_with_faint_wings_is_found(share, rng):
    core, wing = (galsim.Gaussian(fwhm=fwhm, gsparams=LOOSE) for fwhm in (2.5, 6.0))
    psf = core * (1 - share) + wing * share
    found, _ = measure(sky_of(2.5, 25, 60, rng, psf=psf))
    assert_allclose(found.fwhm, 2.5, rtol=0.02)


@pytest.mark.parametrize("n_stars", [3, 4])
def test_three_stars_are_no_galaxies_though_these_be_many(n_stars, rng):
    found, doubt = measure(sky_of(3.0, n_stars, 150, rng, side=1000, sizes=(0.6, 1.2)))
    assert_allclose(found.fwhm, 3.0, rtol=0.03)
    assert f"the PSF is measured on {n_stars} of the smallest sources" in doubt


def test_stars_before_a_giant_that_fills_the_image_tell_the_width(rng):
    y, x = np.mgrid[:700, :700]
    giant = 60 * np.exp(-np.hypot(x - 350, (y - 300) / 0.7) / 150)
    found, doubt = measure(sky_of(3.0, 25, 60, rng) + giant.astype("f4"))
    assert_allclose(found.fwhm, 3.0, rtol=0.04)
    assert not doubt


def test_a_width_that_changes_over_the_image_is_told(rng):
    flux = rng.normal(size=(700, 700)).astype("f4")
    for y, x in 50 + 100 * np.array(list(np.ndindex(7, 7))):
        star = Moffat(3 + (x + y) / 700 - 1, 3.2).stamps(*rng.uniform(-0.5, 0.5, (2, 1)), 41)[0]
        flux[y - 20 : y + 21, x - 20 : x + 21] += 10 ** rng.uniform(3, 4.5) * star
    found, doubt = measure(flux)
    assert_allclose(found.fwhm, 3, rtol=0.03)
    assert doubt == "the PSF's width changes by 60%, its mean is taken; should the tile be split?"


def test_galaxies_alone_are_no_stars_and_that_is_said(rng):
    found, doubt = measure(sky_of(3.0, 0, 190, rng, side=1000, sizes=(0.3, 1.5)))
    assert "no clear stars, the PSF is measured on" in doubt
    assert doubt.endswith("detect.psf_fwhm be set?")
    assert 3 < found.fwhm < 4


def test_masked_and_saturated_stars_do_not_count(rng):
    flux = sky_of(2.5, 40, 30, rng)
    level = np.sort(flux[flux > 50])[-60]
    clipped, ivar = np.minimum(flux, level), np.ones_like(flux)
    ivar[:, 100:110] = 0
    clipped[:, 100:110] = 0
    assert_allclose(measure(clipped, ivar, saturation=level)[0].fwhm, 2.5, rtol=0.05)


@pytest.mark.parametrize("length", [1, 3])
def test_neither_hot_pixels_nor_cosmic_rays_are_the_smallest_sources(length, rng):
    flux = sky_of(3.0, 4, 60, rng)
    for y, x in rng.integers(20, 680, (60, 2)):
        flux[y, x : x + length] += 10 ** rng.uniform(1.3, 2)
    assert_allclose(measure(flux)[0].fwhm, 3.0, rtol=0.05)


def test_stars_hardly_wider_than_a_pixel_are_no_hot_pixels(rng):
    found, doubt = measure(sky_of(0.9, 30, 0, rng, psf=galsim.Gaussian(fwhm=0.9, gsparams=LOOSE)))
    assert_allclose(found.fwhm, 0.9, rtol=0.1)
    assert not doubt


def test_without_enough_stars_the_smallest_sources_stand_in(rng):
    found, doubt = measure(sky_of(3.0, 2, 0, rng))
    assert "no clear stars, the PSF is measured on 1 of the smallest sources" in doubt
    assert_allclose(found.fwhm, 3.0, rtol=0.1)


@pytest.mark.parametrize("usable", [0, 1])
def test_an_empty_sky_gives_the_default_and_says_so(usable, rng):
    flux = rng.normal(size=(128, 128)).astype("f4")
    found, doubt = measure(flux, np.full_like(flux, usable))
    assert found.fwhm == DEFAULT_FWHM
    assert "no source to measure the PSF on" in doubt


@pytest.mark.parametrize("fwhm", [1.5, 3.0])
def test_a_drawn_psf_is_galsims(fwhm):
    psf = galsim.Moffat(beta=2.8, fwhm=fwhm)
    image = psf.drawImage(nx=33, ny=33, scale=1.0, offset=(0.3, -0.2)).array
    assert_allclose(Moffat(fwhm, 2.8).stamps([0.3], [-0.2], 33)[0], image, atol=6e-4)


def test_a_kernel_is_odd_and_symmetric():
    kernel = Moffat(2.0).kernel()
    assert kernel.shape[0] % 2 == 1
    assert_allclose(kernel, kernel[::-1, ::-1], rtol=1e-5)
    assert kernel.argmax() == kernel.size // 2


def test_smaller_sources_that_are_fainter_than_stars_are_noise(rng):
    sizes = [1.2, 1.22, 1.25], rng.uniform(1.5, 1.6, 30), rng.uniform(1.65, 1.8, 60)
    names = [("x", "f8"), ("y", "f8"), ("r50", "f8"), ("snr", "f8"), ("isolated", bool)]
    compact = np.zeros(sum(map(len, sizes)), names)
    compact["r50"], compact["snr"] = np.concatenate(sizes), 100
    compact["snr"][:3] = 25
    assert (psf._stellar_locus(compact)[0]["r50"] > 1.4).all()
    compact["snr"][:3] = 400
    assert (psf._stellar_locus(compact)[0]["r50"] < 1.4).all()


@pytest.mark.parametrize(("n", "is_believed"), [(6, False), (20, True)])
def test_a_few_galaxies_alike_are_no_stars_if_three_sources_are_smaller(n, is_believed, rng):
    sizes = [2.0, 2.04, 2.07], rng.uniform(2.9, 3.0, n), rng.uniform(3.2, 9, 10)
    names = [("x", "f8"), ("y", "f8"), ("r50", "f8"), ("snr", "f8"), ("isolated", bool)]
    compact = np.zeros(sum(map(len, sizes)), names)
    compact["r50"], compact["snr"] = np.concatenate(sizes), 25
    compact["snr"][:3] = 70
    found, is_peak = psf._stellar_locus(compact)
    assert len(found) == (n if is_believed else 3) and is_peak == is_believed
