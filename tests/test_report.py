import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import config, io
from pipeline.catalogs.catalog import COLUMNS, assemble
from pipeline.data import Cutouts
from pipeline.flags import DEFECT, MEANING, Flag
from pipeline.report import Findings, TileFacts, choose, write_page
from pipeline.report.mosaic import gallery, mosaic, outlines
from pipeline.report.stamps import blend_panels, in_noise, pick
from pipeline.stamps.cutouts import boxes
from pipeline.stamps.masks import from_squares
from tests.test_catalog import stage_tables

PROVENANCE = {
    "created": "2030-01-02T03:04:05+00:00",
    "arclet": "1.2.3",
    "revision": None,
    "python": "3.11",
    "packages": {"numpy": "2"},
    "weights": {"lens/card.json": "abc"},
    "inputs": {"a.fits": {"sha256": "def", "bytes": 6}, "<b>.fits": None},
}
NO_LENSES = Table({"name": np.zeros(0, "U1"), "ra": np.zeros(0), "dec": np.zeros(0)})


def catalog(n=40, n_bands=1, unit="nJy"):
    made = assemble(stage_tables(n, n_bands, unit), "t1")
    for name in ("flux", "flux_auto", "flux_p50"):
        made[name][:] = made[name] * 1000 + 100
    made["mag"][:] = 31.4 - 2.5 * np.log10(made["flux"]) if unit == "nJy" else np.nan
    made["flux_err"][:] = 3.0
    made["flags"][:] = np.where(np.arange(n) % 5 == 0, int(Flag.EDGE), 0)
    return made


def cutouts(table, size=16, n_bands=1):
    n = len(table)
    flux = np.random.default_rng(1).normal(size=(n, size, size, n_bands)).astype("f4")
    corner = np.column_stack([np.arange(n), np.arange(n)]) - 8
    bands = tuple("ugriz"[:n_bands])
    return Cutouts(flux, np.full_like(flux, 4), np.asarray(table["id"]), corner, bands)


def findings(table, tiles=(), scored=None, settings=None):
    settings = settings or config.Report(stamps=3, blends=1)
    chosen, bands = choose(table, settings), len(table.meta["BANDS"].split(","))
    stamps = cutouts(table, n_bands=bands)
    plane = np.full(stamps.flux.shape[:3], 0.3)
    maps = {"SHARE": plane, "TARGET_STD": plane}
    label = np.arange(10_000, dtype="i4").reshape(100, 100)
    return Findings(
        name="field <1>",
        catalog=table,
        tiles=list(tiles),
        threshold=0.06,
        chosen=chosen,
        lenses=pick(stamps, table["id"][chosen["lenses"]], 0.2),
        strangest=pick(stamps, table["id"][chosen["strangest"]], 0.2),
        blends=blend_panels(stamps, maps, label, table[chosen["blends"]], 0.2),
        scored=scored,
        provenance=PROVENANCE,
        settings=settings,
    )


