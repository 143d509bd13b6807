"""The report: one page that shows an astronomer what the survey holds and how well."""

from pipeline.report.choose import choose, thin
from pipeline.report.facts import TileFacts, doubts, tile_facts
from pipeline.report.page import Findings, write_page

__all__ = ["Findings", "TileFacts", "choose", "doubts", "thin", "tile_facts", "write_page"]
