"""Several bands: cubes, units, and images on other pixel grids."""

import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.ingest import InputError
from tests.test_ingest import SHAPE, sky_header, take


@pytest.fixture
def pixels(rng):
    return rng.normal(0, 2, SHAPE).astype("f4")


class TestBands:
    def test_a_cube_goes_plane_by_plane(self, save, rng):
        cube = rng.normal(0, 2, (3, *SHAPE)).astype("f4")
        path = save("c.fits", cube, sky_header())
        found = take(dict.fromkeys("gri", path))
        assert_array_equal(found.flux, np.moveaxis(cube, 0, -1))
        assert found.bands == tuple("gri") and found.wcs is not None

    def test_a_cube_of_weights_too(self, save, rng):
        cube = rng.normal(0, 2, (2, *SHAPE)).astype("f4")
        weight = np.ones_like(cube) * [[[1.0]], [[2.0]]]
        found = take(
            dict.fromkeys("gr", save("c.fits", cube)),
            weight=dict.fromkeys("gr", save("w.fits", weight)),
        )
        assert_allclose(found.ivar[0, 0], [1, 2])

    @pytest.mark.parametrize("n", [1, 2, 4])
    def test_another_number_of_planes_is_an_error(self, save, rng, n):
        path = save("c.fits", rng.normal(size=(3, *SHAPE)))
        with pytest.raises(InputError, match=r"c\.fits\[PRIMARY\]: a cube of 3 planes"):
            take(dict.fromkeys("grizy"[:n], path))

    def test_a_cube_of_one_plane_is_an_image(self, save, pixels):
        assert_array_equal(take(save("c.fits", pixels[None])).flux[..., 0], pixels)
        assert_array_equal(take(save("d.fits", pixels[None, None])).flux[..., 0], pixels)

    @pytest.mark.parametrize("axes", [(), (1,), (1, 1)])
    def test_one_image_for_all_bands_is_an_error(self, save, pixels, axes):
        """As after a copied line; but a mask, or a weight, may be that of all bands."""
        path = save("c.fits", pixels.reshape(*axes, *SHAPE))
        with pytest.raises(InputError, match=r"c\.fits\[PRIMARY\]: all 2 bands name it, but it is"):
            take({"g": path, "r": path})
        bands = {"g": save("g.fits", pixels), "r": save("r.fits", 2 * pixels)}
        mask, weight = save("m.fits", np.zeros(SHAPE, "i2")), save("w.fits", np.ones(SHAPE))
        found = take(bands, mask=dict.fromkeys(bands, mask), weight=dict.fromkeys(bands, weight))
        assert_array_equal(found.flux[..., 1], 2 * pixels)

    @pytest.mark.parametrize("shape", [(30,), (2, 2, 30, 30)])
    def test_other_dimensions_are_an_error(self, save, shape):
        with pytest.raises(InputError, match=rf"{len(shape)}-dimensional.*an image has 2"):
            take(save("c.fits", np.ones(shape)))

    def test_units_must_agree(self, save, pixels):
        one, other = save("a.fits", pixels, sky_header(MAGZERO=27.0)), save("b.fits", pixels)
        with pytest.raises(InputError, match=r"g in nJy, r in ct.*set ingest\.zero_point"):
            take({"g": one, "r": other}, {"zero_point": None})
        settings = {"zero_point": {"g": 31.4, "r": 28.9}}
        found = take({"g": one, "r": other}, settings)
        assert_allclose(found.flux[..., 1], 10 * found.flux[..., 0], rtol=1e-5)

    def test_settings_of_each_band(self, save, pixels):
        files = {"g": save("a.fits", pixels), "r": save("b.fits", pixels)}
        settings = {"gain": {"g": 2.0, "r": 3.0}, "saturation": {"r": 500.0}}
        found = take(files, settings)
        assert found.gain == (2, 3) and found.saturation == (np.inf, 500)


def gaussian(shape, x0, y0, sigma):
    y, x = np.indices(shape)
    return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2 / sigma**2)


