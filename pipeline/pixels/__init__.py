"""Pixels of an image: those that were lost, bridged or filled, and sums of those in apertures."""
