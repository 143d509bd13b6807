"""Galaxies painted onto a survey's own tiles: what is painted, what is found, what is counted."""

import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config, io, survey
from pipeline.catalogs.catalog import number
from pipeline.config import Recover
from pipeline.data import Exposure
from pipeline.detection.psf import Moffat
from pipeline.injection import recover
from pipeline.injection.optics import Optics
from pipeline.tiles import STAGES
from tests.detected import detect

SETTINGS = Recover(snr=(20, 200))
OPTICS = Optics(3.0, 3.0, 0.2, (0.0, 0.0))


def sky(rng, shape=(400, 500), noise=2.0):
    flux = rng.normal(size=(*shape, 2), scale=noise).astype("f4")
    ivar = np.full_like(flux, noise**-2)
    flux[:, 250:260], ivar[:, 250:260] = 0, 0
    return Exposure(flux, ivar, None, ("r", "i"), pixel_scale=0.2)


def sources(x=(), y=(), **meta):
    table = QTable({"x": np.array(x, "f8"), "y": np.array(y, "f8")})
    table.meta |= {"PSFFWHM": 3.0, "PSFBETA": 3.0, "DETBAND": 1, "NOISECOR": 1.0, **meta}
    return table


def test_what_is_added_is_what_the_truth_says(rng):
    exposure = sky(rng)
    painted, truth = recover.paint(exposure, sources(), OPTICS, SETTINGS, "t")
    assert len(truth) > 20
    added = (painted.flux - exposure.flux).astype("f8")
    assert_allclose(added[..., 0], added[..., 1], atol=1e-4)
    assert not added[:, 250:260].any()
    assert_array_equal(painted.ivar, exposure.ivar)
    assert_allclose(added[:, :250, 0].sum(), truth["true_flux"][truth["x"] < 250].sum(), rtol=0.01)
    for galaxy in truth[(truth["x"] > 60) & (truth["x"] < 190)]:
        row, column = round(galaxy["y"]), round(galaxy["x"])
        light = added[row - 17 : row + 18, column - 17 : column + 18, 0]
        y, x = np.mgrid[-17:18, -17:18]
        assert_allclose(np.sqrt((light**2).sum()) / 2, galaxy["true_snr"], rtol=0.01)
        assert_allclose(light.sum(), galaxy["true_flux"], rtol=0.08)
        assert_allclose((x * light).sum() / light.sum() + column, galaxy["x"], atol=0.3)
        assert_allclose((y * light).sum() / light.sum() + row, galaxy["y"], atol=0.3)


def test_photons_add_their_noise(rng):
    exposure = sky(rng, (300, 300))
    gain = OPTICS._replace(gain=(0.5, 0.0))
    once, _ = recover.paint(exposure, sources(), gain, SETTINGS, "t")
    calm, _ = recover.paint(exposure, sources(), OPTICS, SETTINGS, "t")
    scatter = (once.flux - calm.flux)[..., 0]
    light = (calm.flux - exposure.flux)[..., 0]
    bright = light > 5
    assert_allclose((scatter[bright] ** 2).mean(), light[bright].mean() / 0.5, rtol=0.3)


@pytest.mark.parametrize(("largest", "cell"), [(1.5, 72), (3.0, 144)])
def test_galaxies_lie_apart_on_what_was_seen(rng, largest, cell):
    exposure = sky(rng)
    settings = SETTINGS.model_copy(update={"size": (0.2, largest)})
    _, truth = recover.paint(exposure, sources(), OPTICS, settings, "t")
    places = np.column_stack([truth["x"], truth["y"]])
    apart = np.hypot(*(places[:, None] - places).T) + 1e9 * np.eye(len(places))
    assert apart.min() > 0.4 * cell
    seen = exposure.seen[..., 1]
    for x, y in np.rint(places).astype(int):
        assert seen[y - 5 : y + 6, x - 5 : x + 6].all()


def test_a_seed_and_a_name_decide_everything(rng):
    exposure = sky(rng)
    first, again, other = (
        recover.paint(exposure, sources(), OPTICS, SETTINGS, key)[1]
        for key in ("t 0", "t 0", "t 1")
    )
    assert_array_equal(first.as_array(), again.as_array())
    assert set(first["x"]).isdisjoint(other["x"])
    assert set(first["place"]) == set(other["place"]) == set(range(len(first)))
    for one, two in zip(
        *(truth[np.argsort(truth["place"])] for truth in (first, other)), strict=True
    ):
        assert np.hypot(one["x"] - two["x"], one["y"] - two["y"]) < 72 / np.sqrt(2)
    few = SETTINGS.model_copy(update={"galaxies": 3})
    assert len(recover.paint(exposure, sources(), OPTICS, few, "t 0")[1]) == 3


def test_correlated_noise_takes_more_light(rng):
    exposure = sky(rng)
    plain, correlated = (
        recover.paint(exposure, sources(), Optics.of(exposure, sources(NOISECOR=by)), SETTINGS, "t")
        for by in (1.0, 1.5)
    )
    assert_array_equal(plain[1]["true_snr"], correlated[1]["true_snr"])
    assert_allclose(correlated[1]["true_flux"], 1.5 * plain[1]["true_flux"])


