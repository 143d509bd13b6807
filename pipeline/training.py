"""The commands of the training side: read, compute, write.  Nothing is decided here."""

from pathlib import Path

import numpy as np

from pipeline import io

KINDS = "blends", "lenses"
SPLITS = "train", "validation", "test"


def scenes(config, folder, *, kind: str, split: str, shard: int):
    """Draw a shard of a training set: ``cutouts.fits``, ``truth.fits``, ``light.fits`` of blends."""
    settings = config.scenes
    rng = np.random.default_rng((settings.seed, KINDS.index(kind), SPLITS.index(split), shard))
    total = getattr(settings, kind) * (1 if split == "train" else settings.held_out)
    n = max(1, round(total / settings.shards))
    folder = Path(folder)
    if kind == "blends":
        from pipeline.simulate.blends import draw_blends

        cutouts, light, truth = draw_blends(n, settings.size, rng)
        io.write_light(folder / "light.fits", light)
    else:
        from pipeline.simulate.lenses import draw_lenses

        cutouts, truth = draw_lenses(n, settings.size, rng)
    io.write_cutouts(folder / "cutouts.fits", cutouts)
    io.write_table(folder / "truth.fits", truth)
