"""One command a stage: read, compute, write.  Nothing is decided here."""

import argparse
import logging
import sys
from pathlib import Path
from typing import NamedTuple

from pipeline import batch, io

log = logging.getLogger("pipeline")


class Stage(NamedTuple):
    """One step on one tile: what it does, and the files of the tile's folder it reads and writes."""

    name: str
    work: callable
    reads: tuple[str, ...]
    writes: tuple[str, ...]


STAGES = {}


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
        if config.on_bad_tile == "stop":
            raise
        log.warning("tile %s is rejected: %s", tile.name, error)
        exposure = Exposure.empty(images.image, str(error))
    io.write_exposure(tile / "exposure.fits", exposure)


@per_tile("exposure.fits", "sources.fits")
def detect(config, tile):
    """Find sources and measure them."""
    from pipeline.catalog import number
    from pipeline.detect import detect

    found = detect(io.read_exposure(tile / "exposure.fits"), config.detect)
    io.write_table(tile / "sources.fits", number(found, tile.name))


@per_tile("exposure.fits sources.fits", "cutouts.fits lens_cutouts.fits")
def cut(config, tile):
    """Cut a stamp around every source, for the deblender and for the lens finder."""
    from pipeline.cutouts import cut, lens_binning

    exposure, sources = _read(tile, "exposure", "sources")
    binning = lens_binning(exposure, sources, config.cut)
    io.write_cutouts(tile / "cutouts.fits", cut(exposure, sources, config.cut.size))
    lenses = cut(exposure, sources, config.cut.lens_size, binning)
    io.write_cutouts(tile / "lens_cutouts.fits", lenses)


@per_tile("lens_cutouts.fits", "classify.fits")
def classify(config, tile):
    """Ask the lens finder about every source."""
    from pipeline.models import lens

    said = lens.apply(_network(config, "lens"), *_read(tile, "lens_cutouts"), config.lens)
    io.write_table(tile / "classify.fits", said)


@per_tile("exposure.fits sources.fits cutouts.fits", "shares.fits deblended.fits segmentation.fits")
def segment(config, tile):
    """Say whose light every pixel is, and measure the deblended sources."""
    from pipeline.deblend import deblended_flux, label_image
    from pipeline.models import unet

    exposure, sources, cutouts = _read(tile, "exposure", "sources", "cutouts")
    maps = unet.apply(_network(config, "unet"), cutouts)
    label, overlap = label_image(exposure, sources, cutouts, maps)
    flux = deblended_flux(exposure, sources, cutouts, maps, overlap)
    io.write_maps(tile / "shares.fits", cutouts.id, cutouts.corner, **maps)
    io.write_table(tile / "deblended.fits", flux)
    io.write_images(tile / "segmentation.fits", exposure.wcs, LABEL=label, OVERLAP=overlap)


@per_tile("exposure.fits sources.fits cutouts.fits", "masks.fits draws.fits uncertainty.fits")
def uncertainty(config, tile):
    """Draw many segmentations of every source."""
    from pipeline.deblend import uncertainty_image
    from pipeline.models import punet

    exposure, sources, cutouts = _read(tile, "exposure", "sources", "cutouts")
    maps, draws = punet.apply(_network(config, "punet"), cutouts, sources, config.punet)
    image = uncertainty_image(exposure, cutouts, maps["TARGET_STD"])
    io.write_maps(tile / "masks.fits", cutouts.id, cutouts.corner, **maps)
    io.write_table(tile / "draws.fits", draws)
    io.write_images(tile / "uncertainty.fits", exposure.wcs, UNCERTAINTY=image)


@per_tile("cutouts.fits shares.fits deblended.fits draws.fits", "photometry.fits")
def photometry(config, tile):
    """Infer the total flux of every source, with its posterior."""
    from pipeline.models import photometry

    cutouts, deblended, draws = _read(tile, "cutouts", "deblended", "draws")
    _, _, target, share = io.read_maps(tile / "shares.fits", "TARGET", "SHARE")
    network = _network(config, "photometry")
    said = photometry.apply(network, cutouts, target, share, deblended, draws)
    io.write_table(tile / "photometry.fits", said)


@per_tile("cutouts.fits", "anomaly.fits")
def anomaly(config, tile):
    """Say how unlike the training set every source is."""
    from pipeline.models import anomaly

    said = anomaly.apply(_network(config, "anomaly"), *_read(tile, "cutouts"))
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


def _read(tile, *names):
    """Products of a tile, each by the reader of its kind."""
    readers = {
        "exposure": io.read_exposure,
        "cutouts": io.read_cutouts,
        "lens_cutouts": io.read_cutouts,
    }
    return [readers.get(name, io.read_table)(tile / f"{name}.fits") for name in names]


def _network(config, name):
    from pipeline.models.engine import load

    return load(config.networks, name, config.apply)


def main(argv=None):
    """Run the stage named first."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(prog="arclet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")
    for name, stage in STAGES.items():
        command = commands.add_parser(name, help=stage.work.__doc__.splitlines()[0])
        command.add_argument("--config", default="{}", help="JSON of the sections it depends on")
        command.add_argument("tiles", nargs="+", type=Path, help="folder of each tile")
    args = parser.parse_args(argv)
    batch.run(STAGES[args.command], args.config, args.tiles)


if __name__ == "__main__":
    sys.exit(main())
