"""Turn other people's FITS files into an exposure."""

from pipeline.ingest.mishaps import InputError
from pipeline.ingest.tile import ingest

__all__ = ["InputError", "ingest"]
