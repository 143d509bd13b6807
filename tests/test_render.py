import galsim
import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.simulate.galaxies import (
    STAR,
    Galaxy,
    centred,
    draw_disc,
    draw_early_type,
    draw_galaxy,
    sized,
)
from pipeline.simulate.render import Renderer


@pytest.fixture
def psf():
    return galsim.Moffat(beta=3.0, fwhm=2.2)


def test_flux_is_conserved(psf, rng):
    renderer = Renderer(psf, 64)
    for make in (draw_galaxy, lambda re, r: draw_early_type(re, 0.6, 1.0, r)):
        image = renderer.draw(make(4.0, rng), *rng.uniform(0, 64, 2))
        assert_allclose(image.sum(), 1, rtol=1e-4)
    assert_allclose(renderer.draw(STAR, 3.3, 60.1).sum(), 1, rtol=1e-4)


def test_a_drawn_galaxy_is_galsims(psf):
    law = galsim.Sersic(n=1, half_light_radius=3.0).shear(q=0.5, beta=0.4 * galsim.radians)
    ours = Renderer(psf, 128).draw(Galaxy(law), 60.3, 66.8)
    offset = 60.3 - 63.5, 66.8 - 63.5
    theirs = galsim.Convolve(law, psf).drawImage(nx=128, ny=128, scale=1, offset=offset).array
    assert_allclose(ours, theirs, atol=2e-3 * theirs.max())


def test_a_knot_is_a_star_where_it_stands(psf):
    disc = galsim.Exponential(half_light_radius=3.0)
    renderer = Renderer(psf, 64)
    with_knot = renderer.draw(Galaxy(disc * 0.8, np.array([[5.0, -3.0, 0.2]])), 30, 31)
    expected = 0.8 * renderer.draw(Galaxy(disc), 30, 31) + 0.2 * renderer.draw(STAR, 35, 28)
    assert_allclose(with_knot, expected, atol=1e-6)


def test_moving_by_whole_pixels_moves_the_image(psf, rng):
    galaxy, renderer = draw_galaxy(3.0, rng), Renderer(psf, 64)
    moved = np.roll(renderer.draw(galaxy, 30.2, 31.4), (2, -5), (0, 1))
    assert_allclose(renderer.draw(galaxy, 25.2, 33.4), moved, atol=1e-6)


def test_convolving_samples_of_a_point_draws_a_star(psf):
    renderer = Renderer(psf, 64)
    samples = np.zeros((128, 128))
    samples[2 * 20, 2 * 33] = 1
    assert_allclose(renderer.convolve(samples), renderer.draw(STAR, 33, 20), atol=1e-6)


def test_a_disc_keeps_its_half_light_radius(rng):
    renderer = Renderer(galsim.Gaussian(fwhm=1.0), 256)
    image = renderer.draw(draw_disc(12.0, 1.0, 0.0, np.random.default_rng(1)), 128, 128)
    y, x = np.mgrid[:256, :256]
    inside = image[np.hypot(x - 128, y - 128) < 12].sum()
    assert_allclose(inside, 0.5, atol=0.06)


def test_the_brightest_pixels_in_the_area_of_a_sized_galaxy_hold_half_its_light():
    renderer, re, held, drawn_at = Renderer(galsim.Gaussian(fwhm=1.0), 256), 8.0, [], []
    for seed in range(40):
        galaxy = draw_galaxy(re, np.random.default_rng(seed))
        image = renderer.draw(centred(sized(galaxy, re), re), 128, 128)
        held.append(np.sort(image, axis=None)[::-1][: round(np.pi * re**2)].sum())
        drawn_at.append(galaxy.re / re)
    assert_allclose(held, 0.5, atol=0.06)  # a disc from its edge differs from its bulge
    assert 0.45 < min(drawn_at) < 0.7 and 1 < max(drawn_at) < 1.16