class Page(HTMLParser):
    """What a browser would find: open tags are closed, and nothing is fetched."""

    VOID = ("meta", "img", "link", "br", "hr")

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.images, self.words = [], [], 0, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.images += tag == "img"
        self.fetched += [v for k, v in attrs if k in ("src", "href", "data") and v[:1] != "#"]
        assert tag not in ("script", "link", "iframe", "object")
        assert tag != "img" or said["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(html):
    page = Page(html)
    assert not page.open
    assert all(source.startswith("data:image/png;base64,") for source in page.fetched)
    assert not re.search(r"url\(|@import", html)
    return page, " ".join(" ".join(page.words).split())


def test_the_page_stands_alone_and_says_the_main_things():
    bad = TileFacts("t2", rejected="a.fits[SCI]: truncated <here>")
    good = TileFacts("t1", 40, notes=("zero point 27 from MAGZERO",), rms=2.0, known=("ring",))
    table = catalog()
    page, words = read(write_page(findings(table, [good, bad])))
    assert page.images >= 6
    for said in (
        "field <1>",
        "1 tile rejected",
        "a.fits[SCI]: truncated <here>",
        "zero point 27 from MAGZERO",
        "ring missed",
        "<b>.fits could not be read",
        *MEANING.values(),
        *(column.description for column in COLUMNS),
        *map(str, table["id"][choose(table, config.Report())["lenses"][:3]]),
    ):
        assert said in words
    assert "Compared with the truth" not in words
    assert "To check" not in words


def test_what_is_to_be_checked_is_said_at_the_top():
    odd = TileFacts("t1", 40, notes=("all is well", "a.fits: is ingest.weight_is right?"))
    counts = TileFacts("t2", 7, unit="ct")
    _, words = read(write_page(findings(catalog(), [odd, counts])))
    top = words[: words.index("Lens candidates")] + words[words.index("To check") :][:300]
    assert "t1 : a.fits: is ingest.weight_is right?" in top
    assert "t2 : its 7 sources have no fluxes in the catalog, for its unit is ct, not nJy" in top
    assert "all is well" not in top


def test_the_area_is_the_catalogs():
    table = catalog()
    assert "– arcmin² of usable pixels" in read(write_page(findings(table)))[1]
    table.meta["AREA"] = 13.04
    assert "13.0 arcmin² of usable pixels" in read(write_page(findings(table)))[1]


@pytest.mark.parametrize(
    "n, n_bands, unit", [(0, 1, "nJy"), (0, 3, "ct"), (1, 1, "ct"), (1, 2, "nJy"), (30, 4, "nJy")]
)
def test_any_catalog_makes_a_page(n, n_bands, unit):
    table = catalog(n, n_bands, unit)
    _, words = read(write_page(findings(table, [TileFacts("t1", n)])))
    assert f"Catalog of {n} sources" in words


def test_the_detection_band_is_told_where_there_are_several():
    table = catalog(n_bands=4)
    assert "detected in" not in read(write_page(findings(table)))[1]
    table.meta |= {"BANDS": "g,r,i,g+r+i", "DETBAND": 3}
    _, words = read(write_page(findings(table)))
    assert "bands g, r, i, g+r+i, detected in g+r+i; made by arclet" in words
    alone = catalog()
    alone.meta["DETBAND"] = 0
    assert "detected in" not in read(write_page(findings(alone)))[1]


def test_a_page_without_pictures_says_why_and_still_what_to_expect():
    page = write_page(findings(catalog(), settings=config.Report(stamps=0, blends=0)))
    assert page.count("No stamps: report.stamps is 0.") == 2
    assert "No gallery: report.blends is 0." in page
    assert "What to expect of the list" in page


def test_a_catalog_without_sky_positions_makes_a_page():
    table = catalog()
    table["ra"][:] = table["dec"][:] = np.nan
    _, words = read(write_page(findings(table)))
    assert "no sky coordinates" in words
    assert "deflector are counted apart" in words and "is counted with it" not in words


def test_the_truth_is_told():
    from pipeline.comparison.truth import compare
    from tests.test_truth import sky

    table = catalog(20)
    table["ra"], table["dec"] = 10.0, 60 + np.arange(20) / 360
    objects = sky(np.arange(20) * 10.0, kind=["lens"] + 19 * ["galaxy"], theta_e=1.0)
    scored = compare(table, objects, ["t1"], 0.6)
    _, words = read(write_page(findings(table, [TileFacts("t1", 20)], scored)))
    assert "completeness 100.0 %" in words and "area under the ROC curve" in words
    defects = ", ".join(flag.name for flag in Flag if flag in DEFECT)  # what `samples` leaves out
    assert words.count(f"without any of the flags {defects} ") == 1
    assert words.count(f"without any of the flags {defects}.") == 1
    nothing = compare(table[:0], objects[:0], [], 0.6)
    _, words = read(write_page(findings(table, [], nothing)))
    assert "completeness –" in words


def test_the_same_findings_make_the_same_page():
    assert write_page(findings(catalog(8))) == write_page(findings(catalog(8)))


def test_stamps_are_in_units_of_the_noise():
    stamps = cutouts(catalog(3))
    stamps.ivar[:, :5] = np.array([0, 0, 1, 100, 100])[:, None, None]  # the median stays
    assert_allclose(in_noise(stamps), 2 * stamps.flux, rtol=1e-6)
    picked = pick(stamps, stamps.id[1:2], 0.2)
    assert list(picked) == [int(stamps.id[1])]
    assert_allclose(picked[int(stamps.id[1])][1], 16 * 0.2)


def test_a_binned_stamp_is_shown_as_wide_as_it_is(rng):
    table = catalog(3)
    stamps = replace(cutouts(table), binning=np.array([1, 3, 2]))
    widths = [width for _, width in pick(stamps, stamps.id, 0.2).values()]
    assert_allclose(widths, [3.2, 9.6, 6.4])
    label = rng.integers(0, 9, (200, 200))
    maps = {"SHARE": np.zeros((3, 16, 16)), "TARGET_STD": [0, 1, 2]}
    panels = blend_panels(stamps, maps, label, table, 0.2)
    for row, (x, y), width in zip(table, stamps.corner, (3.2, 9.6, 6.4), strict=True):
        panel, side = panels[int(row["id"])], round(width / 0.2)
        assert_array_equal(panel["label"], boxes(label, [(x, y)], side)[0])
        assert f"{width}″ wide" in panel["caption"]
    without = blend_panels(stamps, maps, label, table, np.nan)
    assert "48 pixels wide" in without[int(table["id"][1])]["caption"]


def test_the_outline_is_around_the_pixels_of_the_source():
    own = np.zeros((12, 12), bool)
    own[4:7, 3:9] = True
    ((x, y),) = outlines(own)
    assert_allclose([x.min(), x.max(), y.min(), y.max()], np.array([3, 9, 4, 7]) / 12)
    assert outlines(~own[:1])  # one that fills its stamp has one too


def test_maps_are_cut_out_of_squares(rng):
    stamps = replace(cutouts(catalog(2)), binning=np.array([1, 3]))
    tile, corner = rng.random((60, 60)), np.array([[-20, -20], [-3, 5]])
    squares = boxes(tile, corner, 32)
    for i, found in enumerate(from_squares(stamps, squares, corner)):
        (square,), place = boxes(np.ones((60, 60)), corner[[i]], 32), stamps.corner[[i]]
        inside = boxes(square, place - corner[i], len(found))[0]
        assert len(found) == 16 * stamps.binning[i]
        assert_array_equal(found, inside * boxes(tile, place, len(found))[0])


def test_a_stamp_without_information_is_blank():
    stamps = cutouts(catalog(2))
    blank = Cutouts(stamps.flux, 0 * stamps.ivar, stamps.id, stamps.corner, stamps.bands)
    assert (in_noise(blank) == 0).all()


def test_some_stamps_are_read_as_if_all_were(tmp_path):
    table = catalog(5)
    stamps, ids = cutouts(table), np.asarray(table["id"])[[3, 1]]
    io.write_cutouts(tmp_path / "c.fits", stamps)
    maps = {"A": np.full((5, 4, 4), 0.2), "B": np.linspace(0, 1, 80).reshape(5, 4, 4)}
    io.write_maps(tmp_path / "m.fits", stamps.id, stamps.corner, **maps)
    for chosen, rows in ((ids, [1, 3]), (ids[:0], []), (None, [0, 1, 2, 3, 4])):
        some = io.read_cutouts(tmp_path / "c.fits", chosen)
        assert_array_equal(some.flux, stamps.flux[rows])
        assert_array_equal(some.id, stamps.id[rows])
        assert_array_equal(some.corner, stamps.corner[rows])
        _, corner, found = io.read_maps(tmp_path / "m.fits", "B", ids=chosen)
        assert found.dtype == np.float32 and corner.shape == (len(rows), 2)
        assert_allclose(found, maps["B"][rows], atol=0.51 / 255)


def test_stamps_of_any_size_make_a_mosaic():
    images = [np.ones((side, side, bands)) for side, bands in ((8, 1), (16, 3), (5, 2))]
    figure = mosaic(3 * images, [str(i) for i in range(9)])
    (ax,) = figure.axes
    assert len(ax.images) == 9
    assert [text.get_text() for text in ax.texts] == list("012345678")
    assert mosaic([], []) is None and gallery([]) is None


def test_the_reddest_of_three_bands_is_red():
    figure = mosaic([np.ones((8, 8, 3)) * [1, 2, 3]], [""])
    red, green, blue = np.moveaxis(figure.axes[0].images[0].get_array(), -1, 0)
    assert (red > green).all() and (green > blue).all()
