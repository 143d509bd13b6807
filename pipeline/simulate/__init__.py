"""Scenes of known truth: training sets of blends and of lenses, and a small survey."""
