"""A config is proposed for files that are named and made as surveys do."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.wcs import WCS

from pipeline.__main__ import main
from pipeline.config import read
from pipeline.planning.propose import propose


def wcs(ra=150.0):
    found = WCS(naxis=2)
    found.wcs.ctype, found.wcs.crval = ("RA---TAN", "DEC--TAN"), (ra, 2.0)
    found.wcs.crpix, found.wcs.cdelt = (20, 20), (-1e-4, 1e-4)
    return found.to_header()


def image(name="", shape=(40, 40), dtype="f4", **cards):
    header = wcs(cards.pop("ra", 150.0))
    header.update(cards)
    return fits.ImageHDU(np.zeros(shape, dtype), header, name=name)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write a FITS file of some HDUs into the working directory."""
    monkeypatch.chdir(tmp_path)

    def file(name, *hdus, **cards):
        primary = fits.PrimaryHDU(header=fits.Header(cards))
        fits.HDUList([primary, *hdus]).writeto(name)
        return name

    return file


def proposed(*paths):
    config, notes = propose("f", paths)
    read(config)
    return config, notes


@pytest.mark.parametrize("filters", [{}, {"r": "r.MP9602", "i": "HSC-I"}])
def test_bands_weights_and_masks_by_name(file, filters):
    kinds = {"image": "", "weight": ".weight", "mask": "_mask"}
    for f, b, k in itertools.product("ab", "ri", kinds.values()):
        cards = {"FILTER": filters[b]} if filters and not k else {}  # as weights often have none
        file(f"{f}_{b}{k}.fits", image(ra=ord(f), **cards))
    config, notes = proposed(*map(str, Path().glob("*.fits")))
    assert config["tiles"].keys() == {"a", "b"}
    assert config["tiles"]["a"] == {
        kind: {filters.get(b, b): f"a_{b}{k}.fits" for b in "ri"} for kind, k in kinds.items()
    }
    assert config["ingest"] == {"weight_is": "exposure"}
    assert not notes


@pytest.mark.parametrize(
    ("hdus", "kind", "has"),
    [
        (("IMAGE", "MASK", "VARIANCE"), "variance", {"image", "mask", "weight"}),  # HSC, Rubin
        (("SCI", "ERR", "CON", "WHT", "VAR_POISSON"), "rms", {"image", "weight"}),  # JWST
        (("SCI", "WHT", "CTX"), "exposure", {"image", "weight"}),  # HST, drizzled
        (("SCI",), None, {"image"}),
    ],
)
def test_hdus_of_one_file(file, hdus, kind, has):
    config, notes = proposed(file("f.fits", *map(image, hdus), FILTER="F814W ACS"))
    entry = config["tiles"]["f"]
    assert entry.keys() == has
    assert list(entry["image"]) == ["F814W"]
    assert config.get("ingest", {}).get("weight_is") == kind
    assert ("not used" in "".join(notes)) == bool({"CON", "CTX"} & set(hdus))


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        ("count-2", "ivar"),
        ("nanomaggy**(-2)", "ivar"),
        ("1/(nJy)^2", "ivar"),
        ("adu2", "variance"),
        ("s", "exposure"),
        ("adu", "exposure"),  # the image's own, copied
    ],
)
def test_a_unit_tells_what_kind_of_weight_it_is(file, unit, kind):
    config, _ = proposed(file("f.fits", image("SCI"), image("WHT", BUNIT=unit)))
    assert config["ingest"] == {"weight_is": kind}


@pytest.mark.parametrize(
    ("stem", "cards", "kind"),
    [
        ("rings.v3.skycell.1405.053.stk.r.unconv", {}, "variance"),
        ("ngc_r", {"HIERARCH FPA.ZP": 25.0}, "variance"),
        ("ngc_r", {}, "exposure"),
    ],
)
def test_the_weights_of_panstarrs_are_variances(file, stem, cards, kind):
    config, _ = proposed(
        *(file(f"{stem}{more}.fits", image(**cards)) for more in ("", ".exp", ".mask", ".wt"))
    )
    (tile,) = config["tiles"].values()
    assert config["ingest"] == {"weight_is": kind}
    assert tile == {
        "image": {"r": f"{stem}.fits"},
        "weight": {"r": f"{stem}.{'wt' if kind == 'variance' else 'exp'}.fits"},
        "mask": {"r": f"{stem}.mask.fits"},
    }


