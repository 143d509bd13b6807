from functools import partial

import galsim
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.config import Config, Scenes
from pipeline.scenes import blends, device, light, neighbours, sets
from pipeline.scenes.conditions import Conditions, draw_conditions, observe
from pipeline.scenes.dice import Dice
from pipeline.scenes.galaxies import draw_galaxy
from pipeline.scenes.optics import MIRRORS, MOFFAT_BETAS, Canvas, Psf, response
from pipeline.training import scenes

SETTINGS = Scenes(size=32, seed=5)


@pytest.fixture(scope="module")
def drawn():
    return sets.draw_set("blends", 64, SETTINGS, "test")


def _image(canvas, psf, *parts):
    every = light.join(*(light.Parts(*part) for part in parts))
    return np.asarray(canvas.image(light.transform(canvas, every), response(canvas, psf)))


@pytest.mark.parametrize(("index", "fwhm"), [(1.0, 1.5), (4.0, 2.4), (0.6, 4.0)])
def test_a_galaxy_looks_as_galsim_draws_it(index, fwhm):
    canvas, row = Canvas(128), int(light.row_of(index))
    exact = np.geomspace(*light.INDICES)[row]
    psf = Psf(fwhm=fwhm, profile=2, axis_ratio=0.9, angle=0.5)
    ours = _image(canvas, psf, (100.0, 3.0, index, 0.5, 0.3, 64.3, 60.7))
    theirs = galsim.Convolve(
        galsim.Sersic(exact, half_light_radius=3, flux=100).shear(q=0.5, beta=0.3 * galsim.radians),
        galsim.Moffat(beta=MOFFAT_BETAS[2], fwhm=fwhm).shear(q=0.9, beta=0.5 * galsim.radians),
    ).drawImage(nx=128, ny=128, scale=1, offset=(0.8, -2.8))
    assert_allclose(ours, theirs.array, atol=2e-3 * theirs.array.max())
    assert_allclose(ours.sum(), 100, rtol=1e-4)


@pytest.mark.parametrize("fwhm", [1.5, 3.0])
def test_points_are_stars_and_folding_is_sampling(fwhm):
    star = (5.0, 0.0, 1.0, 1.0, 0.0, 30.25, 33.5)
    psf = Psf(fwhm=fwhm, profile=3, axis_ratio=1.0, angle=0.0)
    drawn = _image(Canvas(64), psf, star)
    moffat = galsim.Moffat(beta=MOFFAT_BETAS[3], fwhm=fwhm, flux=5)
    theirs = moffat.drawImage(nx=64, ny=64, scale=1, offset=(-1.25, 2.0)).array
    assert_allclose(drawn, theirs, atol=1e-3 * theirs.max())
    nothing = light.Parts(*jnp.zeros((7, 1)))
    point = light.Points(*(jnp.array([v]) for v in (5, 30.25, 33.5)))
    seen = light.transform(Canvas(64), nothing, point)
    assert_allclose(Canvas(64).image(seen, response(Canvas(64), psf)), drawn, atol=1e-5)


@pytest.mark.parametrize("row", range(len(MIRRORS)))
@pytest.mark.parametrize("fwhm", [1.5, 5.0])
def test_rings_are_those_of_an_obscured_mirror(row, fwhm):
    profile = len(MOFFAT_BETAS) + row
    canvas, psf = Canvas(128), Psf(fwhm=fwhm, profile=profile, axis_ratio=1.0, angle=0.0)
    ours = _image(canvas, psf, (100.0, 0.0, 1.0, 1.0, 0.0, 64.3, 60.7))
    hole, blur = MIRRORS[row]
    airy = galsim.Airy(lam_over_diam=1, obscuration=hole, flux=100)
    rings = galsim.Convolve(airy, galsim.Gaussian(fwhm=max(blur, 0.02)))
    rough = rings.withGSParams(folding_threshold=0.05)  # else a large image is needed
    row = rough.drawImage(nx=151, ny=151, scale=0.02, method="sb").array[75, 75:]
    theirs = rings.dilate(fwhm / (0.04 * np.interp(-row[0] / 2, -row, np.arange(len(row)))))
    theirs = theirs.drawImage(nx=128, ny=128, scale=1, offset=(0.8, -2.8)).array
    assert_allclose(ours, theirs, atol=1e-3 * theirs.max())


