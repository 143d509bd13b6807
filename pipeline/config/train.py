"""Settings of what networks are trained on, and how."""

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.config.section import Positive, Seed, Settings

VALIDATED = 4096  # stamps of which an epoch's loss is measured, but for larger batches
Side = Annotated[int, Field(gt=0, le=128, multiple_of=16)]  # at most that of the scenes' canvas
BUILDS_ON = {"punet": ("unet",), "photometry": ("unet", "punet")}  # of what is trained before
SCORED = "unet", "punet", "photometry", "lens", "peers"  # whose scores are drawn


class Scenes(Settings):
    """The simulated scenes that networks are trained, calibrated and scored on."""

    blends: int = Field(
        4000, ge=12, description="Stamps of blended sources of the validation and of the test set."
    )
    lenses: int = Field(
        4000, gt=0, description="Stamps of lenses and non-lenses of each of these sets."
    )
    shard: int = Field(12_000, gt=0, description="Stamps in one file, at most.")
    size: Side = Field(64, description="Side of a stamp of blends [pixel].")
    lens_size: Side = Field(96, description="Side of a stamp for the lens finder [pixel].")
    seed: Seed = Field(1, description="Seed of the scenes of both sets.")

    def side(self, kind):
        """Side of the stamps of a kind: ``blends`` or ``lenses``."""
        return self.lens_size if kind == "lenses" else self.size

    def shards(self, kind):
        """Files into which each set of a kind is drawn: ``blends`` or ``lenses``."""
        return -(-getattr(self, kind) // self.shard)

    def share(self, kind, shard):
        """Stamps of one of those files, which are nearly alike."""
        before, after = (getattr(self, kind) * i // self.shards(kind) for i in (shard, shard + 1))
        return after - before


class Fit(Settings):
    """How one network is trained."""

    stamps: int = Field(40_000, gt=0, description="Stamps that an epoch learns from.")
    replay: int = Field(
        1, gt=0, description="Times that each stamp is learnt from; then new ones are drawn."
    )
    epochs: int = Field(12, ge=0, description="Of none, `start` is calibrated and scored as it is.")
    batch_size: int = Field(64, gt=0, description="Stamps of a step.")
    learning_rate: Positive = Field(2e-3, description="Largest rate of the schedule.")
    patience: int = Field(5, gt=0, description="Epochs without gain before training stops.")
    filters: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (16, 32, 64),
        min_length=2,
        max_length=4,
        description="Channels of each scale, of two to four; those of `start`, if any.",
    )
    start: str | None = Field(
        None, description="Folder of networks whose training goes on, or `shipped`; else a new one."
    )
    seed: Seed = Field(0, description="Of the weights a training begins with, and of its scenes.")

    @model_validator(mode="after")
    def _trains_or_starts(self):
        if not self.epochs and not self.start:
            raise ValueError("epochs: 0 needs `start`, networks to be taken as they are")
        if self.stamps < self.batch_size:
            raise ValueError(f"stamps: {self.stamps} is less than one batch ({self.batch_size})")
        return self

    @property
    def folder(self):
        """Folder that `start` names; None for the shipped networks'."""
        return None if self.start == "shipped" else self.start

    @property
    def steps(self):
        """Batches of an epoch."""
        return self.stamps // self.batch_size

    @property
    def validated(self):
        """Stamps of which an epoch's loss is measured: one batch at least."""
        return min(max(VALIDATED, self.batch_size), self.stamps)


class LensFit(Fit):
    """How the lens finder is trained."""

    members: int = Field(4, gt=0, description="Networks of the ensemble.")


class Train(Settings):
    """How the networks are trained."""

    lens: LensFit = LensFit()
    unet: Fit = Fit()
    punet: Fit = Fit()
    photometry: Fit = Fit()
    anomaly: Fit = Fit()

    @model_validator(mode="after")
    def _learns_what_is_below_it(self):
        for name, below in BUILDS_ON.items():
            fit = getattr(self, name)
            for other in () if fit.epochs else below:
                under = getattr(self, other)
                if under.epochs or under.start != fit.start:
                    what = "trained" if under.epochs else f"another's ({under.start})"
                    raise ValueError(
                        f"{name}: epochs: 0 takes it as it is, but it builds on {other}, which is "
                        f"{what}: give it epochs too"
                    )
        return self


NETWORKS = tuple(Train.model_fields)
