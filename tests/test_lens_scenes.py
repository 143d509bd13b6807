import galsim
import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from numpy.testing import assert_allclose

from pipeline.simulate import company
from pipeline.simulate.arcs import (
    Blob,
    Body,
    Lens,
    _lensed_point,
    _trace,
    draw_arcs,
    draw_lens,
    keywords,
    paint_arcs,
)
from pipeline.simulate.challenge import draw_challenge
from pipeline.simulate.galaxies import draw_galaxy
from pipeline.simulate.population import EINSTEIN_RANGE, draw_deflector
from pipeline.simulate.render import Renderer


def test_radii_of_the_population(rng):
    drawn = np.array([draw_deflector(rng) for _ in range(2000)])
    radius, size, near, far, sigma = drawn.T
    assert radius.min() >= EINSTEIN_RANGE[0]
    assert radius.max() <= EINSTEIN_RANGE[1]
    assert (near < far).all()
    assert 200 < np.median(sigma) < 270  # SLACS: 250 km/s; fainter lenses are lighter
    assert np.corrcoef(np.log(radius), np.log(size))[0, 1] > 0.3


def test_deflections_are_those_of_lenstronomy(rng):
    x, y = rng.normal(0, 10, (2, 400))
    for _ in range(10):
        lens = draw_lens(9.0, rng.uniform(0.5, 1), rng.uniform(0, 3), rng)
        expected = LensModel(["EPL", "SHEAR"]).ray_shooting(x, y, keywords(lens))
        assert_allclose(_trace(lens, x, y), expected, atol=2e-3)


def test_a_source_behind_the_centre_makes_a_ring():
    """An isothermal sphere images what is right behind it at the Einstein radius (any textbook)."""
    y, x = np.mgrid[-20:21, -20:21].astype(float)
    light = draw_arcs(Lens(10.0, 0.9999, 0, 0, 0), [Blob(1.0, 0.7, 1.0, 1.0, 0, 0, 0)], x, y)
    radius = np.hypot(x, y)
    assert_allclose((light * radius).sum() / light.sum(), 10, atol=0.2)


def test_a_sources_light_without_a_lens_is_its_flux():
    y, x = np.mgrid[-30:30, -30:30].astype(float)
    part = Blob(3.0, 4.0, 1.0, 0.6, 0.4, 2.0, -1.0)
    assert_allclose(draw_arcs(Lens(1e-6, 0.9, 0, 0, 0), [part], x, y).sum(), 3, rtol=0.1)


def test_images_of_a_quasar_lie_on_both_sides(rng):
    lens = Lens(10.0, 0.95, 0.0, 0.02, 0.3, 2.0)
    x, _, light = _lensed_point(lens, Blob(1, 1, 1, 1, 0, 3.0, 0.0), rng).T
    bright = light > 0.05
    assert_allclose(sorted(x[bright]), [-7, 13], atol=0.7)
    assert_allclose(light.sum(), 1)


@pytest.mark.parametrize("seed", range(4))
def test_painted_arcs_hold_their_flux(seed):
    renderer = Renderer(galsim.Gaussian(fwhm=1.8), 64)
    body = Body(5.0, 0.8, 0.3, 32.0, 32.0)
    light = paint_arcs(renderer, body, 8.0, 50.0, np.random.default_rng(seed))
    assert light.shape == (64, 64)
    assert light.min() >= 0
    assert_allclose(light.sum(), 50, rtol=0.05)
    y, x = np.mgrid[:64, :64]
    radius = np.hypot(x - 32, y - 32)
    assert 4 < (light * radius).sum() / light.sum() < 16


def test_parts_joined_are_the_sum_of_the_parts(rng):
    renderer = Renderer(galsim.Gaussian(fwhm=2.5), 48)
    parts = [company.Part(draw_galaxy(3.0, rng), f, 20 + 2 * f, 24.3) for f in (1.0, 3.0)]
    apart = sum(part.flux * renderer.draw(part.galaxy, part.x, part.y) for part in parts)
    joined = renderer.draw(company.join(parts), 0, 0)
    assert_allclose(joined, apart, atol=2e-3 * apart.max())


def test_the_challenge_is_half_lenses_of_one_telescope():
    cutouts, truth = draw_challenge(60, 64, np.random.default_rng(3))
    assert cutouts.flux.shape == (60, 64, 64, 1)
    assert (np.asarray(truth["pixel_scale"]) == 0.1).all()
    assert_allclose(truth["fwhm"], 1.8)
    assert 0.25 < np.mean(truth["is_lens"]) < 0.75
