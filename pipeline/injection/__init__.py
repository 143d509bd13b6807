"""Arcs and galaxies painted onto a survey's own images: what is found of them, and learnt."""
