"""A config is proposed for files that their folders tell apart, as their names alone do not."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.test_propose import file, image, proposed  # noqa: F401

FIELDS = {"abell370": 150.0, "macs0416": 64.0}  # with their right ascensions [deg]


def no_wcs(name="", shape=(40, 40)):
    return fits.ImageHDU(np.zeros(shape, "f4"), name=name)


@pytest.fixture
def write(file):  # noqa: F811
    """Write a file of some HDUs into a folder; gives its path."""

    def write(path, *hdus, **cards):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return file(path, *hdus, **cards)

    return write


@pytest.mark.parametrize("has_wcs", [True, False])
@pytest.mark.parametrize(
    ("sci", "wht", "cards"),
    [
        ("{field}/sci", "{field}/wht", {}),
        ("{field}/r", "{field}/r_weight", {}),
        ("{field}/drz_sci", "{field}/drz_wht", {"FILTER": "r"}),
        ("{field}/r/sci", "{field}/r/wht", {}),
        ("k/all/{field}/hst/sci", "k/all/{field}/hst/wht", {}),
        ("images/{field}/drz", "weights/{field}/drz_wht", {}),
    ],
)
def test_a_weight_is_of_the_image_in_its_folder(write, sci, wht, cards, has_wcs):
    paths = {f: [f"{name}.fits".format(field=f) for name in (sci, wht)] for f in FIELDS}
    for field, ra in FIELDS.items():
        write(paths[field][0], image(ra=ra, **cards))
        write(paths[field][1], image(ra=ra) if has_wcs else no_wcs())
    config, notes = proposed(*paths["macs0416"], *paths["abell370"])
    band = "r" if cards or "r" in sci.split("/") else "x"
    assert not notes and config["tiles"] == {
        field: {"image": {band: paths[field][0]}, "weight": {band: paths[field][1]}}
        for field in FIELDS
    }


@pytest.mark.parametrize("cards", [{}, {"FILTER": "F606W"}])
@pytest.mark.parametrize("has_wcs", [True, False])
def test_a_file_of_several_hdus_is_its_images_own(write, cards, has_wcs):
    for field, ra in FIELDS.items():
        others = [image(k, ra=ra) if has_wcs else no_wcs(k) for k in ("WHT", "DQ")]
        write(f"{field}/f606w_drz.fits", image("SCI", ra=ra), *others, **cards)
    config, notes = proposed(*(f"{field}/f606w_drz.fits" for field in FIELDS))
    band = cards.get("FILTER", "f606w")
    assert not notes and config["tiles"] == {
        field: {
            kind: {band: f"{field}/f606w_drz.fits[{hdu}]"}
            for kind, hdu in {"image": "SCI", "weight": "WHT", "mask": "DQ"}.items()
        }
        for field in FIELDS
    }


@pytest.mark.parametrize("cards", [{}, {"FILTER": "F606W"}])
def test_a_folder_tells_the_band_where_nothing_else_does(write, cards):
    bands, paths = ("F606W", "F814W"), []
    for field, ra in FIELDS.items():
        for band in bands:
            said = cards and {"FILTER": band}
            paths.append(write(f"{field}/{band.lower()}/sci.fits", image(ra=ra, **said)))
            paths.append(write(f"{field}/{band.lower()}/wht.fits", image(ra=ra)))
    config, notes = proposed(*paths)
    assert not notes and config["tiles"].keys() == FIELDS.keys()
    for field, tile in config["tiles"].items():
        for kind, name in {"image": "sci", "weight": "wht"}.items():
            assert tile[kind] == {
                band if cards else band.lower(): f"{field}/{band.lower()}/{name}.fits"
                for band in bands
            }


def test_a_folder_above_all_files_is_no_band(write):
    paths = [write(f"k/m31/{field}.fits", image(ra=ra)) for field, ra in FIELDS.items()]
    config, _ = proposed(*paths)
    assert [list(tile["image"]) for tile in config["tiles"].values()] == [["x"], ["x"]]
    config, _ = proposed(write("F606W/a.fits", image()))
    assert config["tiles"] == {"a": {"image": {"F606W": "F606W/a.fits"}}}


@pytest.mark.parametrize("mask", [no_wcs, lambda: image(ra=0.0)], ids=["no WCS", "stale"])
def test_a_mask_in_the_folder_above_serves_all(write, mask):
    images = [write(f"all/{field}/r/sci.fits", image(ra=ra)) for field, ra in FIELDS.items()]
    images.append(write("all/deep/sci_r.fits", image(ra=99.0)))
    config, notes = proposed(*images, write("all/mask.fits", mask()))
    assert len(config["tiles"]) == 3 and not notes
    assert all(tile["mask"] == {"r": "all/mask.fits"} for tile in config["tiles"].values())


def test_coordinates_that_are_nobodys_are_not_believed(write):
    """As of weights that were made without a look at the header."""
    paths = [write(f"{field}_r.fits", image(ra=ra)) for field, ra in FIELDS.items()]
    paths += [write(f"{field}_r.weight.fits", image(ra=0.0)) for field in FIELDS]
    config, notes = proposed(*paths)
    assert not notes
    for field, tile in config["tiles"].items():
        assert tile["weight"] == {"r": f"{field}_r.weight.fits"}


def test_a_mask_of_another_field_is_nobodys(write):
    paths = [write(f"{field}/sci.fits", image(ra=ra)) for field, ra in FIELDS.items()]
    config, notes = proposed(*paths, write("abell2744/mask.fits", image(ra=3.0)))
    assert all(tile.keys() == {"image"} for tile in config["tiles"].values())
    assert notes == ["abell2744/mask.fits: no image takes it, by shape and name or place"]


def test_the_nearest_weight_is_taken(write):
    paths = [write(f"{folder}wht.fits", image()) for folder in ("", "old/")]
    config, _ = proposed(write("sci.fits", image()), *paths)
    assert config["tiles"] == {"t1": {"image": {"x": "sci.fits"}, "weight": {"x": "wht.fits"}}}


def test_words_may_have_any_letters(write):
    fields = {"pálé": "pale", "pölé": "pole", "α": "t1", "β": "t1_2"}
    for i, field in enumerate(fields):
        write(f"{field}_r.fits", image(ra=i)), write(f"{field}_r.weight.fits", no_wcs())
    config, notes = proposed(*(f"{f}_r{k}.fits" for f in fields for k in ("", ".weight")))
    assert not notes
    for field, name in fields.items():
        assert config["tiles"][name] == {
            "image": {"r": f"{field}_r.fits"},
            "weight": {"r": f"{field}_r.weight.fits"},
        }


def test_a_folder_of_several_tiles_is_put_before_their_words(write):
    paths = [
        write(f"{night}/{ccd}_r.fits", image(ra=ra + i))
        for night, ra in FIELDS.items()
        for i, ccd in enumerate(("n1", "s7"))
    ]
    config, _ = proposed(*paths)
    assert config["tiles"].keys() == {f"{night}_{ccd}" for night in FIELDS for ccd in ("n1", "s7")}
