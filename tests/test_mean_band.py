"""Several bands to detect in: their mean, a band of its own."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config, io
from pipeline.data import Exposure
from pipeline.ingest import InputError
from pipeline.ingest.mean import with_mean
from pipeline.tiles import STAGES
from tests.detected import detect
from tests.test_ingest import SHAPE, sky_header, take

BANDS = "g", "r", "i"
PLANES = "flux", "ivar"


def exposure(rng, noise=(1.0, 2.0, 3.0), light=0.0, **more):
    flux = rng.normal(size=(80, 90, 3)) * noise + np.asarray(light)[..., None]
    ivar = np.broadcast_to(np.array(noise) ** -2.0, flux.shape)
    return Exposure(flux.astype("f4"), ivar.astype("f4"), None, BANDS, pixel_scale=0.2, **more)


def test_its_noise_is_what_it_says_and_less_than_any_bands(rng):
    found = with_mean(exposure(rng), "g+r+i", BANDS)
    assert found.bands == (*BANDS, "g+r+i")
    assert_allclose(found.ivar[..., 3], np.sum([1, 1 / 4, 1 / 9]), rtol=1e-6)
    assert_allclose(np.var(found.flux[..., 3] * np.sqrt(found.ivar[..., 3])), 1, atol=0.05)


def test_the_bands_themselves_stay_as_they_are(rng):
    bare = exposure(rng, gain=(1.0, 2.0, 0.0), saturation=(9.0, 9.0, np.inf))
    found = with_mean(bare, "r+i", ("r", "i"))
    for name in PLANES:
        assert_array_equal(getattr(found, name)[..., :3], getattr(bare, name))
    assert found.gain[:3] == bare.gain and found.saturation[:3] == bare.saturation
    assert with_mean(bare, "r", ()) is bare


def test_neither_order_nor_more_bands_change_a_flat_spectrum(rng):
    light = rng.uniform(0, 50, (80, 90))
    flat = exposure(rng, noise=(1e-3, 2e-3, 1e-3), light=light)
    one, other = (with_mean(flat, name, name.split("+")) for name in ("g+r+i", "i+g+r"))
    assert_allclose(one.flux[..., 3], light, atol=0.01)
    assert_allclose(one.flux[..., 3], other.flux[..., 3], rtol=1e-5)


def test_order_does_not_round_it_otherwise(rng):
    bare = exposure(rng, noise=(1.0, 1.3, 1.7))
    turned = replace(bare, flux=bare.flux[..., ::-1], ivar=bare.ivar[..., ::-1], bands=BANDS[::-1])
    one, *others = (
        with_mean(bands, name, name.split("+"))
        for bands, name in ((bare, "g+r+i"), (bare, "i+r+g"), (bare, "r+i+g"), (turned, "i+r+g"))
    )
    for other in others:
        for plane in PLANES:
            assert_array_equal(getattr(one, plane)[..., 3], getattr(other, plane)[..., 3])


def test_where_a_band_has_nothing_the_others_tell(rng):
    bare = exposure(rng, light=20.0)
    bare.flux[:40, :, 0], bare.ivar[:40, :, 0] = 0, 0
    bare.flux[10, 10], bare.ivar[10, 10] = 0, 0
    found = with_mean(bare, "g+r", ("g", "r"))
    assert_allclose(found.flux[20:40, :, 3], bare.flux[20:40, :, 1], rtol=1e-5)
    assert_allclose(found.ivar[20:40, :, 3], bare.ivar[20:40, :, 1], rtol=1e-5)
    assert found.flux[10, 10, 3] == found.ivar[10, 10, 3] == 0
    (note,) = (note for note in found.notes if note.endswith("?"))
    assert note.startswith("band g is missing in 50% of the mean's pixels")
    whole = with_mean(exposure(rng), "g+r", ("g", "r"))
    assert not any(note.endswith("?") for note in whole.notes)


def test_light_counts_as_much_however_bright_it_is_where_the_weight_holds_its_noise(rng):
    bare = exposure(rng, noise=(0.1, 0.2, 0.1))
    y, x = np.mgrid[:80, :90]
    shape = np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 2 / 3**2)
    bare.flux[:] += shape[..., None] * np.array([900, 300, 0], "f4")
    bare.ivar[:] = 1 / (1 / bare.ivar + np.clip(bare.flux, 0, None))
    bare.ivar[60:, :, 0] = 10
    flux, ivar = (getattr(with_mean(bare, "g+r", ("g", "r")), name)[..., 3] for name in PLANES)
    assert_allclose(flux[30, 40], 0.8 * 900 + 0.2 * 300, rtol=0.02)
    noise = 0.8**2 / bare.ivar[30, 40, 0] + 0.2**2 / bare.ivar[30, 40, 1]
    assert_allclose(ivar[30, 40], 1 / noise, rtol=0.05)
    assert_allclose(ivar[70], bare.ivar[70, :, 0] + bare.ivar[70, :, 1], rtol=1e-5)


def test_it_is_saturated_where_a_band_is(rng):
    bare = exposure(rng, saturation=(np.inf, 500.0, np.inf))
    bare.flux[30:33, 30:33] = [900, 500, 900]
    bare.flux[50, 50] = [900, 100, 900]
    found = with_mean(bare, "g+r", ("g", "r"))
    full = found.flux[..., 3] >= np.float32(found.saturation[3])
    assert full.sum() == 9 and full[30:33, 30:33].all()
    assert np.isinf(with_mean(bare, "g+i", ("g", "i")).saturation[3])


def test_what_a_mask_calls_saturated_in_one_band_is_no_source(rng):
    y, x = np.mgrid[:80, :90]
    star = 900 * np.exp(-((x - 60) ** 2 + (y - 50) ** 2) / 2 / 1.5**2)
    bare = exposure(rng, light=star, saturation=(np.inf, np.inf, 800.0))
    trail = np.s_[10:14, 5:80]
    bare.flux[(*trail, 2)], bare.ivar[(*trail, 2)] = 800, 0
    found = with_mean(bare, "g+i", ("g", "i"))
    assert not found.ivar[(*trail, 3)].any()
    assert found.ivar[9, :, 3].all()
    sources = detect(found, config.Detect(psf_fwhm=3.5, hidden=False, band="g+i"))
    assert_allclose([sources["x"], sources["y"]], [[60], [50]], atol=0.1)


@pytest.mark.parametrize(("gain", "known"), [((2.0, 8.0, 3.0), True), ((2.0, 0.0, 3.0), False)])
def test_its_gain_is_that_of_its_photons(rng, gain, known):
    level, n = 400.0, (200, 200)
    photons = np.stack(
        [rng.poisson(level * g, n) / g if g else np.full(n, level) for g in gain], -1
    )
    bare = Exposure(photons.astype("f4"), np.full((*n, 3), 0.25, "f4"), None, BANDS, gain=gain)
    found = with_mean(bare, "g+r", ("g", "r"))
    assert (found.gain[3] > 0) == known
    if known:
        assert_allclose(found.flux[..., 3].var(), level / found.gain[3], rtol=0.05)


def test_images_without_a_common_zero_point_have_none(rng):
    with pytest.raises(InputError, match=r"detect\.band: g\+r is the mean .* ingest\.zero_point"):
        with_mean(exposure(rng, unit="ct"), "g+r", ("g", "r"))


def test_a_tile_is_brought_to_the_grid_of_the_first_of_its_bands(save, rng):
    i = save("i.fits", rng.normal(0, 1, (90, 80)), sky_header(0.3, (90, 80)))
    r = save("r.fits", rng.normal(0, 1, SHAPE), sky_header())
    found = take({"i": i, "r": r}, detection="r+i")
    assert found.bands == ("i", "r", "r+i")
    assert found.flux.shape == (*SHAPE, 3)
    assert any("detected in a mean of bands, typically" in note for note in found.notes)
    assert_array_equal(found.flux[..., 1], take({"i": i, "r": r}, detection="r").flux[..., 1])


def test_sources_too_faint_for_any_band_are_found_in_the_mean(rng):
    y, x = np.mgrid[:80, :90]
    light = sum(
        np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2 / 1.5**2) for x0, y0 in ((20, 25), (60, 50))
    )
    found = with_mean(exposure(rng, (1.0, 1.0, 1.0), 1.5 * light), "g+r+i", BANDS)
    n = {
        band: len(detect(found, config.Detect(psf_fwhm=3.5, hidden=False, band=band)))
        for band in found.bands
    }
    assert n["g+r+i"] == 2
    assert max(n[band] for band in BANDS) < 2


@pytest.mark.parametrize("band", ["g+z", "g+g", "g+", "+", "g + r"])
def test_bands_that_are_not_there_are_refused(band):
    tiles = {"t": {"image": {"g": "g.fits", "r": "r.fits"}}}
    with pytest.raises(ValueError, match=r"detect\.band is .*the tiles have .*each once"):
        config.read({"tiles": tiles, "detect": {"band": band}})


def test_a_band_may_be_called_so(save, rng):
    image = save("a.fits", rng.normal(0, 1, SHAPE), sky_header())
    assert take({"g+r": image}, detection="g+r").bands == ("g+r",)


def test_a_rejected_tile_has_the_same_bands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiles = {"t": {"image": {"g": "g.fits", "r": "r.fits"}}}
    STAGES["ingest"].work(config.read({"tiles": tiles, "detect": {"band": "r+g"}}), tmp_path / "t")
    assert io.read_exposure(tmp_path / "t" / "exposure.fits").bands == ("g", "r", "r+g")
