"""Find the sources of an exposure and measure them."""
