import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from numpy.testing import assert_array_equal

from pipeline import config
from pipeline.flags import Flag
from pipeline.report.choose import SYSTEM, choose, systems, thin
from tests.test_report import catalog


def test_what_is_shown_is_the_extreme():
    table = catalog(100)
    chosen = choose(table, config.Report(stamps=5, blends=3))
    assert_array_equal(chosen["lenses"], np.argsort(-table["p_lens"])[:5])
    assert not (table["flags"][chosen["strangest"]] & int(Flag.EDGE)).any()
    assert len(chosen["strangest"]) == 5


def test_blends_are_bright_whole_and_much_claimed():
    table = catalog(7)
    table["flags"], table["n_neighbours"] = 0, 1
    table["blend_fraction"] = [0.3, 0.05, 0.5, 0.6, 0.7, 0.8, 0.9]
    table["flux"][3] = 19.0 * table["flux_err"][3]
    table["flags"][4:6] = int(Flag.EDGE), int(Flag.STAMP_CLIPPED)
    table["n_neighbours"][6] = 0
    assert_array_equal(choose(table, config.Report(blends=9))["blends"], [2, 0])


def test_a_cosmic_ray_is_not_among_the_strangest():
    table = catalog(100)
    strangest = choose(table, config.Report(stamps=5))["strangest"][0]
    table["flags"][strangest] |= int(Flag.SHARP)
    assert strangest not in choose(table, config.Report(stamps=5))["strangest"]


def test_of_sources_close_together_the_most_probable_lens_is_shown(rng):
    n = 300
    p_lens = rng.random(n)
    sky = Table({"p_lens": p_lens, "ra": rng.random(n) * 0.02, "dec": 60 + rng.random(n) * 0.01})
    sky["p_lens"][:3], sky["ra"][3:6] = np.nan, np.nan
    alone = systems(sky)
    assert not np.isin([0, 1, 2], alone).any()
    assert np.isin([3, 4, 5], alone).all()
    assert (np.diff(p_lens[alone]) <= 0).all()
    at = SkyCoord(sky["ra"], sky["dec"], unit="deg")
    leaders = []
    for row in np.argsort(-p_lens):
        if row >= 6 and not any(at[row].separation(at[one]).arcsec < SYSTEM for one in leaders):
            leaders.append(row)
    assert_array_equal(leaders, alone[alone >= 6])
    assert 10 < len(leaders) < n / 2


def test_thinning_keeps_all_of_few_and_the_same_of_many():
    assert_array_equal(thin(3, 5), [0, 1, 2])
    rows = thin(1000, 10)
    assert len(np.unique(rows)) == 10
    assert_array_equal(rows, thin(1000, 10))
