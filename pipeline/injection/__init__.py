"""Arcs painted onto a survey's own galaxies: what the lens finder finds of them, and learns."""
