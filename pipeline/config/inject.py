"""Settings of the lens finder, and of what is painted onto a survey's own images."""

from math import inf
from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.config.section import Fraction, Positive, Seed, Settings

FEWEST = 50  # galaxies, without which nothing can be learnt


def _rising(limits):
    """Refuse a range that is empty, or without end, in which nothing can be drawn."""
    if not limits[0] < limits[1] < inf:
        raise ValueError("the first number must be below the second, and that finite")
    return limits


Range = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]


class Lens(Settings):
    """What the lens finder is asked."""

    prevalence: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-3, description="Share of lenses among the sources, which calibrates p_lens."
    )
    threshold: Fraction | None = Field(
        None,
        description="p_lens above which a source is a candidate; if left out, the one that 1 in "
        "1000 of the simulated non-lenses exceeds.",
    )
    turns: bool = Field(
        False, description="Average over a stamp's eight orientations; eight times slower."
    )


class Inject(Settings):
    """Arcs painted onto a survey's own galaxies, to see which of them the lens finder finds."""

    galaxies: int = Field(400, gt=0, description="Galaxies of a tile that get arcs, at most.")
    per_galaxy: int = Field(8, gt=0, description="Sets of arcs painted onto each, one at a time.")
    min_snr: Positive = Field(40.0, description="S/N of flux_auto of such a galaxy, at least.")
    min_size: Positive = Field(
        0.65, description="Its half-light radius, at least, in widths (FWHM) of the PSF."
    )
    einstein_radius: Range = Field(
        (0.3, 3.0),
        description="Range of the Einstein radii, drawn evenly in logarithm [arcsec]; none is "
        "above a third of the side of the lens finder's stamps.",
    )
    arc_snr: Range = Field(
        (3.0, 200.0),
        description="Range of the arcs' S/N, drawn evenly in logarithm; none outshines its galaxy.",
    )
    seed: Seed = Field(0, description="Seed of the arcs.")


PAINTED_WITH = Inject.model_fields.keys() - {"per_galaxy", "seed"}  # of `adapt`, but for its own


class Recover(Settings):
    """Galaxies painted onto a survey's own tiles, to see which are found, and how bright."""

    galaxies: int = Field(1000, gt=0, description="Galaxies painted onto a tile at once, at most.")
    passes: int = Field(1, gt=0, description="Times that each tile is painted and searched anew.")
    size: Range = Field(
        (0.2, 1.5),
        description="Range of their half-light radii, drawn evenly in logarithm, in widths (FWHM) "
        "of the PSF.",
    )
    snr: Range = Field(
        (3.0, 1000.0),
        description="Range of their S/N, drawn evenly in logarithm; in bins of magnitude those "
        "below it count as missed.",
    )
    seed: Seed = Field(0, description="Seed of the galaxies.")


class Adapt(Settings):
    """The lens finder's training on the arcs of `inject`."""

    galaxies: int = Field(3000, ge=FEWEST, description="Galaxies of the survey, at most.")
    per_galaxy: int = Field(2, gt=0, description="Sets of arcs painted onto each galaxy.")
    epochs: int = Field(12, gt=0, description="Passes over the stamps, at most.")
    batch_size: int = Field(16, gt=0, description="Stamps of a step.")
    learning_rate: Positive = Field(3e-4, description="Largest rate of the schedule.")
    patience: int = Field(4, gt=0, description="Epochs without gain before training stops.")
    seed: Seed = Field(1, description="Seed of the arcs and of the batches.")
