"""Stages of a tile: a few sources at a time, which changes nothing; and a file of each source."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config, io, survey
from pipeline.__main__ import main
from pipeline.catalogs.catalog import number
from pipeline.data import Exposure
from pipeline.deblending import colours
from pipeline.deblending.deblend import aperture_weights
from pipeline.deblending.own import own_light
from pipeline.deblending.shares import Front
from pipeline.stamps import planes
from pipeline.stamps.cutouts import deblend_binning
from pipeline.tiles import STAGES
from tests.detected import detect

ASKED = "cut", "classify", "segment", "uncertainty", "photometry", "anomaly"
PEAK = """
import resource, sys
from pathlib import Path
from pipeline.config import read
from pipeline.tiles import STAGES
for stage in sys.argv[2:]:
    STAGES[stage].work(read({}), Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.fixture(scope="module")
def detected():
    """A crowded tile of two bands, and what is found in it."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:300, :300]
    light = np.zeros((300, 300))
    for x0, y0, width in zip(*rng.uniform(10, 290, (2, 60)), rng.uniform(1.5, 9, 60), strict=True):
        light += 60 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2 / width**2)
    flux = (light[..., None] * [1, 0.4] + rng.normal(size=(300, 300, 2))).astype("f4")
    ivar = np.ones_like(flux)
    flux[100:104, 50:200], ivar[100:104, 50:200] = 0, 0
    exposure = Exposure(flux, ivar, None, ("r", "i"), pixel_scale=0.2)
    found = detect(exposure, config.Detect(psf_fwhm=3.5, hidden=False))
    assert len(found) > 30 and len(set(deblend_binning(found, 32))) > 1
    return exposure, found


def tile_of(folder, exposure, found):
    """Folder of a tile that was searched, every third of whose sources is before some light."""
    found = number(found, folder.name)
    found["before"] = np.arange(len(found)) % 3 == 0
    io.write_exposure(folder / "exposure.fits", exposure)
    io.write_table(folder / "sources.fits", found)
    io.write_behind(folder / "behind.fits", exposure, np.full_like(exposure.flux, 0.5))
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory, homes, detected):
    folder = tmp_path_factory.mktemp("results")
    tile = tile_of(folder / "tiles" / "t", *detected)
    settings = config.read({"networks": str(homes), "cut": {"size": 32, "lens_size": 32}})
    for stage in (*ASKED, "catalog"):
        STAGES[stage].work(settings, tile)
    (folder / "tiles.txt").write_text("t\n")
    products = (folder / name for name in ("catalog.fits", "catalog.parquet", "rejected.csv"))
    survey.merge(settings, folder / "tiles.txt", *products)
    io.write_json(folder / "provenance.json", {"config": {"report": {"stamps": 5}}})
    return folder


def test_sources_seen_a_few_at_a_time_are_as_all_at_once(
    tmp_path, homes, detected, results, monkeypatch
):
    settings = config.read({"networks": str(homes), "cut": {"size": 32, "lens_size": 32}})
    once, parts = results / "tiles" / "t", tile_of(tmp_path / "t", *detected)
    monkeypatch.setattr(planes, "AT_ONCE", 7)
    for stage in ASKED:
        STAGES[stage].work(settings, parts)
    for product in sorted(parts.glob("*.fits")):
        assert fits.FITSDiff(once / product.name, product, rtol=1e-5).identical, product.name
    assert not [path for path in parts.iterdir() if path.suffix not in {".fits", ".npy"}]


def test_a_source_whose_flux_is_unsure_is_less_likely_a_lens(tmp_path, homes, detected):
    settings, said = config.read({"networks": str(homes), "cut": {"lens_size": 32}}), []
    for name, factor in (("sure", 1), ("unsure", 1e4)):
        found = detected[1].copy()
        found["flux_auto_err"][::2] *= factor
        folder = tile_of(tmp_path / name / "t", detected[0], found)
        for stage in ("cut", "classify"):
            STAGES[stage].work(settings, folder)
        said.append(np.asarray(io.read_table(folder / "classify.fits")["p_lens"]))
    assert (said[1][::2] < said[0][::2]).all()
    assert_array_equal(said[1][1::2], said[0][1::2])


def test_stages_see_compact_sources_without_what_is_behind_them(
    tmp_path, homes, detected, monkeypatch
):
    settings = config.read({"networks": str(homes), "cut": {"size": 32, "lens_size": 32}})
    stamps = []
    for name in ("bare", "whole"):
        folder = tile_of(tmp_path / name / "t", *detected)
        if name == "bare":
            io.write_behind(folder / "behind.fits", detected[0], None)
        STAGES["cut"].work(settings, folder)
        stamps.append(io.read_cutouts(folder / "cutouts.fits"))
    light = np.where(stamps[0].ivar > 0, 0.5 * stamps[0].binning[:, None, None, None] ** 2, 0)
    light[np.arange(len(light)) % 3 > 0] = 0
    assert_allclose(stamps[0].flux - stamps[1].flux, light, atol=1e-3)
    flux = []
    for shared_out in (Front.of, lambda *known: None):
        monkeypatch.setattr(Front, "of", shared_out)
        STAGES["segment"].work(settings, folder)
        flux.append(np.asarray(io.read_table(folder / "deblended.fits")["flux"]))
    assert (flux[0] != flux[1]).any(), "the light behind is shared out too"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_sources(tmp_path, detected):
    exposure, found = detected
    wide = {name: np.tile(getattr(exposure, name), (6, 6, 1)) for name in ("flux", "ivar")}
    small, peaks = found[deblend_binning(found, 64) == 1], []
    for n in (512, 2048):
        again, one = np.divmod(np.arange(n), len(small))
        many = QTable(small[one], copy=True)
        for name, shift in (("x", again % 6), ("y", again // 6 % 6)):
            many[name] = np.asarray(many[name]) + 300 * shift
        tile = tile_of(tmp_path / str(n), replace(exposure, **wide), many)
        asked = [sys.executable, "-c", PEAK, tile, *ASKED]
        peaks.append(float(subprocess.run(asked, capture_output=True, check=True).stdout))
    held = ("cutouts.fits", "lens_cutouts.fits", "features.npy")
    most = sum((tile / name).stat().st_size for name in held) / 2**20
    assert peaks[1] - peaks[0] < 0.2 * most, (peaks, most)


def test_rows_of_an_array_in_a_file_are_those_of_the_array(tmp_path, rng):
    values = rng.random((9, 4, 5)).astype("f4")
    with io.scratch(tmp_path, values.shape, "one", "other") as kept:
        kept["one"][:] = values
        kept["one"][[7, 2]] = values[[7, 2]] + 1
        kept["other"][3:5] = values[3:5]
        assert not any(path.is_file() and path.stat().st_nlink for path in tmp_path.iterdir())
        changed = values.copy()
        changed[[7, 2]] += 1
        for rows in (slice(None), slice(2, 5), np.array([8, 0, 7]), slice(3, 3)):
            assert_array_equal(kept["one"][rows], changed[rows])
        assert_array_equal(kept["other"][3:5], values[3:5])


def test_own_light_in_the_aperture_is_the_flux(results):
    tile = results / "tiles" / "t"
    exposure, sources = (
        io.read_exposure(tile / "exposure.fits"),
        io.read_table(tile / "sources.fits"),
    )
    stamps, front = (
        io.read_cutouts(tile / "cutouts.fits"),
        Front.of(io.read_behind(tile / "behind.fits"), exposure, sources),
    )
    share = [*io.open_maps(tile / "shares.fits", *colours.names(stamps)).values()]
    flux = np.asarray(io.read_table(tile / "deblended.fits")["flux"])
    alone = (stamps.binning == 1) & (stamps.ivar > 0).all(axis=(1, 2, 3))
    assert front.rows[alone].any() and not front.rows[alone].all()
    wanted, compared = stamps.id[alone], 0
    for one, _, light in own_light(wanted, exposure, stamps, share, front):
        (row,) = np.flatnonzero(stamps.id == one)
        (weights,) = aperture_weights(sources[[row]], stamps[[row]])
        assert_allclose(
            (weights[..., None] * light).sum((0, 1)), flux[row], rtol=3e-3, atol=0.05
        )  # of 8 bits
        compared += 1
    assert compared == alone.sum()


def test_a_file_is_written_for_each_source(results, tmp_path):
    catalog = io.read_table(results / "catalog.fits")
    tile = results / "tiles" / "t"
    stamps = io.read_cutouts(tile / "cutouts.fits")
    large = stamps.id[np.argmax(stamps.binning)]
    ids = [int(large), int(catalog["id"][0])]
    main(["cutouts", str(results), str(tmp_path), *map(str, ids)])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{i}.fits" for i in ids)
    with fits.open(tmp_path / f"{large}.fits") as hdus:
        shapes = {hdu.name: hdu.shape for hdu in hdus[1:-1]}
        corner, side = stamps.corner[np.argmax(stamps.binning)], 32 * stamps.binning.max()
        cube = dict.fromkeys(("SCI", "IVAR", "DEBLENDED"), (2, side, side))
        assert shapes == cube | dict.fromkeys(("TARGET", "TARGET_STD"), (side, side))
        assert hdus["CATALOG"].data["id"] == large
        seen = hdus["IVAR"].data > 0
        assert (np.abs(hdus["DEBLENDED"].data) <= np.abs(hdus["SCI"].data) + 0.51)[seen].all()
        image = io.read_exposure(tile / "exposure.fits").flux
        (x, y), middle = corner + side // 2, hdus["SCI"].data[:, side // 2, side // 2]
        assert_array_equal(middle, image[y, x])


def test_without_ids_they_are_of_the_systems_that_the_report_shows(results, tmp_path):
    main(["cutouts", str(results), str(tmp_path)])
    catalog = io.read_table(results / "catalog.fits")
    best = catalog["id"][np.argmax(catalog["p_lens"])]
    assert (tmp_path / f"{best}.fits").exists()
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("sources, stamps", [(0, 5), (30, 0)])
def test_where_the_report_shows_nothing_an_id_is_asked_for(results, tmp_path, sources, stamps):
    io.write_table(tmp_path / "catalog.fits", io.read_table(results / "catalog.fits")[:sources])
    io.write_json(tmp_path / "provenance.json", {"config": {"report": {"stamps": stamps}}})
    said = rf"no systems \({sources} sources, report\.stamps: {stamps}\); name an ID"
    with pytest.raises(SystemExit, match=said):
        main(["cutouts", str(tmp_path), str(tmp_path / "some")])


def test_an_unknown_id_is_named(results, tmp_path):
    with pytest.raises(SystemExit, match=r"catalog\.fits: no source has the id 5"):
        main(["cutouts", str(results), str(tmp_path), "5"])
    assert not list(tmp_path.iterdir())