@pytest.mark.parametrize(
    ("exposure", "optics"),
    [
        (Exposure.empty(("r", "i"), "cut short"), OPTICS),
        (Exposure(*np.zeros((2, 90, 90, 2), "f4"), None, ("r", "i")), OPTICS),
        (Exposure(*np.ones((2, 9, 9, 2), "f4"), None, ("r", "i")), OPTICS),
        (Exposure(*np.ones((2, 90, 90, 2), "f4"), None, ("r", "i")), OPTICS._replace(fwhm=np.nan)),
    ],
)
def test_where_nothing_was_seen_nothing_is_painted(exposure, optics):
    painted, truth = recover.paint(exposure, sources(), optics, SETTINGS, "t")
    assert not len(truth)
    assert_array_equal(painted.flux, exposure.flux)


@given(st.integers(0, 2**32), st.tuples(*3 * [st.integers(0, 12)]))
def test_a_detection_is_of_whatever_is_nearest(seed, numbers):
    rng = np.random.default_rng(seed)
    galaxies, before, detections = (rng.uniform(0, 20, (n, 2)) for n in numbers)
    rows, neighbour = recover.match(galaxies, before, detections, 4.0)
    found = rows[rows >= 0]
    assert len(set(found)) == len(found)
    for i, row in enumerate(rows):
        gap = np.hypot(*(before - galaxies[i]).T)
        assert neighbour[i] == pytest.approx(gap.min(initial=np.inf))
        if row >= 0:
            far = np.hypot(*(detections[row] - galaxies[i]))
            assert far <= 4.0
            others = np.concatenate([galaxies, before]) - detections[row]
            assert far == pytest.approx(np.hypot(*others.T).min())
    turned, _ = recover.match(galaxies[::-1], before[::-1], detections, 4.0)
    assert_array_equal(turned[::-1], rows)


def test_the_brighter_neighbour_keeps_the_detection_of_both():
    galaxies, before = np.array([[10.0, 10.0]]), np.array([[13.0, 10.0]])
    for x, found in ((10.5, 0), (12.5, -1), (15.5, -1)):
        rows, neighbour = recover.match(galaxies, before, np.array([[x, 10.0]]), 3.0)
        assert rows[0] == found
        assert neighbour[0] == 3


@pytest.fixture(scope="module")
def recovered(tmp_path_factory, homes):
    """Folder of a run of two tiles, one rejected, whose galaxies were recovered."""
    rng, home = np.random.default_rng(5), tmp_path_factory.mktemp("recovered")
    settings = config.read(
        {
            "networks": str(homes),
            "cut": {"size": 32},
            "detect": {"psf_fwhm": 3.0, "hidden": False, "band": "i"},
            "recover": {"passes": 2, "snr": (30, 300)},
        }
    )
    for name, exposure in (("t", sky(rng, (200, 300))), ("u", Exposure.empty(("r", "i"), "bad"))):
        folder = home / "tiles" / name
        io.write_exposure(folder / "exposure.fits", exposure)
        io.write_table(folder / "sources.fits", number(detect(exposure, settings.detect), name))
        (folder / "recover").mkdir()
        (folder / "recover" / "of_a_killed_job").touch()
        STAGES["recovered"].work(settings, folder)
    (home / "tiles.txt").write_text("t\nu\n")
    survey.completeness(settings, home / "tiles.txt", home / "table.fits", home / "figure.png")
    return home


def test_lone_bright_galaxies_are_found_where_they_were_painted(recovered):
    table = io.read_table(recovered / "tiles" / "t" / "recovered.fits")
    assert len(np.unique(table["x"])) == len(table) > 8
    assert table["found"].all()
    ratio = np.asarray(table["flux_auto"] / table["true_flux"])
    assert_allclose(np.median(ratio), 1, atol=0.1)
    assert np.isnan(table["ra"]).all()
    assert not len(io.read_table(recovered / "tiles" / "u" / "recovered.fits"))


def test_nothing_is_left_of_what_was_painted(recovered):
    for name in "tu":
        left = {path.name for path in (recovered / "tiles" / name).iterdir()}
        assert left == {"exposure.fits", "sources.fits", "recovered.fits"}


def test_the_psf_is_that_of_the_tile_without_the_galaxies(tmp_path, homes, rng, monkeypatch):
    searching = {"detect": {"hidden": False}, "recover": {"snr": (30, 300)}}
    settings = config.read({"networks": str(homes), "cut": {"size": 32}, **searching})
    exposure, tables, write = sky(rng, (200, 300)), [], io.write_table
    before = detect(exposure, settings.detect, None, Moffat(3.4, 2.5))
    io.write_exposure(tmp_path / "exposure.fits", exposure)
    io.write_table(tmp_path / "sources.fits", number(before, "t"))

    def kept(path, table):
        tables.append(table)
        write(path, table)

    monkeypatch.setattr(io, "write_table", kept)
    STAGES["recovered"].work(settings, tmp_path)
    (searched,) = (table for table in tables if "NOISECOR" in table.meta)
    assert len(searched)
    assert (searched.meta["PSFFWHM"], searched.meta["PSFBETA"]) == (3.4, 2.5)
    assert "DOUBT" not in searched.meta


def test_the_table_of_a_survey_has_units_and_a_figure(recovered):
    table = io.read_table(recovered / "table.fits")
    assert str(table["median_dm"].unit) == "mag"
    assert table["n"][0] == len(io.read_table(recovered / "tiles" / "t" / "recovered.fits"))
    assert (recovered / "figure.png").read_bytes()[1:4] == b"PNG"
