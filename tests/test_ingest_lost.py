"""Pixels that masks, dead regions and saturation take from an ingested tile."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from pipeline.config import Ingest, Tile
from pipeline.ingest import InputError, ingest
from pipeline.ingest.fitsfile import read_image
from tests.test_ingest import SHAPE, take


@pytest.fixture
def pixels(rng):
    return rng.normal(0, 2, SHAPE).astype("f4")


@pytest.fixture
def pack(tmp_path):
    def packed(image, **how):
        path = tmp_path / "packed.fits.fz"
        fits.CompImageHDU(image, dither_seed=1, **how).writeto(path)
        return str(path)

    return packed


class TestMasks:
    @pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "u2", "u4", "f4"])
    def test_only_the_named_bits_count(self, save, pixels, dtype):
        mask = np.zeros(SHAPE, dtype)
        mask[1, 1], mask[2, 2], mask[3, 3] = 1, 4, 5
        found = take(save("a.fits", pixels), {"bad_bits": 4}, mask=save("m.fits", mask))
        assert_array_equal(np.argwhere(found.ivar[..., 0] == 0), [[2, 2], [3, 3]])

    def test_the_sign_bit_is_a_bit(self, save, pixels):
        mask = np.zeros(SHAPE, "i2")
        mask[1, 1] = -32768
        path = save("m.fits", mask)
        assert take(save("a.fits", pixels), {"bad_bits": "0x8000"}, mask=path).ivar[1, 1, 0] == 0
        assert take(save("b.fits", pixels), {"bad_bits": 0x7FFF}, mask=path).ivar[1, 1, 0] > 0

    def test_planes_that_do_no_harm_are_left_alone(self, tmp_path, save, pixels):
        mask = np.zeros(SHAPE, "i4")
        mask[10:90], mask[3, 4], mask[5, 6] = 1 << 5, 1, 2
        header = fits.Header({"MP_BAD": 0, "MP_SAT": 1, "HIERARCH MP_DETECTED": 5})
        path = str(tmp_path / "m.fits")
        fits.PrimaryHDU(mask, header).writeto(path)
        found = take(save("a.fits", pixels), mask=path)
        assert_array_equal(np.argwhere(found.ivar[..., 0] == 0), [[3, 4], [5, 6]])
        assert_array_equal(np.argwhere(found.flux >= found.saturation[0])[:, :2], [[5, 6]])
        assert any("bit 0 (BAD)" in note and "bit 1 (SAT)" in note for note in found.notes)
        strict = take(save("b.fits", pixels), {"bad_bits": 0xFFFF}, mask=path)
        assert (strict.ivar == 0).sum() == 80 * SHAPE[1] + 2
        assert any(note.endswith("is ingest.bad_bits right?") for note in strict.notes)

    def test_bits_that_do_not_count_are_told_where_none_does(self, save, pixels):
        mask = np.zeros(SHAPE, "i4")
        mask[:50] = 1 << 17 | 1 << 20
        found = take(save("a.fits", pixels), mask=save("m.fits", mask))
        assert (found.ivar > 0).all()
        assert any(
            "no pixel is spoilt; bits that are set" in n and "17, 20" in n for n in found.notes
        )
        found = take(save("b.fits", pixels), {"bad_bits": 1 << 17}, mask=save("n.fits", mask))
        assert any("bit 17 41.67%" in n for n in found.notes)

    def test_of_jwst_only_do_not_use_spoils(self, tmp_path, save, pixels):
        mask = np.zeros(SHAPE, "u4")
        mask[1, 1], mask[2, 2] = 4, 5
        path = str(tmp_path / "m.fits")
        fits.PrimaryHDU(mask, fits.Header({"TELESCOP": "JWST"})).writeto(path)
        found = take(save("a.fits", pixels), mask=path)
        assert_array_equal(np.argwhere(found.ivar[..., 0] == 0), [[2, 2]])

    @pytest.mark.parametrize(
        ("header", "counted"),
        [
            ({"INSTRUME": "ZTF/MOSAIC"}, {*range(16)} - {1, 11}),
            ({"SURVEY": "DECaLS", "BRICK": "0591m305"}, {2, 3, 4, 5, 6, 7, 14, 15}),
            ({"MBIT_0": "NPRIMARY", "MBIT_1": "BRIGHT", "MBIT_3": "SATUR_M438",
              "MBIT_6": "ALLMASK_M438", "MBIT_12": "GALAXY"}, {3, 6}),
            ({"BITNM0": "NPRIMARY", "BITNM2": "SATUR_G", "BITNM12": "GALAXY"}, {2}),
            ({}, {*range(16)}),
        ],
    )  # fmt: skip
    def test_bits_of_sources_do_not_count(self, save, pixels, header, counted):
        mask = np.zeros(SHAPE, "i4")
        mask[0, :20] = 1 << np.arange(20)
        path = save("m.fits", mask, fits.Header(header))
        found = take(save("a.fits", pixels), mask=path)
        assert {*np.nonzero(found.ivar[..., 0] == 0)[1]} == counted
        assert (found.saturation[0] == np.inf) and (found.ivar[1:] > 0).all()
        assert any("bits" in note and "count" in note for note in found.notes) == bool(header)
        strict = take(save("b.fits", pixels), {"bad_bits": 2}, mask=path)
        assert (strict.ivar == 0).sum() == 1

    def test_all_masked_is_an_error(self, save, pixels):
        mask = save("m.fits", np.ones(SHAPE, "u1"))
        said = r"a\.fits\[PRIMARY\]: no usable pixel \(.*m\.fits.*: 100\.00% .* bit 0 .*bad_bits"
        with pytest.raises(InputError, match=said):
            take(save("a.fits", pixels), mask=mask)

    def test_another_shape_is_an_error(self, save, pixels):
        with pytest.raises(InputError, match=r"m\.fits\[PRIMARY\]: shape \(5, 5\)"):
            take(save("a.fits", pixels), mask=save("m.fits", np.zeros((5, 5), "i2")))


class TestDeadPixels:
    @pytest.mark.parametrize("value", [0.0, -999.0])
    def test_a_border_of_one_value_carries_no_weight(self, save, rng, value):
        image = rng.normal(100, 2, (256, 256)).astype("f4")
        image[:40], image[:, 250:] = value, value
        found = take(save("a.fits", image), {"fit_sky": True, "sky_mesh": 64})
        dead = np.zeros((256, 256), bool)
        dead[:40], dead[:, 250:] = True, True
        assert_array_equal(found.ivar[..., 0] == 0, dead)
        assert any("dead border" in note for note in found.notes)
        assert abs(found.flux[..., 0][~dead].mean()) < 0.1
        assert_allclose(found.ivar[..., 0][~dead], 0.25, rtol=0.15)

    def test_a_single_row_at_the_edge_is_found(self, save, pixels):
        pixels[-1] = 0
        found = take(save("a.fits", pixels))
        assert_array_equal(np.unique(np.nonzero(found.ivar[..., 0] == 0)[0]), [119])

    def test_a_dead_region_inside_is_found(self, save, pixels):
        pixels[40:60, 70:100] = 0
        assert (take(save("a.fits", pixels)).ivar == 0).sum() == 600

    def test_a_sentinel_inside_is_found(self, save, rng):
        image = rng.normal(100, 2, (256, 256)).astype("f4")
        image[40:65, 70:103], image[200:216, 8:24] = -9999, -1e30
        assert (take(save("a.fits", image)).ivar == 0).sum() == 25 * 33 + 16 * 16

    @pytest.mark.parametrize("value", [-999.0, -1e17, -1e30, -3e38])
    def test_pixels_far_darker_than_the_sky_are_lost(self, save, rng, value):
        image = rng.normal(100, 5, (256, 256)).astype("f4")
        image[60:180, 100] += 5000
        lost = rng.uniform(size=image.shape) < 1e-3
        lost[:, [70, 71, 102, 190]], lost[120, 20:60] = True, True
        image[lost] = value
        found = take(save("a.fits", image), {"fit_sky": True, "zero_point": 28.9})
        assert_array_equal(found.ivar[..., 0] == 0, lost)
        assert_allclose(found.ivar[~lost] ** -0.5, 50, rtol=0.1)
        said = "darker than the sky" if value > -1e18 else "are no numbers"
        assert sum(said in note for note in found.notes) == 1

    def test_rough_strips_rings_of_filters_and_a_sky_too_high_are_not_dark(self, save, rng):
        y, x = np.indices((512, 512))
        image = rng.normal(0, np.where(x < 24, 8, 1)).astype("f4")
        image += 1e4 * np.sinc(x - 300.5) * np.sinc(y - 100.5)
        image -= 60 * np.exp(-(((np.hypot(x - 250, y - 350) - 60) / 12) ** 2))
        assert image.min() < -100
        assert (take(save("a.fits", image), {"fit_sky": True}).ivar > 0).all()

    @pytest.mark.parametrize("noise", [0.4, 0.6, 1])
    @pytest.mark.parametrize("sky", [0, 1000])
    def test_the_sky_is_natural_among_integers(self, save, rng, sky, noise):
        image = rng.normal(sky + 0.1, noise, (256, 256)).round().astype("i2")
        image[:20] = sky - 700
        found = take(save("a.fits", image))
        assert (found.ivar[20:] > 0).all()
        assert (found.ivar[:20] == 0).all()

    @pytest.mark.parametrize("levels", [1, 4, 16])
    @pytest.mark.parametrize("method", [-1, 1, 2])
    @pytest.mark.parametrize("tile", [None, (100, 60)])
    def test_zeros_that_were_compressed_are_found(self, pack, rng, levels, method, tile):
        image = rng.normal(size=(256, 256)).astype("f4")
        dead = np.zeros(image.shape, bool)
        dead[:30], dead[:, 216:], dead[100:132, 100:140] = True, True, True
        image[dead] = 0
        path = pack(image, quantize_level=levels, quantize_method=method, tile_shape=tile)
        found = take(path).ivar[..., 0] == 0
        assert found[dead].mean() > 0.995 and found[~dead].mean() < 0.01

    @pytest.mark.parametrize("kind", ["ivar", "rms", "variance", "exposure"])
    def test_weights_of_0_that_were_compressed_are_none(self, save, pack, pixels, rng, kind):
        weight = rng.uniform(1, 1.2, SHAPE).astype("f4")
        lost = rng.uniform(size=SHAPE) < 0.1
        weight[lost] = 0
        path = pack(weight, quantize_level=4, quantize_method=1)
        assert (fits.getdata(path)[lost] > 0).mean() > 0.3
        found = take(save("a.fits", pixels), {"weight_is": kind}, weight=path)
        assert_array_equal(found.ivar[..., 0] == 0, lost)

    def test_a_window_of_a_compressed_cube_has_its_own_steps(self, pack, rng):
        scale = 10.0 ** np.arange(3)[:, None, None] * np.geomspace(1, 100, 80)[:, None]
        cube = (scale * rng.normal(size=(3, 80, 90))).astype("f4")
        cube[:, 20:60, 30:70] = 0
        path = pack(cube, quantize_level=4, quantize_method=1)
        whole = read_image(path, 1, 3)
        part = read_image(path, 1, 3, (25, 15, 75, 70))
        assert whole.zeros[20:60, 30:70].all() and 0.01 < whole.zeros[:20].mean() < 0.2
        assert_array_equal(part.zeros, whole.zeros[15:70, 25:75])

    @pytest.mark.parametrize("photons", [0.02, 0.1, 0.2, 0.3, 0.5])
    @pytest.mark.parametrize("side", ["whole", "round"])
    def test_photons_too_few_to_tell_sky_from_dead_regions_are_refused(
        self, save, rng, photons, side
    ):
        y, x = np.indices((256, 256)) - 127.5
        seconds = 1500 * (1 - (x**2 + y**2) / 1e5)
        rate = rng.poisson(photons * seconds / 1500) / seconds
        if side == "round":
            rate[x**2 + y**2 > 125**2] = 0
        with pytest.raises(InputError, match=r"a\.fits.* are exactly 0, strewn .* bin the image"):
            take(save("a.fits", rate.astype("f4")))

    def test_zeros_in_ordinary_images_are_not_for_want_of_photons(self, save, rng):
        y, x = np.indices((256, 256))
        noise = rng.normal(size=(256, 256)).astype("f4")
        smooth = gaussian_filter(noise, 2)
        sources = np.zeros_like(noise)
        sources[rng.integers(0, 256, 200), rng.integers(0, 256, 200)] = 100
        zero = {
            "border": x < 200,
            "holes": (x % 16 < 10) & (y % 16 < 10),
            "stars": (x % 64 - 32) ** 2 + (y % 64 - 32) ** 2 < 30**2,
            "gaps": x % 20 < 8,
            "strewn": rng.uniform(size=noise.shape) < 0.4,
        }
        weight = save("w.fits", np.ones_like(noise))
        images = {name: np.where(where, 0, noise) for name, where in zero.items()}
        images |= {"clipped": np.maximum(smooth, 0)}
        images |= {f"sources {r}": gaussian_filter(sources, r, truncate=3) for r in (1, 3)}
        for name, image in images.items():
            found = take(save(f"{name}.fits", image), {"weight_is": "rms"}, weight=weight)
            assert (found.ivar > 0).any()

    def test_zeros_strewn_where_the_weight_saw_nothing_are_allowed(self, save, rng):
        seen = rng.uniform(size=(256, 256)) < 0.3
        image = save("a.fits", seen * rng.normal(3, 1, seen.shape))
        found = take(image, weight=save("w.fits", seen.astype("f4")))
        assert_array_equal(found.ivar[..., 0] > 0, seen)
        with pytest.raises(InputError, match="strewn among the others"):
            take(image)

    def test_nan_becomes_a_pixel_without_weight(self, save, pixels):
        pixels[3, 4] = np.nan
        found = take(save("a.fits", pixels), weight=save("w.fits", np.ones(SHAPE)))
        assert found.flux[3, 4, 0] == found.ivar[3, 4, 0] == 0

    def test_all_nan_is_an_error(self, save):
        with pytest.raises(InputError, match=r"a\.fits\[PRIMARY\]: no usable pixel"):
            take(save("a.fits", np.full(SHAPE, np.nan)))

    def test_a_constant_image_is_an_error(self, save):
        with pytest.raises(InputError, match="no usable pixel"):
            take(save("a.fits", np.full(SHAPE, 7.0)))


class TestSaturation:
    def test_a_plateau_is_saturated_whatever_the_sky(self, tmp_path, rng):
        y, x = np.indices((256, 256))
        image = rng.normal(1000 + 0.5 * x, 5)
        for i in range(4):
            image += 2e5 * np.exp(-((x - 30 - 60 * i) ** 2 + (y - 128) ** 2) / 18)
        clipped = image >= 60000
        image = np.minimum(image, 60000).astype("u2")
        for name, header in {"said": {"SATURATE": 60000.0}, "seen": {}}.items():
            path = str(tmp_path / f"{name}.fits")
            fits.PrimaryHDU(image, fits.Header(header)).writeto(path)
            settings = Ingest(sky_mesh=64)
            found = ingest(Tile(image={"r": path}), settings)
            assert_array_equal(found.flux[..., 0] >= found.saturation[0], clipped)
            assert any("taken for saturation" in note for note in found.notes) == (name == "seen")

    def test_a_level_that_is_not_believed_leaves_what_the_mask_says(self, save, rng):
        image, mask = rng.normal(0, 1, SHAPE).astype("f4"), np.zeros(SHAPE, "u1")
        image[40:45, 50:55], mask[40:45, 50:55] = 900, 1
        images = save("a.fits", image, fits.Header({"SATURATE": 0.01}))
        found = take(images, mask=save("m.fits", mask, fits.Header({"MP_SAT": 0})))
        assert any("is not believed" in note for note in found.notes)
        assert_array_equal(found.flux[..., 0] >= found.saturation[0], mask > 0)

    def test_a_faint_image_of_integers_is_not_clipped(self, save, rng):
        found = take(save("a.fits", rng.poisson(20, (256, 256)).astype("i2")))
        assert found.saturation == (np.inf,)
