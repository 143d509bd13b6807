import galsim
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import uniform_filter

from pipeline import config
from pipeline.simulate import camera
from pipeline.simulate.delivery import deliver
from pipeline.simulate.galaxies import LOOSE, centred, draw_galaxy
from pipeline.simulate.pointing import ODD_TILE, extent, sky_wcs, tile_wcs, turn_of
from pipeline.simulate.render import Renderer
from pipeline.simulate.sky import draw_sky
from pipeline.simulate.survey import draw_tiles, truth

PLANES = "SCI", "WHT", "MSK"
SETTINGS = config.Survey(side=256, overlap=64, lenses_per_tile=1, galaxies_per_arcmin2=60)


@pytest.fixture(scope="module")
def survey():
    sky = draw_sky(SETTINGS)
    tiles = list(draw_tiles(SETTINGS, sky))
    return sky, tiles, truth(sky, {tile.name: tile.seen for tile in tiles})


def test_the_same_seed_draws_the_same_survey(survey):
    sky, tiles, _ = survey
    again = draw_sky(SETTINGS)
    assert_array_equal(again["ra"], sky["ra"])
    first = next(draw_tiles(SETTINGS, again))
    assert_array_equal(first.image, tiles[0].image)
    other = draw_sky(SETTINGS.model_copy(update={"seed": 21}))
    assert len(other) != len(sky) or (other["ra"] != sky["ra"]).any()


def test_the_truth_says_all_of_every_object(survey):
    sky, _, told = survey
    assert set(told["kind"]) == {"galaxy", "star", "lens"}
    assert (told["kind"] == "lens").sum() == 4
    assert_allclose(told["mag"], 31.4 - 2.5 * np.log10(told["flux"]))
    assert_array_equal(np.isfinite(told["theta_e"]), told["kind"] == "lens")
    assert_array_equal(np.isfinite(told["re"]), told["kind"] != "star")
    assert (told["snr"] >= 0).all() and (told["snr"][told["tiles"] != ""] > 0).all()
    assert told.meta["PIXSCALE"] == SETTINGS.pixel_scale
    assert len(told) == len(sky)


def test_a_tile_is_what_an_observatory_delivers(survey):
    for tile in survey[1]:
        assert tile.image.shape == tile.weight.shape == tile.mask.shape == (256, 256)
        assert tile.image.dtype == tile.weight.dtype == np.float32
        assert np.isfinite(tile.image).all() and tile.mask.dtype.kind == "i"
        dead = (tile.mask & camera.Bit.DEAD) > 0
        assert dead[:12].all() and not dead[12:-12, 12:-12].any()
        assert (tile.weight[dead] == 0).all() and (tile.weight[~dead] > 0).all()
        assert tile.keywords["MAGZERO"][0] == 27.0


def test_the_first_tile_has_a_satellite_and_a_bleeding_star(survey):
    bits = [np.bitwise_or.reduce(tile.mask, axis=None) for tile in survey[1]]
    assert bits[0] & camera.Bit.SATELLITE and bits[0] & camera.Bit.BLEED
    assert not any(other & camera.Bit.SATELLITE for other in bits[1:])
    tile = survey[1][0]
    ridge = tile.image[(tile.mask == camera.Bit.SATELLITE)]
    assert ridge.mean() > np.median(tile.image) + 3 * SETTINGS.sky_rms


def test_charge_runs_up_and_down_the_columns_of_saturated_pixels(rng):
    clean, rms = np.zeros((256, 256)), np.full((256, 256), SETTINGS.sky_rms)
    level = camera.SATURATION * SETTINGS.sky_rms / 0.035
    clean[100, 80], clean[100, 90] = 10.5 * level, 0.9 * level
    _, _, mask, _ = camera.observe(SETTINGS, clean, rms, 1, rng)
    row, column = np.nonzero(mask & camera.Bit.BLEED)
    assert (row.min(), row.max()) == (90, 110)  # as far as nine pixels hold, and one more
    assert (column.min(), column.max()) == (79, 81)


def test_one_galaxy_in_eight_lies_close_to_another():
    empty = config.Survey(side=4096, galaxies_per_arcmin2=1, stars_per_arcmin2=0, lenses_per_tile=0)
    sky = draw_sky(empty)[:-1]  # without the bleeding star
    where = SkyCoord(sky["ra"], sky["dec"], unit="deg")
    apart = where.match_to_catalog_sky(where, nthneighbor=2)[1].arcsec
    assert np.mean(apart < 2.5) == pytest.approx(0.22, abs=0.02)  # of a pair both
    assert np.mean(apart < 0.7) < 0.01