class TestGrids:
    @pytest.mark.parametrize("scale", [0.1, 0.17, 0.2, 0.3])
    def test_regridding_keeps_flux_and_place(self, save, rng, scale):
        shape = int(24 / scale), int(30 / scale)
        header = sky_header(scale, shape, CRVAL1=150.0002)
        x, y = WCS(header).world_to_pixel_values(150.0, 2.0)
        source = 1000 * gaussian(shape, x, y, 1.0 / scale)
        image = save("i.fits", source + rng.normal(0, 0.01, shape), header)
        main = save("r.fits", rng.normal(0, 1, SHAPE), sky_header())
        found = take({"r": main, "i": image}, weight={"i": save("w.fits", np.full(shape, 1e4))})
        flux = found.flux[..., 1].astype("f8")
        assert_allclose(flux.sum(), source.sum(), rtol=2e-3)
        y, x = np.indices(SHAPE)
        assert_allclose(
            [(flux * x).sum() / flux.sum(), (flux * y).sum() / flux.sum()], [74.5, 59.5], atol=0.03
        )
        assert any("brought to the pixel grid of" in note for note in found.notes)

    def test_regridded_pixels_saturate_at_the_same_surface_brightness(self, save, rng):
        header = sky_header(0.1, (240, 300), SATURATE=1000.0)
        files = {"r": save("r.fits", rng.normal(0, 1, SHAPE), sky_header())}
        files["i"] = save("i.fits", rng.normal(0, 1, (240, 300)), header)
        assert_allclose(take(files).saturation[1], 4000, rtol=1e-3)

    @pytest.mark.parametrize("scale", [0.1, 0.2, 0.3])
    def test_regridding_keeps_the_variance_of_an_aperture(self, save, rng, scale):
        shape = int(24 / scale), int(30 / scale)
        header = sky_header(scale, shape, offset=(0.37, 0.21))
        image = save("i.fits", rng.normal(0, 1, shape), header)
        main = save("r.fits", rng.normal(0, 1, SHAPE), sky_header())
        found = take({"r": main, "i": image}, weight={"i": save("w.fits", np.ones(shape))})
        apertures = found.flux[10:110, 15:135, 1].reshape(5, 20, 6, 20).sum((1, 3))
        claimed = (1 / found.ivar[10:110, 15:135, 1]).reshape(5, 20, 6, 20).sum((1, 3))
        assert_allclose((apertures**2 / claimed).mean(), 1, atol=0.6)

    def test_a_distorted_image_is_seen_where_it_is_alone(self, save, rng):
        """The inverse of this polynomial leads back into the image, far away from it."""
        one, header = np.ones((200, 200)), sky_header(0.2, (200, 200))
        header.update(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=5, B_ORDER=5)
        header.update(A_5_0=1e-11, B_0_5=-1e-11, A_3_2=-1e-11, B_2_3=1e-11, A_2_0=1e-5)
        main = save("r.fits", rng.normal(0, 1, (400, 400)), sky_header(0.6, (400, 400)))
        image = save("i.fits", rng.normal(0, 1, (200, 200)), header)
        seen = take({"r": main, "i": image}, weight={"i": save("w.fits", one)}).ivar[..., 1] > 0
        assert 60**2 < seen[166:234, 166:234].sum() == seen.sum()

    def test_bad_pixels_stay_bad(self, save, rng, pixels):
        header = sky_header(0.2, SHAPE, offset=(0.5, 0.5))
        pixels[50, 60] = 1e6
        mask = np.zeros(SHAPE, "u1")
        mask[50, 60] = 1
        main = save("r.fits", rng.normal(0, 1, SHAPE), sky_header())
        found = take(
            {"r": main, "i": save("i.fits", pixels, header)}, mask={"i": save("m.fits", mask)}
        )
        assert (found.ivar[49:52, 59:62, 1] == 0).sum() == 4
        assert abs(found.flux[..., 1]).max() < 20

    @pytest.mark.parametrize(
        ("hole", "beside"),
        [(np.s_[60, 75], 24), (np.s_[60:62, 75:77], 40), (np.s_[60:65, 75:80], 90),
         (np.s_[60, :], 350), (np.s_[58:67, 76:85], 145)],
    )  # fmt: skip
    def test_lost_pixels_do_not_ring_in_their_neighbours(self, save, rng, hole, beside):
        header = sky_header(0.2, SHAPE, offset=(0.5, 0.5))
        star, lost = (1000 * gaussian(SHAPE, 74.5, 59.5, 1.5)).astype("f4"), np.zeros(SHAPE, "u1")
        lost[hole] = 1
        main = save("r.fits", rng.normal(0, 1, SHAPE), sky_header())
        images = {"r": main, "i": save("i.fits", star, header)}
        one, mask = {"i": save("w.fits", np.ones(SHAPE))}, {"i": save("m.fits", lost)}
        whole = take(images, weight=one)
        found = take(images, weight=one, mask=mask)
        good = found.ivar[..., 1] > 0
        assert 0 < (~good & (whole.ivar[..., 1] > 0)).sum() <= beside
        assert np.abs(found.flux - whole.flux)[good, 1].max() < 2  # sigma, of a star of 1000

    def test_what_lost_pixels_hold_does_not_matter(self, save, rng, pixels):
        mask = np.zeros(SHAPE, "u1")
        mask[40:60, 60:90] = 1
        main = save("r.fits", rng.normal(0, 1, SHAPE), sky_header())
        found = []
        for name, value in (("i.fits", 0.0), ("j.fits", 1e6)):
            pixels[mask > 0] = value
            image = save(name, pixels, sky_header(0.2, SHAPE, offset=(0.5, 0.5)))
            found.append(take({"r": main, "i": image}, mask={"i": save(f"m{name}", mask)}))
        assert_array_equal(found[0].flux, found[1].flux)
        assert_array_equal(found[0].ivar, found[1].ivar)

    def test_the_reference_stays_as_it_is(self, save, rng, pixels):
        other = save("i.fits", rng.normal(0, 1, (90, 80)), sky_header(0.3, (90, 80)))
        files = {"i": other, "r": save("r.fits", pixels, sky_header())}
        found = take(files, detection="r")
        assert_array_equal(found.flux[..., 1], pixels)
        assert found.bands == ("i", "r")

    def test_the_same_grid_in_other_words_is_the_same(self, save, pixels):
        header = sky_header()
        moved = sky_header()
        moved["CRPIX1"] += 0.002
        found = take({"g": save("a.fits", pixels, header), "r": save("b.fits", pixels, moved)})
        assert_array_equal(found.flux[..., 0], found.flux[..., 1])

    def test_no_common_sky_is_an_error(self, save, pixels):
        far = save("b.fits", pixels, sky_header(CRVAL1=151.0))
        with pytest.raises(
            InputError, match=r"b\.fits\[PRIMARY\]: no usable pixel where .*a\.fits"
        ):
            take({"g": save("a.fits", pixels, sky_header()), "r": far})

    def test_shapes_without_wcs_must_agree(self, save, pixels):
        with pytest.raises(InputError, match=r"b\.fits\[PRIMARY\]: shape \(120, 100\).*resample"):
            take({"g": save("a.fits", pixels), "r": save("b.fits", pixels[:, :100])})