@pytest.mark.parametrize(
    ("stem", "image_is", "others", "has"),
    [
        ("ztf_000764_c01_", "refimg", "refcov refunc", "rms"),
        ("1484p015_w1_", "int", "unc cov std", "rms"),  # of WISE
        ("SPITZER_I1_E1_", "maic", "munc mcov", "rms"),
        ("MER_VIS_", "BGSUB", "BGMOD", None),  # of Euclid
        ("legacysurvey_0137_", "image", "psfsize psfdepth blobmodel", None),
        ("skycell_1405_stk_unconv_", "", "num expwt", "exposure"),  # of Pan-STARRS
        ("AIS_50_", "int", "cnt rrhr skybg", None),  # of GALEX
        ("v20100411_st_", "tl", "tl_conf", "exposure"),  # of VISTA
        ("j8_", "drz", "ivm", "ivar"),
    ],
)
def test_maps_of_surveys_are_no_images(file, stem, image_is, others, has):
    names = [f"{stem}{kind}.fits" for kind in (image_is, *others.split())]
    config, _ = proposed(*(file(name, image(FILTER="r")) for name in names))
    assert [tile["image"] for tile in config["tiles"].values()] == [{"r": names[0]}]
    assert config.get("ingest", {}).get("weight_is") == has


@pytest.mark.parametrize(("name", "mask"), [("sciimg", "mskimg"), ("E.SCI", "E.FLG")])
def test_masks_of_surveys_are_no_images(file, name, mask):  # of ZTF, and of Euclid's VIS
    config, _ = proposed(*(file(f"a_{kind}.fits", image(FILTER="g")) for kind in (name, mask)))
    (tile,) = config["tiles"].values()
    assert tile == {"image": {"g": f"a_{name}.fits"}, "mask": {"g": f"a_{mask}.fits"}}


def test_every_ccd_is_a_tile(file):
    for kind in ("ooi", "oow", "ood"):  # of the DECam community pipeline
        ccds = (image(n, ra=150.0 + i) for i, n in enumerate(("N1", "S7")))
        file(f"c4d_{kind}_z.fits", *ccds, FILTER="z DECam SDSS c0004 9260.0 1520.0")
    config, _ = proposed("c4d_ood_z.fits", "c4d_ooi_z.fits", "c4d_oow_z.fits")
    assert config["tiles"]["c4d_S7"] == {
        kind: {"z": f"c4d_oo{letter}_z.fits[S7]"}
        for kind, letter in (("image", "i"), ("weight", "w"), ("mask", "d"))
    }
    chips = [image(name, EXTVER=ver, ra=ver) for ver in (1, 2) for name in ("SCI", "ERR")]
    config, _ = proposed(file("acs_flt.fits", *chips))
    assert config["tiles"]["acs_flt_2"]["weight"] == {"x": "acs_flt.fits[ERR,2]"}


def test_a_row_of_numbers_is_no_image(file):
    """As SDSS gives one of the calibration beside each image."""
    row = fits.ImageHDU(np.ones(40, "f4"))
    config, notes = proposed(file("frame_r_6.fits", row, image()))
    assert config["tiles"] == {"frame_6": {"image": {"r": "frame_r_6.fits[2]"}}}
    assert not notes


