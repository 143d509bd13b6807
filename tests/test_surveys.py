import pytest

from benchmarks import surveys
from pipeline.config import Config
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
    said = surveys.table({"DES r": number | shares | {"nmad_dm": 0.05, "auroc": 0.999}})
    assert said.splitlines()[-1] == (
        "| DES r | 500 | 2.50 | +1.0% | 90.0% ± 2.0% | 90.0% ± 2.0% | 90.0% ± 2.0% "
        "| +0.002 | 0.050 | 0.999 |"
    )
    assert len({line.count("|") for line in said.splitlines()}) == 1
