"""Weights and masks that may be another image's."""

import numpy as np
import pytest

from pipeline.config import Ingest, Tile
from pipeline.ingest import ingest
from tests.test_ingest import SHAPE, sky_header, take


@pytest.fixture
def pixels(rng):
    return rng.normal(0, 2, SHAPE).astype("f4")


def doubts(found):
    return [note for note in found.notes if note.endswith("is it of that image?")]


@pytest.mark.parametrize("kind", ["weight", "mask"])
@pytest.mark.parametrize(
    ("cards", "is_doubted"),
    [
        ({}, False),
        ({"CRVAL1": 150.0 + 55 * 0.2 / 3600}, False),  # of 120 pixels
        ({"CRVAL1": 150.0 + 65 * 0.2 / 3600}, True),
        ({"CRVAL2": -2.0}, True),
        ({"CTYPE1": "", "CTYPE2": ""}, False),  # no WCS
    ],
)
def test_one_of_another_sky_is_doubted(save, pixels, kind, cards, is_doubted):
    other = np.full(SHAPE, 0.25, "f4") if kind == "weight" else np.zeros(SHAPE, "i2")
    path = save("o.fits", other, sky_header(**cards))
    found = take(save("a.fits", pixels, sky_header()), **{kind: path})
    assert [path in note and "a.fits[PRIMARY]" in note for note in doubts(found)] == (
        [True] * is_doubted
    )
    assert (found.ivar > 0).all()


def test_a_window_is_doubted_as_the_whole_is(save, pixels):
    image, weight = (
        save(name, pixels**2 + 1, sky_header(CRVAL2=dec))
        for name, dec in (("a.fits", 2.0), ("w.fits", 2.0 + 30 * 0.2 / 3600))
    )
    tile = Tile(image={"r": image}, weight={"r": weight}, window=(10, 10, 60, 50))
    assert not doubts(ingest(tile, Ingest(fit_sky=False)))


def test_the_coordinates_of_a_mask_need_not_make_sense(save, pixels):
    header = sky_header(CTYPE1="RA---TAN", CTYPE2="DEC--SIN")
    with_mask = {"mask": save("m.fits", np.zeros(SHAPE, "i2"), header)}
    found = take(save("a.fits", pixels, sky_header()), **with_mask)
    assert not doubts(found)
