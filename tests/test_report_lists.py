"""All that is special is in the report, and what is left out is counted."""

from unittest.mock import patch

import numpy as np

from pipeline import config
from pipeline.report import TileFacts, figures, write_page
from pipeline.report.page import MAX_TILES
from tests.test_report import PROVENANCE, catalog, findings, read


def test_every_candidate_and_known_lens_is_on_the_map():
    table = catalog(500)
    table["p_lens"], table["known_lens"] = 0.01, np.full(500, "", "U4")
    table["p_lens"][[7, 301]], table["known_lens"][[42, 480]] = 0.9, "ring"
    few = config.Report(points=20, stamps=0, blends=0)
    with patch("pipeline.report.figures.sky_map", wraps=figures.sky_map) as drawn:
        write_page(findings(table, settings=few))
    shown = drawn.call_args.args[0]["id"]
    assert len(shown) <= 24
    assert np.isin(table["id"][[7, 301, 42, 480]], shown).all()


def test_a_list_that_is_cut_says_how_much_is_missing():
    tiles = [
        TileFacts(f"t{k}", 1, notes=("right?",), known=(f"lens {k}",)) for k in range(MAX_TILES + 7)
    ]
    bad = [TileFacts(f"u{k}", rejected="empty") for k in range(MAX_TILES + 8)]
    found = findings(catalog(), [*tiles, *bad], settings=config.Report(stamps=0, blends=0))
    inputs = dict.fromkeys(map(str, range(MAX_TILES + 9)))
    _, words = read(write_page(found._replace(provenance=PROVENANCE | {"inputs": inputs})))
    assert "And 7 more: with on_bad_tile: accept, all of them are in verdict.txt" in words
    assert "And 7 more: those recovered are in catalog.fits" in words
    assert "And 315 more: their notes are in tiles/*/exposure.fits" in words
    assert "And 8 more: all of them are in rejected.csv" in words
    assert "And 9 more: all of them are in provenance.json" in words


def test_pieces_are_said_to_be_counted_as_they_are():
    _, words = read(write_page(findings(catalog())))
    assert "within 3″ of a more probable system" in words


def test_known_lenses_that_are_missed_come_first():
    table = catalog()
    table["known_lens"] = np.full(len(table), "arc", "U4")
    tiles = [TileFacts("a", 1, known=("arc", "ring"))]
    none = config.Report(stamps=0, blends=0)
    _, words = read(write_page(findings(table, tiles, settings=none)))
    assert words.index("ring missed") < words.index("arc recovered")


def test_the_numbers_at_the_top_are_of_good_tiles_and_of_systems():
    table = catalog()
    table["p_lens"], table["anomaly"] = 0.01, 0.5
    table["p_lens"][:4], table["anomaly"][:2] = [0.9, 0.5, 0.3, 0.3], [0.99, 0.9]
    for name in ("ra", "dec"):  # pieces of the first
        table[name][2:4] = table[name][0] + 1 / 3600
    table["known_lens"] = np.array(["", "ring"] + 38 * [""])
    tiles = [
        TileFacts("a", 1, depth=25.0, psf_fwhm=0.7),
        TileFacts("b", 1, depth=24.0, psf_fwhm=0.9),
        TileFacts("c", rejected="empty"),
    ]
    _, words = read(write_page(findings(table, tiles, settings=config.Report(stamps=0, blends=0))))
    for said in (
        "2 / 3 tiles used",
        "24.50 5σ point-source depth [AB]",
        "0.80″ PSF FWHM",
        "2 candidate systems, p_lens > 0.06",
        "1.8 lenses expected",
        "0.9 of them among sources of an anomaly above 0.98",
        "ring recovered 0.500 2",
        "EDGE 1 8 20.0 %",
    ):
        assert said in words


def test_numbers_per_area_are_of_the_tiles_with_fluxes():
    table = catalog()
    table.meta |= {"AREA": 26.0, "AREAFLUX": 13.0}
    with patch("pipeline.report.figures.number_counts", wraps=figures.number_counts) as drawn:
        write_page(findings(table, settings=config.Report(stamps=0, blends=0)))
    assert drawn.call_args.args[2] == 13.0
