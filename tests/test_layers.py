import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import convolve

from pipeline.models import mixture, punet
from pipeline.nets.anomaly import power_spectrum, starlet, texture
from pipeline.nets.layers import SkyUnits, arcsinh, fold, unfold
from pipeline.nets.lens import mean_member_loss
from pipeline.nets.photometry import negative_log_likelihood
from pipeline.nets.punet import kl_divergence
from pipeline.nets.unet import map_loss


def test_sky_units_do_not_depend_on_the_unit_of_flux(rng):
    flux, ivar = rng.normal(size=(3, 8, 8, 1)), rng.uniform(0.5, 2, (3, 8, 8, 1))
    ivar[0, :3] = 0
    scale = SkyUnits()
    one = scale(np.concatenate([flux, ivar], -1).astype("f4"))
    other = scale(np.concatenate([1e3 * flux, ivar / 1e6], -1).astype("f4"))
    assert_allclose(one, other, atol=1e-4)


def test_arcsinh_is_numpys():
    x = np.array([-1e6, -3.0, -1e-3, 0.0, 1e-5, 0.5, 20.0, 1e8], "f4")
    assert_allclose(arcsinh(x), np.arcsinh(x), rtol=1e-5, atol=1e-7)


def test_a_lost_pixel_tells_sky_units_nothing(rng):
    stamps = np.concatenate([rng.normal(size=(1, 8, 8, 1)), np.ones((1, 8, 8, 1))], -1).astype("f4")
    stamps[0, 2, 3, 1] = 0
    other = stamps.copy()
    other[0, 2, 3, 0] = 1e6
    assert_allclose(SkyUnits()(stamps), SkyUnits()(other))


def test_kl_of_a_gaussian_with_itself_is_zero(rng):
    p = rng.normal(size=(4, 6)).astype("f4")
    assert_allclose(kl_divergence(p, p), np.zeros((4, 3)), atol=1e-5)


def test_kl_against_the_closed_form():
    p, q = np.array([[1.0, 0.0]]), np.array([[0.0, np.log(2.0)]])
    assert_allclose(kl_divergence(p, q), [[np.log(2) + (1 + 1) / (2 * 4) - 1 / 2]], rtol=1e-6)


def test_likelihood_of_one_gaussian_is_the_textbook_one():
    logits, mean, log_sigma = np.zeros(3), np.full(3, 1.5), np.full(3, np.log(2.0))
    given = np.concatenate([logits, mean, log_sigma])[None]
    expected = 0.5 * (1 / 2) ** 2 + np.log(2) + 0.5 * np.log(2 * np.pi)
    loss = negative_log_likelihood(np.array([[2.5]]), given)
    assert_allclose(loss, [expected], rtol=1e-6)


def test_quantile_is_the_inverse_of_cumulative(rng):
    given = rng.normal(size=(50, 9))
    for share in (0.025, 0.16, 0.5, 0.84):
        assert_allclose(mixture.cumulative(given, mixture.quantile(given, share)), share, atol=1e-6)


@pytest.mark.parametrize("loss", [map_loss, mean_member_loss])
def test_losses_do_not_care_about_the_order_of_the_batch(loss, rng):
    shapes = {map_loss: ((6, 4, 4, 4), (6, 4, 4, 3)), mean_member_loss: ((6, 1), (6, 2))}
    truth, said = (rng.uniform(0.05, 0.95, shape) for shape in shapes[loss])
    order = rng.permutation(6)
    assert_allclose(loss(truth[order], said[order]), np.asarray(loss(truth, said))[order])


def test_map_loss_of_the_truth_is_its_least(rng):
    truth = np.concatenate([rng.integers(0, 2, (2, 8, 8, 3)), np.ones((2, 8, 8, 1))], -1)
    assert_allclose(map_loss(truth, truth[..., :3].astype(float)), 0, atol=1e-4)


def test_folding_is_undone(rng):
    maps = rng.normal(size=(2, 4, 6, 3)).astype("f4")
    assert_allclose(unfold(fold(maps)), maps)
    assert_allclose(fold(maps)[0, 0, 0], maps[0, :2, :2].ravel())
    folded = punet._folded(maps[:, :, :4])
    assert_allclose(folded[1, :, 3], maps[1, 2:4, 2:4].reshape(4, 3))
    assert_allclose(punet._unfolded(folded[..., 0], 4), maps[:, :, :4, 0])


def test_the_power_spectrum_knows_brightness_from_width():
    y, x = np.mgrid[:32, :32] - 15.5
    narrow, wide = (np.exp(-0.5 * (x**2 + y**2) / width**2) for width in (1.5, 4.5))
    light = 1000 * np.stack([narrow, 2 * narrow, wide])[..., None].astype("f4")
    once, twice, smooth = np.asarray(power_spectrum(starlet(light)))
    assert_allclose(twice - once, np.log(4), rtol=1e-4)
    assert smooth[0] - smooth[-1] < once[0] - once[-1] - 2


def test_the_starlet_planes_are_differences_of_ever_smoother_images_and_sum_to_the_light(rng):
    light = rng.normal(size=(2, 16, 24, 1)).astype("f4")
    planes = np.array([np.asarray(plane) for plane in starlet(light)])
    assert_allclose(planes.sum(axis=0), light, atol=1e-5)
    row = np.zeros(9)
    row[::2] = [1, 4, 6, 4, 1]  # of the second smoothing, whose pixels lie two apart
    smooth = light[0, ..., 0] - planes[0, 0, ..., 0]
    finer = smooth - convolve(smooth, np.outer(row, row) / 256, mode="constant")
    assert_allclose(planes[1, 0, ..., 0], finer, atol=1e-5)


def test_light_turned_negative_has_the_same_texture_but_for_the_skewness(rng):
    y, x = np.mgrid[:32, :32] - 15.5
    light = (100 * np.exp(-0.5 * (x**2 + y**2) / 3**2))[None, ..., None].astype("f4")
    bright, dark = (
        np.asarray(texture(starlet(sign * light), np.ones_like(light)))[0] for sign in (1, -1)
    )
    skewed = bright != dark
    assert skewed.sum() == 3
    assert_allclose(dark[skewed], -bright[skewed], rtol=1e-5)
    assert (bright[skewed] > 1).all()


def test_a_cosmic_ray_is_sharper_than_any_star(rng):
    y, x = np.mgrid[:32, :32] - 15.5
    star = 1000 * np.exp(-0.5 * (x**2 + y**2) / 3**2)
    struck = star.copy()
    struck[5, 5:9] += 200
    light = (np.stack([star, struck]) + rng.normal(size=(2, 32, 32)))[..., None].astype("f4")
    usable = np.ones_like(light)
    alone, hit = np.asarray(texture(starlet(light), usable))
    assert (hit[-2:] > alone[-2:] + 0.7).all()
    usable[1, 3:8, 3:11] = 0
    masked = np.asarray(texture(starlet(light * usable), usable))[1]
    assert masked[-2] < hit[-2] - 1
