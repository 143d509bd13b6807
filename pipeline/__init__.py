"""Find, deblend and measure galaxies and strong lenses in survey images."""
