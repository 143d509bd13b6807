"""One entry of the config may stand for many tiles."""

import os
import re

import numpy as np
import pytest
from astropy.io import fits

from pipeline.config import read
from pipeline.ingest.fitsfile import InputError, read_image
from pipeline.planning.patterns import expand


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Make empty files in the working directory."""
    monkeypatch.chdir(tmp_path)

    def files(*names):
        for name in names:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            open(name, "w").close()

    return files


def tiles(**entries):
    return expand({"name": "f", "tiles": entries})["tiles"]


def test_an_entry_stands_for_every_tile_whose_image_is_there(files):
    files("a_g.fits", "a_r.fits", "b_r.fits", "c_g.fits", "a_r.wt.fits", "sub/d_r.fits", "e_r.fit")
    bands = {band: f"{{field}}_{band}.fits[SCI]" for band in "gr"}
    found = tiles(**{"{field}": {"image": bands, "weight": {"r": "{field}_r.wt.fits"}}})
    assert found.keys() == {"a", "b", "c"}
    assert found["b"]["image"] == {"g": "b_g.fits[SCI]", "r": "b_r.fits[SCI]"}
    assert found["b"]["weight"] == {"r": "b_r.wt.fits"}  # missing: its tile is rejected, not lost
    assert list(read({"tiles": found}).tiles) == ["a", "b", "c"]


def test_several_wildcards_and_folders(files):
    files("1/07/x-1-07.fits", "1/08/x-1-08.fits", "1/08/x-1-09.fits", "2/07/x-2-07.fits")
    found = tiles(**{"v{visit}.{ccd}": {"image": {"r": "{visit}/{ccd}/x-{visit}-{ccd}.fits"}}})
    assert found.keys() == {"v1.07", "v1.08", "v2.07"}
    assert found["v1.08"] == {"image": {"r": "1/08/x-1-08.fits"}}


def test_weights_and_masks_that_match_are_no_images(files):
    files("a.fits", "a.weight.fits", "a.mask.fits", "b.fits", "b[1].fits")
    entry = {"image": {"r": "{t}.fits"}, "weight": {"r": "{t}.weight.fits"}}
    found = tiles(**{"{t}": {**entry, "mask": {"r": "{t}.mask.fits[1]"}}})
    assert found.keys() == {"a", "b", "b[1]"}
    whole = {kind: {"r": f"one{{t}}.fits[{kind}]"} for kind in ("image", "weight", "mask")}
    files("one2.fits", "one3.fits")
    assert tiles(**{"{t}": whole}).keys() == {"2", "3"}  # all of one file


def test_other_tiles_stay_and_none_is_there_twice(files):
    files("a.fits", "b.fits")
    entry, other = {"image": {"r": "{t}.fits"}}, {"image": {"r": "elsewhere/{c}.fits"}}
    assert tiles(**{"{t}": entry, "c": other}) == {
        "a": {"image": {"r": "a.fits"}},
        "b": {"image": {"r": "b.fits"}},
        "c": other,
    }
    with pytest.raises(ValueError, match=r"tiles\.b: the tile 'b' is there already"):
        tiles(**{"{t}": entry, "b": other})


@pytest.mark.parametrize(
    "name, entry, message",
    [
        ("{t}", {"image": {"r": "{t}.fits"}}, "tiles.{t}: no file matches {t}.fits (looked in /"),
        ("{t}", {"image": {"r": "a.fits"}}, "a.fits must have the same {wildcards} as the name"),
        ("{t}", {"image": {"r": "{t}.{u}"}}, "{t}.{u} must have the same {wildcards}"),
        (
            "{t}",
            {"image": {"r": "{t}.fits"}, "mask": {"r": "{m}.fits"}},
            "{m}.fits must have the same {wildcards}",
        ),
    ],
)
def test_what_matches_nothing_is_an_error(files, name, entry, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tiles(**{name: entry})


def test_the_hdu_of_a_weight_may_be_a_wildcard(files):
    files("ccd1.fits", "ccd2.fits")
    entry = {"image": {"r": "ccd{n}.fits"}, "weight": {"r": "w.fits[{n}]"}}
    assert tiles(**{"{n}": entry})["2"]["weight"] == {"r": "w.fits[2]"}


def test_a_wildcard_stands_for_the_hdus_of_a_file_that_hold_images(files):
    image, table = np.zeros((2, 2), "f4"), np.zeros(2, [("a", "f4")])
    hdus = [fits.ImageHDU(image, name=name, ver=i) for i, name in enumerate(["N1", "S1", "S1"])]
    more = (
        fits.CompImageHDU(image, name="N2"),
        fits.ImageHDU(image),
        fits.BinTableHDU(table, name="T"),
        fits.ImageHDU(image),
        fits.ImageHDU(image[0], name="ROW"),
    )
    fits.HDUList([fits.PrimaryHDU(), *hdus, *more]).writeto("e1.fits")
    fits.HDUList([fits.PrimaryHDU(), hdus[0]]).writeto("e2.fits")
    files("e3.fits")
    entry = {"image": {"r": "{e}.fits[{ccd}]"}, "weight": {"r": "{e}.wt[{ccd}]"}}
    found = tiles(**{"{e}_{ccd}": entry})
    assert found.keys() == {"e1_N1", "e1_S1,1", "e1_S1,2", "e1_N2", "e1_5", "e1_7", "e2_N1", "e3_0"}
    assert found["e1_S1,2"] == {"image": {"r": "e1.fits[S1,2]"}, "weight": {"r": "e1.wt[S1,2]"}}
    assert tiles(**{"{n}": {"image": {"r": "e1.fits[N{n}]"}}}).keys() == {"1", "2"}
    for name in ("e1_S1,2", "e1_5", "e1_7"):
        assert read_image(found[name]["image"]["r"]).data.shape == (2, 2)
    with pytest.raises(InputError, match=r"e3\.fits: cannot be read"):
        read_image(found["e3_0"]["image"]["r"])


def test_weights_and_masks_may_be_other_hdus_of_the_images_file(files):
    image = np.zeros((2, 2), "f4")
    kinds = {"image": "SCI", "weight": "ERR", "mask": "DQ"}
    hdus = [fits.ImageHDU(image, name=name, ver=i) for i in (1, 2) for name in kinds.values()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto("e.fits")
    entry = {kind: {"r": f"{{e}}.fits[{name},{{n}}]"} for kind, name in kinds.items()}
    assert tiles(**{"{e}_{n}": entry}).keys() == {"e_1", "e_2"}
    named = [fits.ImageHDU(image, name=name) for name in ("1", "2", "W1", "W2")]
    fits.HDUList([fits.PrimaryHDU(), *named]).writeto("f.fits")
    entry = {"image": {"r": "f.fits[{n}]"}, "weight": {"r": "f.fits[W{n}]"}}
    assert tiles(**{"{n}": entry}).keys() == {"1", "2"}


@pytest.mark.parametrize("odd", [None, 3, {"image": "{t}.fits"}, {"image": {"r": None}}, {}])
def test_what_is_malformed_is_left_to_the_schema(odd):
    assert tiles(**{"{t}": odd}) == {"{t}": odd}
    with pytest.raises(ValueError, match=r"\{t\}"):
        read({"tiles": {"{t}": odd}})
    assert expand({"tiles": {None: odd, 7: odd}})["tiles"] == {None: odd, 7: odd}
    assert expand({"tiles": [3]}) == {"tiles": [3]} and expand({}) == {}
