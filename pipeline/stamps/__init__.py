"""Stamps of a tile: cut, kept in files, and what is said of them brought back to its pixels."""
