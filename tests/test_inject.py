"""Arcs on a survey's own galaxies: what is painted, what is counted."""

import galsim
import numpy as np
import pytest
from astropy.io.votable.ucd import parse_ucd
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter

from pipeline.config import Inject
from pipeline.data import Exposure
from pipeline.flags import Flag
from pipeline.injection import inject, recover
from pipeline.injection.optics import Optics
from pipeline.simulate.arcs import Body, paint_arcs
from pipeline.simulate.render import Renderer
from pipeline.stamps.cutouts import cut

OPTICS = Optics(fwhm=3.0, beta=3.0, pixel_scale=0.2, gain=(0.0,))
SETTINGS = Inject(per_galaxy=3, einstein_radius=(0.8, 1.6))


def sources(n=4):
    table = Table({"id": 10 + np.arange(n), "x": 50.0 + 40 * np.arange(n), "y": np.full(n, 50.3)})
    shape = {"a": 4.0, "b": 3.0, "theta": 30.0, "r50": 4.0, "flux_auto": 900.0, "flags": 0}
    for name, value in (shape | {"flux_auto_err": 3.0, "pixel_scale": 0.2}).items():
        table[name] = np.full(n, value)
    table.meta |= {"DETBAND": 0, "PSFFWHM": 3.0, "PSFBETA": 3.0}
    return table


def blank(rng):
    """Stamps of the sources on a sky without light."""
    flux = rng.normal(size=(100, 260, 1)).astype("f4")
    exposure = Exposure(flux, np.ones_like(flux), None, ("r",))
    return cut(exposure, sources(), 64)


@pytest.fixture
def stamps(rng):
    return blank(rng)


def test_without_arcs_stamps_are_unchanged_bit_for_bit(stamps):
    painted, truth = inject.paint(stamps, sources(), OPTICS, SETTINGS)
    assert len(painted) == len(truth) == 16
    bare = ~np.asarray(truth["is_lens"])
    assert_array_equal(painted.flux[bare], stamps.flux)
    assert_array_equal(painted.ivar, np.repeat(stamps.ivar, 4, axis=0))
    assert (painted.flux[~bare] != np.repeat(stamps.flux, 3, axis=0)).any(axis=(1, 2, 3)).all()


def test_arcs_have_the_wings_of_the_tiles_psf(stamps):
    exposure = Exposure(stamps.flux[0], stamps.ivar[0], None, ("r",))
    sharpness = []
    for beta in (2.3, 3.0, 9.0):
        table = sources()
        table.meta["PSFBETA"] = beta
        optics = Optics.of(exposure, table)._replace(pixel_scale=0.2)
        painted, truth = inject.paint(stamps, sources(), optics, SETTINGS)
        added = (painted.flux - np.repeat(stamps.flux, 4, axis=0))[..., 0].astype("f8")
        arcs = added[np.asarray(truth["is_lens"])]
        sharpness.append(((arcs**2).sum((1, 2)) / arcs.sum((1, 2)) ** 2).mean())
    assert sharpness[0] < sharpness[1] < sharpness[2]


def test_painted_flux_and_snr_are_as_asked(stamps):
    painted, truth = inject.paint(stamps, sources(), OPTICS, SETTINGS)
    added = (painted.flux - np.repeat(stamps.flux, 4, axis=0))[..., 0].astype("f8")
    assert_allclose(added.sum((1, 2)), truth["arc_flux"], rtol=0.02, atol=0.01)
    ivar = painted.ivar[..., 0]
    assert_allclose(np.sqrt((added**2 * ivar).sum((1, 2))), truth["arc_snr"], rtol=0.01, atol=0.01)
    assert (np.asarray(truth["arc_flux"]) <= 900.1).all()