def test_light_adds_up_and_galaxies_keep_their_flux():
    draw = jax.jit(jax.vmap(lambda key: draw_galaxy(4.0, Dice(key))))
    galaxy = draw(jax.random.split(jax.random.key(3), 40))
    total = np.asarray(galaxy.parts.flux).sum(1) + np.asarray(galaxy.points.flux).sum(1)
    assert_allclose(total, 1, atol=1e-5)
    assert (np.asarray(galaxy.parts.flux) >= 0).all()


@pytest.mark.parametrize(("kind", "n", "size"), [("blends", 16, 32), ("lenses", 64, 96)])
def test_scenes_are_the_same_however_they_are_drawn(kind, n, size, monkeypatch):
    key, drawn = sets.key_of(3, kind, "test", 0), []
    for apart in (True, False):
        monkeypatch.setattr(device, "one_by_one", lambda apart=apart: apart)
        drawn.append(jax.jit(partial(sets.DRAW[kind], n=n, size=size))(key))
    for one, other in zip(*map(jax.tree.leaves, drawn), strict=True):
        bright = np.nanmax(np.abs(np.where(np.isfinite(other), other, 0)))
        assert_allclose(one, other, rtol=1e-3, atol=1e-5 * bright)


def test_batches_are_drawn_ahead_and_come_in_order():
    drawn = device.ahead(lambda number: 10 * number)
    assert [drawn(number) for number in (0, 1, 0, 1, 2, 3, 7)] == [0, 10, 0, 10, 20, 30, 70]
    assert device.side_by_side(lambda number: 10 * number, range(4)) == [0, 10, 20, 30]


def test_companions_are_other_stamps_of_the_same_sky(drawn):
    cutouts, _, truth, companions = drawn
    assert 0 < len(companions) <= 3 * len(cutouts)
    size, shift = SETTINGS.size, companions.corner
    assert (np.abs(shift) < size).all()
    assert (np.diff(companions.id) >= 0).all()
    for one, (dx, dy), flux, ivar in zip(
        companions.id, shift, companions.flux, companions.ivar, strict=True
    ):
        here = slice(max(dy, 0), size + min(dy, 0)), slice(max(dx, 0), size + min(dx, 0))
        there = slice(max(-dy, 0), size + min(-dy, 0)), slice(max(-dx, 0), size + min(-dx, 0))
        assert_array_equal(flux[there], cutouts.flux[one][here])
        assert_array_equal(ivar[there], cutouts.ivar[one][here])
    assert (companions.binning == np.asarray(truth["binning"])[companions.id]).all()


def test_a_neighbour_is_known_that_has_a_stamp(drawn):
    _, _, truth, companions = drawn
    is_known, far = np.asarray(truth["neighbour_known"]), np.asarray(truth["neighbour"])
    assert 0 < is_known.sum() < np.isfinite(far).sum()
    middle, error = companions.corner + SETTINGS.size // 2, 1.5 * neighbours.FARTHEST + 1
    for i in np.flatnonzero(is_known):
        offset = middle[companions.id == i] - [truth["x"][i], truth["y"][i]]
        assert np.abs(np.hypot(*offset.T) - far[i]).min() < error


@pytest.mark.parametrize(
    ("apart", "flux", "found"), [(9, 1.0, True), (4, 1.0, False), (6, 0.1, False)]
)
def test_a_neighbour_has_a_peak_where_the_light_dips_before_it(apart, flux, found):
    sigma = 1.2 if found else 2.5
    y, x = np.mgrid[:64, :64]
    light = [
        1000 * f * np.exp(-((x - at) ** 2 + (y - 30) ** 2) / (2 * sigma**2))
        for f, at in ((1.0, 30), (flux, 30 + apart))
    ]
    sources = {"x": jnp.array([30.0, 30.0 + apart]), "y": jnp.array([30.0, 30.0])}
    assert bool(neighbours._peaks(jnp.asarray(sum(light)), sources)[0]) == found


