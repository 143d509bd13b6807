"""Skies of known truth, drawn by GalSim and lenstronomy: surveys, injected arcs, and tests."""