def test_positions_are_where_the_light_is(survey):
    """Bright objects peak within a pixel and a half of their true position, in every tile."""
    _, tiles, told = survey
    for tile in tiles:
        rows = tile.seen["row"][tile.seen["good"] & (tile.seen["snr"] > 200)]
        x, y = tile.wcs.all_world2pix(told["ra"][rows], told["dec"][rows], 0)
        clean = (x > 20) & (x < 235) & (y > 20) & (y < 235) & (told["kind"][rows] != "lens")
        assert clean.any()
        for cx, cy in zip(x[clean], y[clean], strict=True):
            row, column = round(cy), round(cx)
            near = tile.image[row - 4 : row + 5, column - 4 : column + 5]
            dy, dx = np.array(np.unravel_index(near.argmax(), near.shape)) - 4
            assert np.hypot(row + dy - cy, column + dx - cx) < 1.5


def test_overlapping_tiles_show_the_same_sky_with_other_noise():
    """Also the turned, distorted tile: shape and light about an object agree."""
    settings = SETTINGS.model_copy(update={"overlap": 128})
    sky = draw_sky(settings)
    sky = sky[np.flatnonzero(sky["kind"] == "galaxy")[:3]]
    position = np.array([[160.0, 50.0], [200.0, 90.0], [220.0, 40.0]])
    sky["ra"], sky["dec"] = sky_wcs(settings).all_pix2world(position, 0).T
    sky["mag"], sky["re"] = 20.5, 0.5
    moments = []
    for tile in list(draw_tiles(settings, sky))[: ODD_TILE + 1]:
        x, y = tile.wcs.all_world2pix(sky["ra"], sky["dec"], 0)
        for cx, cy in zip(x, y, strict=True):
            row, column = np.mgrid[-12:13, -12:13] + [[[int(cy)]], [[int(cx)]]]
            light = tile.image[row, column] - np.median(tile.image)
            dx, dy = (column - cx)[light > 0.3], (row - cy)[light > 0.3]
            weight = light[light > 0.3]
            mean = [(weight * v).sum() / weight.sum() for v in (dx, dy, dx * dx, dy * dy, dx * dy)]
            moments.append([light.sum() / 400, *mean])
    one, other = np.reshape(moments, (2, 3, 6))
    assert_allclose(other, one, rtol=0.1, atol=0.15)
    assert (one != other).all()


@pytest.mark.parametrize("kind", ["galaxy", "star", "lens"])
def test_flux_is_conserved_between_truth_and_image(kind):
    settings = SETTINGS.model_copy(update={"tiles": 1})
    sky = draw_sky(settings)
    thing = sky[np.flatnonzero(sky["kind"] == kind)[:1]]
    thing["ra"], thing["dec"] = tile_wcs(settings, 0).all_pix2world([[128.3, 127.8]], 0)[0]
    thing["mag"], thing["re"] = 19.0, 0.0 * thing["re"] + 0.7  # 1585 counts, not saturated
    tile, nothing = (next(draw_tiles(settings, s)) for s in (thing, thing[:0]))
    light = (tile.image - nothing.image)[12:-12, 12:-12].sum()  # of the same noise
    assert_allclose(light, 10 ** (-0.4 * (19 - 27)), rtol=0.06)


def test_good_pixels_decide_what_is_seen(survey):
    _, tiles, told = survey
    for tile in tiles:
        x, y = tile.wcs.all_world2pix(told["ra"], told["dec"], 0)
        named = np.array([tile.name in names.split() for names in told["tiles"]])
        assert (np.minimum(x, y)[named] > 12).all() and (np.maximum(x, y)[named] < 243).all()
        column, row = (np.rint(v[named]).astype(int) for v in (x, y))
        assert (tile.mask[row, column] == 0).all()


def test_noise_is_what_the_weight_says(survey):
    """Of the difference of neighbouring pixels, away from light and masks."""
    tile = survey[1][2]
    score = (tile.image - np.median(tile.image)) * np.sqrt(tile.weight)
    dark = (tile.mask == 0) & (uniform_filter(score, 9) < 0.3)
    pairs = dark[:, 1:] & dark[:, :-1]
    assert pairs.sum() > 5000
    difference = np.diff(score, axis=1)[pairs] / np.sqrt(2)
    assert_allclose(1.4826 * np.median(np.abs(difference)), 1, rtol=0.05)