def test_light_is_positive_and_the_stamp_is_light_and_noise(drawn):
    cutouts, light, truth, _ = drawn
    unit = np.asarray(truth["sky_rms"])[:, None, None]
    assert (light / unit[..., None]).min() > -0.05
    usable = cutouts.ivar[..., 0] > 0
    faint = usable & (light.sum(-1) < 0.1 * unit)
    residual = ((cutouts.flux[..., 0] - light.sum(-1)) / unit)[faint]
    assert_allclose(residual.std(), 1, atol=0.25)
    assert abs(residual.mean()) < 0.2


def test_the_target_is_at_the_stamps_centre(drawn):
    _, light, truth, _ = drawn
    assert np.median(np.hypot(truth["x"] - 16, truth["y"] - 16)) < 1.5
    y, x = np.mgrid[:32, :32]
    own, small = light[..., 0], np.asarray(truth["re"]) < 2
    at = [(own * axis).sum((1, 2)) / own.sum((1, 2)) for axis in (x, y)]
    assert_allclose(at[0][small], truth["x"][small], atol=0.7)
    assert_allclose(at[1][small], truth["y"][small], atol=0.7)


def test_the_targets_light_does_not_exceed_its_flux(drawn):
    _, light, truth, _ = drawn
    assert (light[..., 0].sum((1, 2)) < 1.02 * np.asarray(truth["flux"])).all()


def test_only_what_a_detection_could_find_is_a_target(drawn):
    _, light, truth, _ = drawn
    assert (np.asarray(truth["snr"]) >= blends.MIN_SNR * (1 - 1e-5)).all()
    row = np.arange(len(truth)), *(np.rint(truth[k]).astype(int) for k in "yx")
    own, total = light[..., 0][row], light.sum(-1)[row]
    assert (own >= 0.99 * blends.MIN_CENTRAL_SHARE * total).all()


@pytest.mark.parametrize("kind", sets.DRAW)
def test_a_seed_and_a_number_say_it_all(kind):
    several = [(5, "test", 0), (5, "test", 0), (6, "test", 0), (5, "test", 1), (5, "validation", 0)]
    flux = [
        sets.draw_set(kind, 4, Scenes(size=32, seed=seed), split, shard)[0].flux
        for seed, split, shard in several
    ]
    assert_array_equal(flux[0], flux[1])
    assert len({f.tobytes() for f in flux}) == 4


def test_a_set_of_some_size_is_drawn_into_files(tmp_path):
    config = Config.model_validate({"scenes": {"blends": 12, "shard": 6, "size": 32}})
    for shard in (0, 1):
        scenes(config, tmp_path / str(shard), kind="blends", split="test", shard=shard)
    seen = {(tmp_path / str(shard) / "light.fits").read_bytes() for shard in (0, 1)}
    assert len(seen) == 2


def test_lost_pixels_hold_nothing():
    def one(key):
        dice = Dice(key)
        return observe(jnp.zeros((32, 32)), draw_conditions(dice, blends.PROFILES), dice)

    flux, ivar = map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), 60)))
    assert (flux[ivar == 0] == 0).all()
    assert np.isfinite(flux).all()
    assert 0.02 < (ivar == 0).any((1, 2)).mean() < 0.5


@pytest.mark.parametrize("width", [0.0, 0.8])
def test_noise_has_the_variance_that_its_weight_says(width):
    psf = Psf(2.0, 2, 1.0, 0.0)
    dark, conditions = jnp.zeros((64, 64)), Conditions(psf, 1e9, width)
    look = jax.jit(lambda i: observe(dark, conditions, Dice(jax.random.key(i))))
    seen = [map(np.asarray, look(i)) for i in range(30)]
    pulls = [(f * np.sqrt(i))[i > 0] for f, i in seen]
    assert_allclose(np.mean([p.std() for p in pulls]), 1, atol=0.05)
