"""One command a stage: read, compute, write.  Nothing is decided here."""

import argparse
import json
import logging
import sys
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import NamedTuple

from pipeline import batch, io, survey, training
from pipeline.config import read

log = logging.getLogger("pipeline")


class Stage(NamedTuple):
    """One step on one tile: what it does, and which files of the tile's folder it touches."""

    name: str
    work: callable
    reads: tuple[str, ...]
    writes: tuple[str, ...]


STAGES = {}
COMMANDS = (
    survey.simulate_survey,
    survey.merge,
    survey.provenance,
    survey.report,
    survey.verdict,
    survey.selection,
    training.scenes,
    training.train,
    training.export,
    training.score,
    training.compare,
    training.score_figures,
    training.ship,
    training.adapt,
)


def per_tile(reads, writes):
    """Make a function of the config and a tile's folder a stage."""

    def register(work):
        name = work.__name__
        STAGES[name] = Stage(name, work, tuple(reads.split()), tuple(writes.split()))
        return work

    return register


@per_tile("", "exposure.fits")
def ingest(config, tile):
    """Bring a tile's images to our conventions; one that cannot be used is rejected."""
    from pipeline.data import Exposure
    from pipeline.ingest import InputError, ingest

    images = config.tiles[tile.name]
    try:
        exposure = ingest(images, config.ingest, config.detect.band)
    except InputError as error:
        exposure = Exposure.empty(images.image, _rejected(config, tile, error))
    io.write_exposure(tile / "exposure.fits", exposure)


def _rejected(config, tile, error):
    """Say why a tile is rejected, and stop there if the config wants that."""
    if config.on_bad_tile == "stop":
        sys.exit(f"tile {tile.name}: {error}")
    log.warning("tile %s is rejected: %s", tile.name, error)
    return str(error)


@per_tile("exposure.fits", "sources.fits")
def detect(config, tile):
    """Find sources and measure them."""
    from pipeline.catalog import number
    from pipeline.data import Exposure
    from pipeline.detect import detect
    from pipeline.extract import TooMuch

    exact = config.apply.model_copy(update={"precision": "f32"})  # the same on every processor
    network = _opened(config.networks, "unet", exact) if config.detect.hidden else None
    exposure = io.read_exposure(tile / "exposure.fits")
    try:
        found = detect(exposure, config.detect, network)
    except TooMuch as error:
        said = _rejected(config, tile, error)
        found = detect(Exposure.empty(exposure.bands, said), config.detect)
        found.meta["REJECTED"] = said
    io.write_table(tile / "sources.fits", number(found, tile.name))


@per_tile("exposure.fits sources.fits", "cutouts.fits lens_cutouts.fits")
def cut(config, tile):
    """Cut a stamp around every source, for the deblender and for the lens finder."""
    from pipeline.cutouts import cut, deblend_binning, lens_binning

    exposure, sources = _read(tile, "exposure", "sources")
    size, binning = config.cut.size, deblend_binning(sources, config.cut.size)
    io.write_cutouts(tile / "cutouts.fits", cut(exposure, sources, size, binning))
    binning = lens_binning(exposure, sources, config.cut)
    lenses = cut(exposure, sources, config.cut.lens_size, binning)
    io.write_cutouts(tile / "lens_cutouts.fits", lenses)


@per_tile("lens_cutouts.fits", "classify.fits")
def classify(config, tile):
    """Ask the lens finder about every source."""
    from pipeline.models import lens

    said = lens.apply(_network(config, "lens"), *_read(tile, "lens_cutouts"), config.lens)
    io.write_table(tile / "classify.fits", said)


@per_tile(
    "exposure.fits sources.fits cutouts.fits",
    "shares.fits features.npy deblended.fits segmentation.fits",
)
def segment(config, tile):
    """Say whose light every pixel is, and measure the deblended sources."""
    from pipeline.deblend import deblended_flux, label_image
    from pipeline.models import unet
    from pipeline.shares import reconcile

    exposure, sources, cutouts = _read(tile, "exposure", "sources", "cutouts")
    with io.new_records(tile / "features.npy", len(cutouts)) as keep:
        maps = unet.apply(_network(config, "unet"), cutouts, keep)
    maps["SHARE"] = reconcile(maps, cutouts, exposure.flux.shape)
    label, overlap = label_image(exposure, sources, cutouts, maps)
    flux = deblended_flux(exposure, sources, cutouts, maps, overlap)
    io.write_maps(tile / "shares.fits", cutouts.id, cutouts.corner, binning=cutouts.binning, **maps)
    io.write_table(tile / "deblended.fits", flux)
    io.write_images(tile / "segmentation.fits", exposure.wcs, LABEL=label, OVERLAP=overlap)


@per_tile(
    "exposure.fits cutouts.fits shares.fits features.npy", "masks.fits draws.fits uncertainty.fits"
)
def uncertainty(config, tile):
    """Draw many segmentations of every source."""
    from pipeline.deblend import uncertainty_image
    from pipeline.models import punet

    (cutouts,), (wcs, shape) = _read(tile, "cutouts"), io.read_frame(tile / "exposure.fits")
    features = io.read_records(tile / "features.npy")
    said = _shares(tile) | {name: features[name] for name in features.dtype.names}
    maps, draws = punet.apply(_network(config, "punet"), cutouts, said, config.punet)
    image = uncertainty_image(shape, cutouts, maps["TARGET_STD"])
    io.write_masks(tile / "masks.fits", cutouts, maps)
    io.write_table(tile / "draws.fits", draws)
    io.write_images(tile / "uncertainty.fits", wcs, UNCERTAINTY=image)