@pytest.mark.parametrize("i", range(4))
def test_tiles_cover_the_survey_and_overlap(i):
    """Each tile's corners lie where the layout says, to the distortion of the odd one."""
    wcs, sky = tile_wcs(SETTINGS, i), sky_wcs(SETTINGS)
    corners = np.array([[0, 0], [255, 0], [0, 255], [255, 255]])
    there = sky.all_world2pix(wcs.all_pix2world(corners, 0), 0)
    expected = corners + np.array([i % 2, i // 2]) * (256 - 64)
    assert_allclose(there, expected, atol=4 if i == ODD_TILE else 1e-6)
    assert (wcs.sip is not None) == (i == ODD_TILE)
    assert extent(SETTINGS) == (448, 448)


def test_the_turn_is_the_local_change_of_coordinates():
    plain, odd = (turn_of(SETTINGS, tile_wcs(SETTINGS, i)) for i in (0, ODD_TILE))
    assert_allclose(plain, np.eye(2), atol=1e-8)
    assert_allclose(np.degrees(np.arctan2(odd[1, 0], odd[0, 0])), -0.5, atol=0.1)
    assert_allclose(np.linalg.det(odd), 1, atol=1e-3)


def test_a_bench_tile_of_another_survey_can_be_drawn():
    settings = config.Survey(
        tiles=1, side=256, pixel_scale=0.1, psf_fwhm=0.17, zero_point=30, sky_rms=1.25, overlap=0
    )
    sky = draw_sky(settings)
    (tile,) = draw_tiles(settings, sky)
    assert_allclose(np.median(tile.weight[20:-20, 20:-20]) ** -0.5, 1.25, rtol=0.2)


def test_a_survey_like_another_has_its_numbers():
    found = camera.like(config.Survey(like="HSC i", side=256, seed=3))
    assert (found.pixel_scale, found.psf_fwhm, found.zero_point) == (0.168, 0.61, 28.61)
    assert (found.side, found.seed, found.gain) == (256, 3, 1200)
    sky = 10 ** (0.4 * (28.61 - 19.7)) * 0.168**2  # electron / s / pixel
    assert_allclose(found.sky_rms, np.sqrt(sky / 1200), rtol=1e-3)
    five_sigma = 5 * found.sky_rms * np.sqrt(4 * np.pi) * 0.61 / 0.168 / 2.355
    assert_allclose(28.61 - 2.5 * np.log10(five_sigma), 26.4, atol=0.2)  # as HSC's wide survey


def test_what_is_said_of_a_survey_like_another_is_kept():
    plain = camera.like(config.Survey(like="LSST r"))
    said = camera.like(config.Survey(like="LSST r", psf_fwhm=0.9, zero_point=30.0))
    assert (said.psf_fwhm, said.zero_point, said.pixel_scale) == (0.9, 30.0, plain.pixel_scale)
    depth = [s.zero_point - 2.5 * np.log10(s.sky_rms) for s in (plain, said)]
    assert_allclose(*depth)
    electrons = [s.gain * s.sky_rms for s in (plain, said)]
    assert_allclose(*electrons)
    assert camera.like(SETTINGS) is SETTINGS


def test_a_number_that_was_set_is_kept_though_it_be_the_default():
    plain = config.Survey()
    said = camera.like(config.Survey(like="HSC i", psf_fwhm=plain.psf_fwhm, gain=None))
    assert (said.psf_fwhm, said.pixel_scale, said.gain) == (plain.psf_fwhm, 0.168, 1200)


@pytest.mark.parametrize(
    "name, message",
    [("Hubble r", "no survey 'Hubble'; known are .*HSC"), ("HSC u", "no band 'u'; it has g, r")],
)
def test_an_unknown_survey_says_which_are_known(name, message):
    with pytest.raises(ValueError, match=f"survey.like: .*{message}"):
        camera.like(config.Survey(like=name))


def test_the_noise_of_a_survey_like_another_is_its_sky():
    settings = camera.like(config.Survey(like="DES i", side=256))
    rms, rng = camera.noise(settings, np.random.default_rng(1)), np.random.default_rng(2)
    image, _, mask, keywords = camera.observe(settings, np.zeros((256, 256)), rms, 1, rng)
    sky = np.median(image[mask == 0]) * keywords["GAIN"][0]  # electron
    assert_allclose(np.sqrt(sky), settings.sky_rms * keywords["GAIN"][0], rtol=0.1)


def test_galaxies_are_where_the_truth_says_and_all_there(rng):
    psf = galsim.Moffat(beta=3.0, fwhm=2.5, gsparams=LOOSE)
    renderer, (y, x) = Renderer(psf, 96), np.indices((96, 96))
    knots = 0
    for _ in range(40):
        galaxy = centred(draw_galaxy(3.0, rng), 3.0)
        knots += len(galaxy.knots)
        light = renderer.draw(galaxy, 48.3, 47.6)
        assert_allclose(light.sum(), 1, rtol=1e-4)
        assert_allclose([(x * light).sum(), (y * light).sum()], [48.3, 47.6], atol=0.05)
    assert knots > 20


def test_each_plane_of_a_delivered_tile_has_its_unit(survey, tmp_path):
    deliver(tmp_path / "t.fits", survey[1][0])
    units = {name: fits.getheader(tmp_path / "t.fits", name)["BUNIT"] for name in PLANES}
    assert units == {"SCI": "count", "WHT": "count-2", "MSK": ""}
