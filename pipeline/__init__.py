"""Find, deblend and measure galaxies and strong lenses in survey images."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights"  # the networks that come with it
