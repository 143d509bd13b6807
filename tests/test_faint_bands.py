import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.models.faint_bands import PERCENTILES, complete

N = 4000


def bands(rng, snr, *, reference=0):
    """Totals of which the network says half in the other band, and what apertures hold of them."""
    noise, held = 1.0, 0.8
    true = np.stack([np.full(N, 100.0), snr / held * np.ones(N)], 1)[:, [reference, 1 - reference]]
    flux = held * true + noise * rng.normal(size=true.shape)
    measured = Table({"flux": flux, "flux_err": np.full_like(flux, noise)})
    middle = true * rng.normal(1, 0.03, true.shape)
    middle[:, 1 - reference] /= 2
    shares = zip(PERCENTILES, (0.97, 1, 1.03), strict=True)
    totals = Table({"id": np.arange(N)} | {name: share * middle for name, share in shares})
    for name in PERCENTILES:
        totals[name].unit = "nJy"
    return true, totals, measured


@pytest.mark.parametrize("reference", [0, 1])
@pytest.mark.parametrize("snr", [0.5, 3.0, 8.0])
def test_faint_bands_are_without_bias_and_their_intervals_hold(rng, snr, reference):
    true, totals, measured = bands(rng, snr, reference=reference)
    found = complete(totals, measured, reference)
    low, middle, high = (np.asarray(found[n])[:, 1 - reference] for n in PERCENTILES)
    true = true[:, 1 - reference]
    if snr < 5:  # at 8 some scatter above `FAINT`, where the network is heard
        assert_allclose(np.median(middle), true[0], atol=0.06)
    assert np.mean((low < true) & (true < high)) == pytest.approx(0.68, abs=0.06)
    assert (low <= middle).all()
    assert (middle <= high).all()
    for name in PERCENTILES:
        assert_array_equal(found[name][:, reference], totals[name][:, reference])
        assert found[name].unit == "nJy"


@pytest.mark.parametrize(("width", "ratio"), [(0.2, 0.0), (0.52, 0.48)])
def test_the_noise_of_the_detection_bands_aperture_counts_once(width, ratio):
    """By hand: what its total is less certain than its aperture's flux, that is of their ratio."""
    totals = Table({"id": [1]})
    for name, side in zip(PERCENTILES, (-1, 0, 1), strict=True):
        totals[name] = [[100 * (1 + side * width), 1.0]]
    measured = Table({"flux": [[80.0, 4.0]], "flux_err": [[16.0, 1.0]]})
    half = 5 * np.hypot(1 / 4, ratio)
    found = complete(totals, measured, 0)
    assert_allclose([found[name][0, 1] for name in PERCENTILES], [5 - half, 5, 5 + half])


def test_what_is_bright_or_alone_stays_as_it_is(rng):
    _, totals, measured = bands(rng, 200.0)
    found = complete(totals, measured, 0)
    one = [
        Table({n: t[n][:, :1] if t[n].ndim == 2 else t[n] for n in t.colnames})
        for t in (totals, measured)
    ]
    alone = complete(*one, 0)
    for name in PERCENTILES:
        assert_array_equal(found[name], totals[name])
        assert_array_equal(alone[name], totals[name][:, :1])


def test_a_band_without_pixels_stays_unknown_and_an_undetected_source_as_it_is(rng):
    _, totals, measured = bands(rng, 4.0)
    for table, names in ((totals, PERCENTILES), (measured, ("flux", "flux_err"))):
        for name in names:
            table[name][0, 1] = np.nan
    measured["flux"][1, 0] = 0.5
    found = complete(totals, measured, 0)
    assert np.isnan(found["flux_p50"][0, 1])
    assert found["flux_p50"][1, 1] == totals["flux_p50"][1, 1]
    assert np.isfinite(found["flux_p50"][1:]).all()