def noisier(light):
    """How many times noisier smoothed noise is than white noise in filters like light (y, x)."""
    point = np.zeros_like(light, "f8")
    point[point.shape[0] // 2, point.shape[1] // 2] = 1
    return np.linalg.norm(gaussian_filter(light.astype("f8"), 1.0)) / (
        np.linalg.norm(light) * np.linalg.norm(gaussian_filter(point, 1.0))
    )


def test_the_snr_of_arcs_is_that_in_correlated_noise(stamps):
    exposure, table = Exposure(stamps.flux[0], stamps.ivar[0], None, ("r",)), sources()
    table.meta["NOISECOR"] = noisier(np.pad(OPTICS.psf.kernel(), 20))
    optics = Optics.of(exposure, table)._replace(pixel_scale=0.2)
    painted, truth = inject.paint(stamps, table, optics, SETTINGS)
    is_lens = np.asarray(truth["is_lens"])
    arcs = (painted.flux - np.repeat(stamps.flux, 4, axis=0))[is_lens, ..., 0]
    real = [np.linalg.norm(light) / noisier(light) for light in arcs]
    assert table.meta["NOISECOR"] > 2
    assert_allclose(real, truth["arc_snr"][is_lens], rtol=0.2)


@pytest.mark.parametrize(("gain", "rises"), [(0.0, 2.0), (1e-6, 1.0)])
def test_the_noise_of_photons_is_not_correlated(stamps, gain, rises):
    """Arcs as bright as their galaxy, which is all that its light allows where photons are few."""
    stamps.flux[:], stamps.ivar[:, :9] = 1, 0
    settings, snrs = SETTINGS.model_copy(update={"arc_snr": (1e6, 2e6)}), []
    for correlation in (1.0, 2.0):
        optics = OPTICS._replace(gain=(gain,), correlation=correlation)
        snrs.append(np.asarray(inject.paint(stamps, sources(), optics, settings)[1]["arc_snr"]))
    assert_allclose(snrs[0], rises * snrs[1], rtol=1e-4)


def test_no_arcs_are_larger_than_a_stamp_holds(stamps, caplog):
    large = Inject(per_galaxy=8, einstein_radius=(2.0, 30.0))
    with caplog.at_level("INFO"):
        painted, truth = inject.paint(stamps, sources(), OPTICS, large)
    added = (painted.flux - np.repeat(stamps.flux, 9, axis=0))[..., 0].astype("f8")
    is_lens = np.asarray(truth["is_lens"])
    share = added.sum((1, 2))[is_lens] / truth["arc_flux"][is_lens]
    assert share.min() > 0.3 and np.median(share) > 0.95
    assert truth["theta_e"][is_lens].max() <= 2 / 3 * 32 * OPTICS.pixel_scale
    assert "Einstein radii end at 4.27 arcsec" in caplog.text


def test_photons_scatter_but_keep_the_mean(rng):
    light = np.full((50, 50), 4.0, "f4")
    seen = OPTICS._replace(gain=(2.0,)).observed(light, np.ones((50, 50, 1)), rng)
    assert_allclose(seen.mean(), 4, rtol=0.02)
    assert_allclose(seen.var(), 4 / 2, rtol=0.1)


def test_the_same_seed_and_id_give_the_same_arcs_in_any_order(stamps):
    one, _ = inject.paint(stamps, sources(), OPTICS, SETTINGS)
    other, _ = inject.paint(stamps[[3, 1]], sources()[[1, 3]], OPTICS, SETTINGS)
    assert_array_equal(other.flux[:4], one.flux[4:8])
    assert_array_equal(other.flux[4:], one.flux[12:])
    changed, _ = inject.paint(stamps, sources(), OPTICS, SETTINGS.model_copy(update={"seed": 1}))
    assert (changed.flux != one.flux).any()


def mean_radius(light, x0, y0):
    y, x = np.indices(light.shape)
    return (light * np.hypot(x - x0, y - y0)).sum() / light.sum()


def test_arcs_lie_about_the_galaxy_and_grow_with_the_einstein_radius():
    renderer = Renderer(galsim.Gaussian(fwhm=2.0), 96)
    for seed in range(5):
        radii = [
            mean_radius(
                paint_arcs(
                    renderer,
                    Body(5, 0.9, 0.3, 49.0, 46.0),
                    theta_e,
                    1.0,
                    np.random.default_rng(seed),
                ),
                49,
                46,
            )
            for theta_e in (8.0, 16.0)
        ]
        assert_allclose(radii[1], 2 * radii[0], rtol=0.1)
        assert 0.8 < radii[1] / 16 < 1.6


def test_arcs_on_a_binned_stamp_lie_where_they_do_on_the_whole():
    flux = np.zeros((400, 400, 1), "f4")
    exposure = Exposure(flux, np.ones_like(flux), None, ("r",))
    source = sources(1)
    source["x"], source["y"] = 200.3, 199.6
    found = []
    for binning in (1, 2):
        stamps = cut(exposure, source, 192 // binning, binning)
        arcs = inject.paint(stamps, source, OPTICS, SETTINGS)[0].flux[1:, ..., 0]
        x, y = binning * (np.indices(arcs.shape[1:])[::-1] + 0.5) - 0.5 + stamps.corner[0, 0]
        at = [(np.sum(light * x), np.sum(light * y)) / light.sum() for light in arcs]
        wide = [
            mean_radius(light, *(place - stamps.corner[0] + 0.5) / binning - 0.5) * binning
            for light, place in zip(arcs, at, strict=True)
        ]
        found.append(np.column_stack([at, wide]))
    assert_allclose(found[1], found[0], atol=0.35)


@pytest.mark.parametrize("flag", [Flag.EDGE, Flag.SHARP])
def test_deflectors_are_whole_galaxies_and_few_enough(flag):
    table = sources(9)
    table["flags"][0], table["r50"][1], table["flux_auto"][2] = int(flag), 1.0, 30.0
    assert_array_equal(inject.deflectors(table, OPTICS, SETTINGS), np.arange(3, 9))
    few = SETTINGS.model_copy(update={"galaxies": 2})
    assert len(inject.deflectors(table, OPTICS, few)) == 2
    assert not len(inject.deflectors(table, OPTICS._replace(pixel_scale=np.nan), SETTINGS))


def injected(stamps, table):
    def find(cutouts, snr):
        p_lens = 1 / (1 + np.exp(-cutouts.flux.sum((1, 2, 3)) / 300))
        return Table({"id": cutouts.id, "p_lens": p_lens, "p_lens_std": 0 * p_lens})

    def read(ids):
        return stamps[np.flatnonzero(np.isin(stamps.id, ids))]

    return inject.inject(table, read, find, OPTICS, SETTINGS)


def test_the_finder_hears_the_snr_of_galaxy_and_arcs(stamps):
    heard = []

    def find(cutouts, snr):
        heard.extend(snr)
        return Table({"p_lens": snr, "p_lens_std": snr})

    read = stamps.id.searchsorted
    said = inject.inject(sources(), lambda ids: stamps[read(ids)], find, OPTICS, SETTINGS)
    flux, error = (np.asarray(sources()[name])[0] for name in ("flux_auto", "flux_auto_err"))
    assert_allclose(heard, (flux + said["arc_flux"]) / error)


def test_no_more_stamps_are_held_at_once_for_many_arcs_on_each(stamps, monkeypatch):
    shown = []

    def find(cutouts, snr):
        shown.append(len(cutouts))
        return Table({"p_lens": snr, "p_lens_std": snr})

    def read(ids):
        return stamps[np.isin(stamps.id, ids)]

    monkeypatch.setattr(inject, "AT_ONCE", 8)
    for per_galaxy, at_once in ((1, [8]), (3, [8, 8]), (8, [9, 9, 9, 9])):
        settings = SETTINGS.model_copy(update={"per_galaxy": per_galaxy})
        inject.inject(sources(), read, find, OPTICS, settings)
        assert shown == at_once
        shown.clear()


@pytest.mark.parametrize("columns", [inject.COLUMNS, recover.COLUMNS])
def test_fluxes_of_what_is_painted_are_flux_densities_as_the_catalogs(columns):
    for unit, ucd, _ in columns.values():
        words = parse_ucd(ucd, check_controlled_vocabulary=True)
        assert (words[0][1] == "phot.flux.density") == (unit == "flux")