@per_tile("cutouts.fits shares.fits draws.fits", "photometry.fits")
def photometry(config, tile):
    """Infer the total flux of every source, with its posterior."""
    from pipeline.models import photometry

    cutouts, draws = _read(tile, "cutouts", "draws")
    network = _network(config, "photometry")
    said = photometry.apply(network, cutouts, _shares(tile), draws["flux_draws"])
    io.write_table(tile / "photometry.fits", said)


@per_tile("cutouts.fits sources.fits", "anomaly.fits")
def anomaly(config, tile):
    """Say how unlike the training set every source is."""
    from pipeline.models import anomaly

    cutouts, sources = _read(tile, "cutouts", "sources")
    said = anomaly.apply(_network(config, "anomaly"), cutouts, sources.meta["PSFFWHM"])
    io.write_table(tile / "anomaly.fits", said)


@per_tile(
    "sources.fits classify.fits deblended.fits draws.fits photometry.fits anomaly.fits",
    "catalog.fits",
)
def catalog(config, tile):
    """Join all that is known of the tile's sources."""
    from pipeline.catalog import assemble

    names = "sources", "classify", "deblended", "draws", "photometry", "anomaly"
    io.write_table(tile / "catalog.fits", assemble(_read(tile, *names), tile.name))


@per_tile("exposure.fits sources.fits lens_cutouts.fits", "injections.fits")
def injections(config, tile):
    """Paint arcs onto the tile's galaxies, and ask the lens finder about them."""
    from pipeline import inject
    from pipeline.models import lens

    exposure, (sources,) = io.read_exposure(tile / "exposure.fits", 16), _read(tile, "sources")
    optics = inject.Optics.of(exposure, sources)
    chosen = sources[inject.deflectors(sources, optics, config.inject)]
    read = partial(io.read_cutouts, tile / "lens_cutouts.fits")
    find = partial(lens.apply, _network(config, "lens"), settings=config.lens)
    said = inject.inject(chosen, read, find, optics, config.inject)
    io.write_table(tile / "injections.fits", said)


def _shares(tile):
    """The U-Net's maps of a tile's stamps, by name."""
    from pipeline.models.unet import MAPS

    return dict(zip(MAPS, io.read_maps(tile / "shares.fits", *MAPS)[2:], strict=True))


def _read(tile, *names):
    """Products of a tile, each by the reader of its kind."""
    readers = {
        "exposure": io.read_exposure,
        "cutouts": io.read_cutouts,
        "lens_cutouts": io.read_cutouts,
    }
    return [readers.get(name, io.read_table)(tile / f"{name}.fits") for name in names]


def _network(config, name):
    return _opened(config.networks, name, config.apply)


@cache
def _opened(folder, name, settings):
    """Open a network once for all tiles of a batch."""
    from pipeline.models.engine import load

    return load(folder, name, settings)


def main(argv=None):
    """Run the command named first."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    args = vars(_parser().parse_args(argv))
    args.pop("run")(**args)


def _parser():
    """Parse the command line: a command for each stage, and for each other function of a config."""
    parser = argparse.ArgumentParser(prog="arclet", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for stage in STAGES.values():
        add = _command(commands, stage.work, partial(_run_stage, stage))
        add("--code", default="", help="digest of its source and network")
        add("--on-bad-tile", choices=["reject", "accept", "stop"], help="as in the config")
        add("--record", type=Path, help="file to write when all tiles are done")
        add("tiles", nargs="+", type=Path, help="folder of each tile")
    for work in COMMANDS:
        add = _command(commands, work, work)
        for name, kind in list(signature(work).parameters.items())[1:]:
            if kind.kind is kind.KEYWORD_ONLY:
                add(f"--{name}", type=kind.annotation, required=True)
            else:
                add(name, type=Path)
    return parser


def _command(commands, work, run):
    """Add the command that runs a function; gives the method that adds its arguments."""
    name = work.__name__.replace("_", "-")
    command = commands.add_parser(name, help=work.__doc__.splitlines()[0])
    command.set_defaults(run=run)
    command.add_argument(
        "--config", type=_config, default="{}", help="JSON of the config's sections it depends on"
    )
    return command.add_argument


def _config(text):
    """Config of its JSON, or of the standard input if that is `-`."""
    try:
        return read(json.loads(sys.stdin.read() if text == "-" else text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from None


def _run_stage(stage, *, config, code, tiles, **options):
    """Run a stage over its tiles, and record that all are done."""
    if options["on_bad_tile"]:
        config = config.model_copy(update={"on_bad_tile": options["on_bad_tile"]})
    batch.run(stage, config, code, tiles)
    if options["record"]:
        io.write_json(options["record"], {"tiles": [tile.name for tile in tiles]})


if __name__ == "__main__":
    sys.exit(main())
