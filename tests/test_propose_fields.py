"""Fields that are called as maps are, and maps that no image is beside."""

import pytest

from tests.test_propose import file, image, proposed  # noqa: F401
from tests.test_propose_folders import no_wcs


@pytest.mark.parametrize("name", ["std_field", "flag_star"])
def test_a_field_may_be_called_as_a_map_is(file, name):  # noqa: F811
    files = [file(f"{f}_{b}.fits", image(ra=ra)) for f, ra in (("a", 1), (name, 9)) for b in "gr"]
    config, notes = proposed(*files)
    assert config["tiles"] == {
        field: {"image": {band: f"{field}_{band}.fits" for band in "gr"}} for field in ("a", name)
    }
    said = "taken for an image, though its name says that it is none, for no image is beside it"
    assert notes == [f"{name}_g.fits (and 1 more): {said}"]


@pytest.mark.parametrize(
    ("name", "hdu"),
    [
        ("std_b_r", image()),  # at the image's place
        ("std_a_r", image(ra=9.0)),  # of its name
        ("b_std_r", image(ra=9.0)),
        ("mask_r", image(ra=9.0)),
        ("flat_lamp_r", no_wcs()),
        ("weight_b_r", image(ra=9.0)),
        ("b_r", image("BKG", ra=9.0)),
    ],
)
def test_maps_stay_maps(file, name, hdu):  # noqa: F811
    config, notes = proposed(file("a_r.fits", image()), file(f"{name}.fits", hdu))
    assert config["tiles"].keys() == {"a"} and len(config["tiles"]["a"]["image"]) == 1
    assert not any("taken for an image" in note for note in notes)
