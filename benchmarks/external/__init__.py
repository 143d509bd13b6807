"""Tests of the chain on images that no training saw: ``python -m benchmarks.external``."""
