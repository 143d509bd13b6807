"""The report: one page that shows an astronomer what the survey holds and how well."""

from pipeline.report.choose import choose
from pipeline.report.facts import TileFacts, doubts, left_out, tile_facts
from pipeline.report.page import Findings, write_page

__all__ = ["Findings", "TileFacts", "choose", "doubts", "left_out", "tile_facts", "write_page"]
