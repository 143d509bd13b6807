import numpy as np
import pytest
from astropy.table import Table

from benchmarks import surveys
from pipeline.config import Config
from pipeline.flags import Flag
from pipeline.simulate.camera import like


@pytest.mark.parametrize("survey", surveys.SURVEYS)
def test_every_survey_of_the_table_can_be_drawn(survey, tmp_path):
    config = Config.model_validate(surveys.settings(survey, tmp_path))
    drawn = like(config.survey)
    assert drawn.pixel_scale != type(drawn)().pixel_scale
    assert (drawn.tiles, drawn.damage) == (1, False)


def test_the_table_has_a_row_a_survey():
    shares = dict.fromkeys(("completeness", "purity", "coverage"), (0.9, 0.88, 0.92, 100))
    number = {"sources": 500, "fwhm": 2.5, "fwhm_measured": 1.01, "median_dm": 0.002}
    lenses = {"auroc": 0.999, "lenses": 6, "lenses_expected": 5.42}
    said = surveys.table({"DES r": number | shares | lenses | {"nmad_dm": 0.05}})
    assert said.splitlines()[2] == (
        "| DES r | 500 | 2.50 | +1.0% | 90.0% ± 2.0% | 90.0% ± 2.0% | 90.0% ± 2.0% "
        "| +0.002 | 0.050 | 0.999 | 5.4 of 6 |"
    )
    assert len({line.count("|") for line in said.splitlines()[:3]}) == 1
    assert said.splitlines()[3:] == ["", "Of 6 lenses found in all, `p_lens` promises 5."]


def test_as_many_lenses_are_expected_as_there_are_where_nothing_tells_them():
    """Of 200 galaxies far apart and 100 stars: a prevalence of 0.03, and a piece of the first."""
    n = 300
    catalog = Table({"ra": 10 + np.arange(n) / 100, "dec": np.zeros(n)})
    catalog["p_lens"], catalog["flux"], catalog["flux_err"] = 1e-3, 100.0, 1.0
    catalog["flags"] = np.where(np.arange(n) < 200, 0, int(Flag.POINT_LIKE))
    assert surveys.expected(catalog, 6) == pytest.approx(n * 6 / 200)
    catalog["flux"][:100] = 10.0
    assert surveys.expected(catalog, 6) == pytest.approx(n * 6 / 100)
    catalog["ra"][1] = catalog["ra"][0] + 1 / 3600
    assert surveys.expected(catalog, 6) == pytest.approx((n - 1) * 6 / 100)
