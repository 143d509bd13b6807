"""Divide the light of sources that overlap, by what the networks say of their stamps."""
