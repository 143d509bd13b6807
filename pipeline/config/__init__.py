"""Settings of every stage, with their defaults and limits.

Import-light: the Snakefile loads this module to validate the user's YAML.
"""

import difflib
import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from pipeline.config.inject import Adapt, Inject, Lens, Recover
from pipeline.config.section import TAGS, Fraction, PerBand, Positive, Seed, Settings
from pipeline.config.tile import Tile
from pipeline.config.train import BUILDS_ON, NETWORKS, SCORED, Scenes, Train  # noqa: F401


def _bits(value):
    """Accept 0xFFFF written as a string, as YAML 1.2 readers leave it."""
    return int(value, 0) if isinstance(value, str) else value


class Ingest(Settings):
    """How the survey writes its FITS files."""

    weight_is: Literal["ivar", "rms", "variance", "exposure"] = Field(
        "ivar",
        description="What weight maps hold: ivar, variance, rms, or exposure (any relative weight, "
        "scaled to the noise that is measured).",
    )
    bad_bits: Annotated[int, BeforeValidator(_bits), Field(ge=0)] | None = Field(
        None,
        description="Mask bits that spoil a pixel; if left out 0xFFFF, without planes that an LSST "
        "or HSC header names and that do no harm, as DETECTED; of JWST 1, of ZTF those that mark "
        "no sources, of the Legacy Surveys those of saturated and masked pixels.",
    )
    zero_point: PerBand[float] = Field(
        None,
        description="AB magnitude of 1 count, or the keyword that holds it; one, or {band: one}.",
    )
    pixel_scale: Positive | None = Field(
        None, description="Side of a pixel, for files without WCS [arcsec]."
    )
    gain: PerBand[Positive] = Field(
        None, description="Electrons per count, or the keyword; one, or {band: one}."
    )
    saturation: PerBand[Positive] = Field(
        None, description="Counts at which a pixel saturates, or the keyword; one, or {band: one}."
    )
    fit_sky: bool = Field(True, description="Subtract a sky fitted on a mesh.")
    sky_mesh: int = Field(128, ge=16, description="Side of a mesh cell of sky and noise [pixel].")


class Detect(Settings):
    """What counts as a source."""

    band: str | None = Field(
        None, description="Band to detect in, or several, as r+i; the first one if left out."
    )
    n_sigma: Positive = Field(5.0, description="Threshold of the matched-filter S/N.")
    min_pixels: int | None = Field(
        None,
        gt=0,
        description="Smallest detection in the filtered image [pixel]; if left out 3, fewer where "
        "the PSF is narrower than 2.3 pixels.",
    )
    deblend_levels: int = Field(32, gt=0, description="Thresholds of the deblending.")
    deblend_contrast: Fraction = Field(0.0002, description="Least share of light of a peak.")
    psf_fwhm: Positive | None = Field(
        None, description="PSF full width at half maximum [pixel]; measured if left out."
    )
    hidden: bool = Field(
        True, description="Look, with the U-Net, for sources that hide in the light of others."
    )


class Cut(Settings):
    """Size of the stamps."""

    size: int = Field(64, gt=0, multiple_of=16, description="Side of a deblending stamp [pixel].")
    lens_size: int = Field(
        96, gt=0, multiple_of=16, description="Side of a lens finder's stamp [binned pixel]."
    )
    lens_binning: int | None = Field(
        None, gt=0, description="Pixels binned into one for the lens finder; automatic if left out."
    )


class Apply(Settings):
    """How the networks run."""

    engine: Literal["openvino", "tensorflow"] = Field(
        "openvino", description="Engine of the inference: openvino on CPUs, tensorflow on GPUs."
    )
    precision: Literal["auto", "f32", "bf16"] = Field(
        "auto",
        description="Arithmetic of openvino, f32 or bf16; auto is bf16 where the processor has it.",
    )
    batch_size: int = Field(32, gt=0, description="Stamps computed at once.")


class Punet(Settings):
    """What the probabilistic U-Net is asked."""

    n_draws: int = Field(32, gt=1, description="Segmentations drawn for every source.")
    seed: Seed = Field(0, description="Seed of the draws.")


class Merge(Settings):
    """How the tiles' catalogs become one."""

    radius: Positive = Field(1.0, description="Same source in two tiles, at most [arcsec].")
    known_radius: Positive = Field(3.0, description="Match with a known lens, at most [arcsec].")


class Report(Settings):
    """What the report shows."""

    match_radius: Positive = Field(
        0.6, description="Source and true object are the same, at most [arcsec]."
    )
    stamps: int = Field(24, ge=0, description="Stamps in each mosaic.")
    blends: int = Field(6, ge=0, description="Deblended sources shown.")
    points: int = Field(20_000, gt=0, description="Sources drawn in a figure, at most.")


class Survey(Settings):
    """A small simulated survey of known truth."""

    like: str | None = Field(
        None, description="A survey and its band, as HSC i, whose numbers replace the defaults."
    )
    tiles: int = Field(4, gt=0, description="Number of tiles, laid out in a square.")
    side: int = Field(2048, ge=256, description="Side of a tile [pixel].")
    overlap: int = Field(96, ge=0, description="Overlap of neighbouring tiles [pixel].")
    pixel_scale: Positive = Field(0.26, description="Pixel scale [arcsec].")
    psf_fwhm: Positive = Field(0.65, description="PSF full width at half maximum [arcsec].")
    zero_point: float = Field(27.0, description="AB magnitude of 1 count.")
    sky_rms: Positive = Field(0.045, description="Sky noise of a pixel [count].")
    gain: Positive | None = Field(None, description="Electrons per count; automatic if left out.")
    galaxies_per_arcmin2: Positive = Field(
        30.0, description="Galaxies with an S/N above 10, about."
    )
    stars_per_arcmin2: float = Field(2.5, ge=0, description="Stars between magnitude 15 and 25.")
    lenses_per_tile: int = Field(6, ge=0, description="Strong lenses in a tile.")
    damage: bool = Field(True, description="Whether one tile's file is cut short.")
    seed: Seed = Field(26, description="Seed of the sky.")

    @model_validator(mode="after")
    def _tiles_differ(self):
        if self.overlap >= self.side:
            raise ValueError(f"overlap: {self.overlap} must be less than side: {self.side}")
        return self