def test_the_sky_tells_what_names_do_not(file):
    """As of Euclid, whose files' names hold times and hashes."""
    for name in ("VIS_T1_1f", "NIR-J_T1_2e", "VIS-RMS_T1_3d"):
        file(f"MOSAIC-{name}.fits", image())
    config, _ = proposed(*(str(path) for path in Path().glob("*.fits")))
    (tile,) = config["tiles"].values()
    assert tile["image"] == {"J": "MOSAIC-NIR-J_T1_2e.fits", "VIS": "MOSAIC-VIS_T1_1f.fits"}
    assert tile["weight"] == {"VIS": "MOSAIC-VIS-RMS_T1_3d.fits"}


@pytest.mark.parametrize(
    ("cards", "band"),
    [
        ({"FILTER": "F444W", "PUPIL": "F405N"}, "F405N"),  # of NIRCam
        ({"FILTER": "F444W", "PUPIL": "CLEAR"}, "F444W"),
        ({"FILTER": "F444W", "PUPIL": "MASKRND"}, "F444W"),
        ({"FILTER": "CLEAR", "PUPIL": "F115W"}, "F115W"),  # of NIRISS
        ({"FILTER": "F480M", "PUPIL": "NRM"}, "F480M"),
        ({"CHNLNUM": 2}, "ch2"),  # of IRAC
        ({"FILTER": "K", "CHNLNUM": 2}, "K"),
    ],
)
def test_headers_tell_bands(file, cards, band):
    config, _ = proposed(file("t.fits", image(), **cards))
    assert config["tiles"] == {"t": {"image": {band: "t.fits"}}}


def test_the_names_of_galex_tell_bands(file):
    names = (f"AIS-{b}-{k}.fits" for b in ("fd", "nd") for k in ("flags", "int"))
    config, _ = proposed(*(file(name, image()) for name in names))
    assert config["tiles"]["AIS_int"] == {
        "image": {"fd": "AIS-fd-int.fits", "nd": "AIS-nd-int.fits"},
        "mask": {"fd": "AIS-fd-flags.fits", "nd": "AIS-nd-flags.fits"},
    }


@pytest.mark.parametrize("known", [(1, 2), (2, 1), (1,), (2,)])
def test_what_lies_at_one_place_is_told_apart_by_names(file, known):
    """As of WISE and GALEX, whose masks do not say their band as the images do."""
    images = [file(f"t-w{n}-int.fits", image(BAND=n)) for n in (1, 2)]
    config, _ = proposed(*images, *(file(f"t-w{n}-msk.fits", image()) for n in known))
    (tile,) = config["tiles"].values()
    assert tile["mask"] == {f"{n}": f"t-w{n}-msk.fits" for n in known}


def test_a_mask_whose_name_tells_no_image_is_that_of_all_at_its_place(file):
    images = [file(f"t-{band}-int.fits", image()) for band in "gr"]
    config, _ = proposed(*images, file("t-all-mask.fits", image()))
    (tile,) = config["tiles"].values()
    assert tile["mask"] == dict.fromkeys("gr", "t-all-mask.fits")


@pytest.mark.parametrize("band", ["r", "unknown"])
def test_what_repeats_the_sky_in_one_band_is_said_and_left_out(file, band):
    cards = {"FILTER": "r"} if band == "r" else {}
    names = "f_odd.fits", "f_odd.weight.fits", "f.fits"
    config, notes = proposed(*(file(name, image(**cards)) for name in names))
    assert [*config["tiles"]] == ["f"] and config["tiles"]["f"].keys() == {"image"}
    assert f"f_odd.fits: same sky and band ({band}) as f.fits; which is the image?" in notes
    assert "f_odd.weight.fits: exposure, not used" in notes


@pytest.mark.parametrize("other", [{"ra": 150.0004}, {"shape": (40, 41)}])
def test_tiles_of_one_band_may_overlap(file, other):
    config, notes = proposed(file("s_r.fits", image()), file("t_r.fits", image(**other)))
    assert config["tiles"].keys() == {"s", "t"} and not notes