def _plain_name(name):
    """Refuse names that a path, a shell or a wildcard could trip over."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
        raise ValueError(f"{name!r} is no name for a file: use letters, digits and _ . + -")
    return name


def _written(name):
    """Take a number as it is written; refuse what YAML reads of nothing, and of no and yes."""
    if name is None:
        raise ValueError("it needs a name (or leave the line out)")
    if isinstance(name, bool):
        raise ValueError("it needs a name (YAML's words, as no and on, in quotes)")
    return str(name)


Name = Annotated[str, BeforeValidator(_written), Field(min_length=1, max_length=100)]


class Config(Settings):
    """The whole of a config file, one section a stage."""

    name: Name = Field("survey", description="Name of the run; products go to results/{name}.")
    tiles: dict[Name, Tile] = Field({}, description="Images of each tile.")
    on_bad_tile: Literal["reject", "accept", "stop"] = Field(
        "reject",
        description="A tile that cannot be used: go on and end with an error status (reject), "
        "go on and end well (accept), or fail that tile's job (stop).",
    )
    tiles_per_job: int = Field(1, gt=0, description="Tiles that one job works through, about.")
    networks: str | None = Field(
        None, description="Folder of networks; the shipped ones if left out."
    )
    truth: str | None = Field(
        None,
        description="Table of what was simulated, to score the catalog: with the columns of the "
        "demo's sky/truth.fits, magnitudes and fluxes those of the detection band.",
    )
    ingest: Ingest = Ingest()
    detect: Detect = Detect()
    cut: Cut = Cut()
    apply: Apply = Apply()
    lens: Lens = Lens()
    punet: Punet = Punet()
    merge: Merge = Merge()
    report: Report = Report()
    survey: Survey = Survey()
    inject: Inject = Inject()
    recover: Recover = Recover()
    adapt: Adapt = Adapt()
    scenes: Scenes = Scenes()
    train: Train = Train()

    @model_validator(mode="after")
    def _names_are_plain(self):
        for name in (self.name, *self.tiles):
            _plain_name(name)
        if self.tiles:
            _have_the_same_bands(self.tiles)
            tile = next(iter(self.tiles.values()))
            averaged = tile.averaged(self.detect.band) or (tile.main(self.detect.band),)
            _know_bands(self.detect.band, averaged, self.ingest, tuple(tile.image))
        return self


def _have_the_same_bands(tiles):
    """Refuse tiles of which not all have the same bands in one order; names an odd one."""
    bands = {name: tuple(tile.image) for name, tile in tiles.items()}
    often = Counter(bands.values())
    by_rarity = sorted(bands, key=lambda name: (often[bands[name]], bands[name]))
    odd, usual = by_rarity[0], by_rarity[-1]
    if bands[odd] != bands[usual]:
        told = (f"{name} has {', '.join(bands[name])}" for name in (odd, usual))
        raise ValueError(f"all tiles need the same bands in the same order; {' but '.join(told)}")


def _know_bands(detection, averaged, ingest, bands):
    """Refuse settings for a band that the tiles do not have."""
    if not set(averaged) <= set(bands) or len(set(averaged)) < len(averaged):
        raise ValueError(
            f"detect.band is {detection!r}; the tiles have {bands}: "
            "name one, or several, each once and without spaces, as r+i"
        )
    for name in ("zero_point", "gain", "saturation"):
        setting = getattr(ingest, name)
        unknown = sorted(set(setting) - set(bands)) if isinstance(setting, dict) else []
        if unknown:
            raise ValueError(f"ingest.{name} names the bands {unknown}; the tiles have {bands}")


def read(values):
    """Make a `Config` of what a user's YAML says.

    Raises
    ------
    ValueError
        With one line for each wrong entry: where it is, what is wrong and what was got.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(map(_explain, error.errors()))) from None


REMEDIES = {  # of pydantic's own words, which speak of Python
    "model_type": "it needs settings of its own, indented below it (a tile, image: {band: path})",
    "dict_type": "it needs an entry for each name, as {band: path}",
    "string_type": "it needs a word (a number in quotes)",
}


def _explain(error):
    """Explain one of pydantic's errors in a line: key, what is wrong, value, remedy."""
    *parents, key = error["loc"] or ("",)
    where = ".".join(str(part) for part in error["loc"] if part not in TAGS) or "config"
    if error["type"] in REMEDIES:
        return f"{where}: {REMEDIES[error['type']]}, not {error['input']!r}"
    if error["type"] != "extra_forbidden":
        got = "" if isinstance(error["input"], dict) else f", not {error['input']!r}"
        return f"{where}: {error['msg'].removeprefix('Value error, ')}{got}"
    known = list(_section(parents).model_fields)
    close = difflib.get_close_matches(str(key), known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"{where}: there is no such setting; {remedy}"


def _section(path):
    """Class of the section at the end of a path of keys."""
    section = Config
    for key in path:
        field = section.model_fields.get(key) if section is not Tile else None
        section = field.annotation if field and field.annotation != dict[Name, Tile] else Tile
    return section