@pytest.mark.parametrize("dither", [0.0, 0.0008])  # a fifth of a side
def test_fields_in_folders_of_their_own_share_no_tile(file, dither):
    bands = {"north": "g", "south": "gr", "west": "gr"}
    for i, (folder, named) in enumerate(bands.items()):
        Path(folder).mkdir()
        for j, band in enumerate(named):
            file(f"{folder}/coadd_{band}.fits", image(ra=150.0 + i + dither * j))
    config, notes = proposed(*(f"{f}/coadd_{band}.fits" for f in bands for band in bands[f]))
    seen = [tile["image"] for tile in config["tiles"].values()]
    assert seen == [{b: f"{f}/coadd_{b}.fits" for b in "gr"} for f in ("south", "west")]
    assert notes == ["north/coadd_g.fits: of a tile in g, where most are in g, r"]


@pytest.mark.parametrize("bands", ["grz", "zrg", "F200W,F356W,F444W"])
def test_planes_of_a_cube_are_bands_if_its_header_says_so(file, bands):
    cubes = (image(name, (3, 40, 40), BANDS=bands) for name in ("IMAGE", "INVVAR"))
    config, notes = proposed(file("cutout_150.1_2.2.fits", *cubes))
    (tile,) = config["tiles"].values()
    order = bands.split(",") if "," in bands else list(bands)
    assert list(tile["image"]) == list(tile["weight"]) == order
    assert set(tile["image"].values()) == {"cutout_150.1_2.2.fits[IMAGE]"}
    assert set(tile["weight"].values()) == {"cutout_150.1_2.2.fits[INVVAR]"}
    assert config["ingest"] == {"weight_is": "ivar"}
    assert not notes


def test_no_image_is_lost_whose_name_tells_nothing_or_differs_by_a_sign(file):
    names = "a.fits", "a_r.fits", "a-img.fits", "a_sci.fits", "a_img_sci.fits"
    names += "K_130_-0.5_r.fits", "K_130_0.5_r.fits"
    flat = (image(shape=(1, 40, 40), ra=150.0 + i, FILTER="r") for i in range(len(names)))
    config, notes = proposed(*map(file, names, flat))
    assert len(config["tiles"]) == len(names) and not notes


def test_what_cannot_be_used_is_said(file, tmp_path):
    (tmp_path / "no.fits").write_text("nothing")
    cube, small = image("CUBE", (3, 40, 40)), image(shape=(9, 9))
    paths = file("c.fits", cube), file("a.fits", image()), file("a_wht.fits", small), "no.fits"
    no_wcs = file("b.fits", fits.ImageHDU(np.zeros((40, 40), "f4")))
    odd = file("o_r.fits", image(FILTER="r", ra=151.0))
    config, notes = proposed(*paths, no_wcs, odd)
    assert config["tiles"].keys() == {"a", "b"}
    assert "o_r.fits: of a tile in r, where as many are in x" in proposed("a.fits", odd)[1]
    said = "\n".join(notes)
    assert "c.fits: a cube; name it for each of its bands" in said
    assert "a_wht.fits: " in said
    assert "no.fits: cannot be read" in said
    assert "b.fits: no WCS; ingest.pixel_scale must be set" in said
    assert "o_r.fits: of a tile in r, where most are in x" in said


def test_the_command_writes_a_config_and_never_over_one(file, tmp_path):
    main(["init", "field", file("t_r.fits", image())])
    written = tmp_path / "field.yaml"
    tiles = {"t": {"image": {"r": "t_r.fits"}}}
    assert yaml.safe_load(written.read_text()) == {"name": "field", "tiles": tiles}
    with pytest.raises(SystemExit, match=r"field\.yaml is there already: nothing was written"):
        main(["init", "field", "t_r.fits"])
    with pytest.raises(SystemExit, match="no image is among the files"):
        main(["init", "other", file("m_mask.fits", image())])
    with pytest.raises(SystemExit, match="is no name"):
        main(["init", "a b", "t_r.fits"])
    assert [p.name for p in tmp_path.glob("*.yaml")] == ["field.yaml"]
