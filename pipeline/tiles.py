"""The stages, each a command on a tile: read, compute, write.  Nothing is decided here."""

import logging
import sys
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from pipeline import io

log = logging.getLogger("pipeline")


class Stage(NamedTuple):
    """One step on one tile: what it does, and which files of the tile's folder it touches."""

    name: str
    work: callable
    reads: tuple[str, ...]
    writes: tuple[str, ...]


STAGES = {}
ON_REQUEST = "injections", "recovered"  # stages without which a catalog is made


def per_tile(reads, writes):
    """Make a function of the config and a tile's folder a stage."""

    def register(work):
        name = work.__name__
        STAGES[name] = Stage(name, work, tuple(reads.split()), tuple(writes.split()))
        return work

    return register


@per_tile("", "exposure.fits inputs.json")
def ingest(config, tile):
    """Bring a tile's images to our conventions; one that cannot be used is rejected."""
    from pipeline.data import Exposure
    from pipeline.ingest import InputError, ingest
    from pipeline.planning.inputs import fingerprints

    images = config.tiles[tile.name]
    try:
        exposure = ingest(images, config.ingest, config.detect.band)
    except InputError as error:
        bands = images.bands(config.detect.band)
        exposure = Exposure.empty(bands, _rejected(config, tile, error))
    io.write_exposure(tile / "exposure.fits", exposure)
    io.write_json(tile / "inputs.json", fingerprints(images))


def _rejected(config, tile, error):
    """Say why a tile is rejected, and stop there if the config wants that."""
    if config.on_bad_tile == "stop":
        sys.exit(f"tile {tile.name}: {error}")
    log.warning("tile %s is rejected: %s", tile.name, error)
    return str(error)


@per_tile("exposure.fits", "sources.fits behind.fits")
def detect(config, tile, psf=None):
    """Find sources and measure them; the PSF too if it is left out."""
    from pipeline.catalogs.catalog import number
    from pipeline.data import Exposure
    from pipeline.detection.detect import detect
    from pipeline.detection.extract import TooMuch

    exact = config.apply.model_copy(update={"precision": "f32"})  # the same on every processor
    network = _opened(config.networks, "unet", exact) if config.detect.hidden else None
    exposure = io.read_exposure(tile / "exposure.fits")
    try:
        found, behind = detect(exposure, config.detect, network, psf)
    except TooMuch as error:
        said = _rejected(config, tile, error)
        found, behind = detect(Exposure.empty(exposure.bands, said), config.detect)
        found.meta["REJECTED"] = said
    io.write_table(tile / "sources.fits", number(found, tile.name))
    io.write_behind(tile / "behind.fits", exposure, behind)


@per_tile("exposure.fits sources.fits behind.fits", "cutouts.fits lens_cutouts.fits")
def cut(config, tile):
    """Cut a stamp around every source, for the deblender and for the lens finder."""
    from pipeline.pixels.gaps import spanned
    from pipeline.stamps.behind import cut_without
    from pipeline.stamps.cutouts import cut, deblend_binning, lens_binning

    exposure, sources, behind = _read(tile, "exposure", "sources", "behind")
    exposure = spanned(exposure)
    size, binning = config.cut.size, deblend_binning(sources, config.cut.size)
    _cut(tile / "cutouts.fits", partial(cut_without, exposure, behind), sources, size, binning)
    size, binning = config.cut.lens_size, lens_binning(exposure, sources, config.cut)
    _cut(tile / "lens_cutouts.fits", partial(cut, exposure), sources, size, binning)


def _cut(path, cut, sources, size, binning):
    """Cut a stamp around every source, some at a time."""
    binning = np.broadcast_to(binning, len(sources))
    with io.new_cutouts(path, cut(sources[:0], size, binning[:0]), len(sources)) as keep:
        for rows in io.parts(len(sources)):
            keep(cut(sources[rows], size, binning[rows]))


@per_tile("lens_cutouts.fits sources.fits", "classify.fits")
def classify(config, tile):
    """Ask the lens finder about every source."""
    from pipeline.catalogs.catalog import flux_snr
    from pipeline.models import lens

    (cutouts, sources), network = _read(tile, "lens_cutouts", "sources"), _network(config, "lens")
    snr, rows = flux_snr(sources, "flux_auto"), io.parts(len(cutouts))
    said = [lens.apply(network, cutouts[some], config.lens, snr[some]) for some in rows]
    io.write_table(tile / "classify.fits", _stacked(said))


@per_tile(
    "exposure.fits sources.fits behind.fits cutouts.fits",
    "shares.fits features.npy deblended.fits segmentation.fits",
)
def segment(config, tile):
    """Say whose light every pixel is, and measure the deblended sources."""
    from astropy.table import hstack

    from pipeline.deblending import colours
    from pipeline.deblending.deblend import deblended_flux
    from pipeline.deblending.footprints import crowding, footprints, label_image
    from pipeline.deblending.shares import Front, reconcile
    from pipeline.models import unet

    exposure, sources, behind, cutouts = _read(tile, "exposure", "sources", "behind", "cutouts")
    front, names = Front.of(behind, exposure, sources), [*unet.MAPS, *colours.names(cutouts)]
    with io.scratch(tile, cutouts.flux.shape[:3], *dict.fromkeys(names)) as maps:
        with io.new_records(tile / "features.npy", len(cutouts)) as keep:
            for rows in io.parts(len(cutouts)):
                said = unet.apply(_network(config, "unet"), cutouts[rows], keep)
                for name in unet.MAPS:
                    maps[name][rows] = said[name]
        reconcile(maps, cutouts, exposure.flux.shape, front)
        colours.colour(maps, cutouts, exposure.flux.shape, front)
        claims = footprints(exposure, sources, cutouts, maps)
        label, overlap = label_image(claims, sources, exposure.flux.shape[:2])
        crowd = crowding(claims, len(sources), overlap)
        share = [maps[name] for name in colours.names(cutouts)]
        flux = deblended_flux(exposure, sources, cutouts, share, front)
        places = cutouts.id, cutouts.corner
        io.write_maps(tile / "shares.fits", *places, binning=cutouts.binning, **maps)
    io.write_table(tile / "deblended.fits", hstack([flux, crowd]))
    io.write_images(tile / "segmentation.fits", exposure.wcs, LABEL=label, OVERLAP=overlap)


@per_tile(
    "exposure.fits cutouts.fits shares.fits features.npy", "masks.fits draws.fits uncertainty.fits"
)
def uncertainty(config, tile):
    """Draw many segmentations of every source."""
    from pipeline.deblending.colours import names, shared
    from pipeline.deblending.deblend import raise_to
    from pipeline.models import punet

    (cutouts,), frame = _read(tile, "cutouts"), io.read_frame(tile / "exposure.fits")
    maps = io.open_maps(tile / "shares.fits", "TARGET", *names(cutouts))
    features = io.read_records(tile / "features.npy")
    image, tables = np.zeros(frame.shape, "f4"), []
    with io.new_masks(tile / "masks.fits", cutouts, *punet.MASKS) as keep:
        for rows in io.parts(len(cutouts)):
            some, kept = cutouts[rows], features[rows]
            said = shared(maps, cutouts, rows) | {name: kept[name] for name in kept.dtype.names}
            masks, draws = punet.apply(_network(config, "punet"), some, said, config.punet)
            raise_to(image, some, masks["TARGET_STD"])
            keep(rows, masks)
            tables.append(draws)
    io.write_table(tile / "draws.fits", _stacked(tables))
    io.write_images(tile / "uncertainty.fits", frame.wcs, UNCERTAINTY=image)


@per_tile("sources.fits cutouts.fits shares.fits deblended.fits draws.fits", "photometry.fits")
def photometry(config, tile):
    """Infer the total flux of every source, with its posterior."""
    from pipeline.deblending.colours import names, shared
    from pipeline.models import photometry
    from pipeline.models.faint_bands import complete

    sources, cutouts, measured = _read(tile, "sources", "cutouts", "deblended")
    network, said = _network(config, "photometry"), []
    maps = io.open_maps(tile / "shares.fits", "TARGET", "NEIGHBOUR", *names(cutouts))
    draws, before = io.read_table(tile / "draws.fits")["flux_draws"], np.asarray(sources["before"])
    for rows in io.parts(len(cutouts)):
        known = shared(maps, cutouts, rows), draws[rows], before[rows]
        said.append(photometry.apply(network, cutouts[rows], *known))
    io.write_table(tile / "photometry.fits", complete(_stacked(said), measured, cutouts.reference))


@per_tile("cutouts.fits sources.fits", "anomaly.fits")
def anomaly(config, tile):
    """Say how unlike the training set every source is."""
    from pipeline.models import anomaly

    cutouts, sources = _read(tile, "cutouts", "sources")
    network, fwhm = _network(config, "anomaly"), sources.meta["PSFFWHM"]
    said = [anomaly.apply(network, cutouts[rows], fwhm) for rows in io.parts(len(cutouts))]
    io.write_table(tile / "anomaly.fits", _stacked(said))


@per_tile(
    "sources.fits classify.fits deblended.fits draws.fits photometry.fits anomaly.fits",
    "catalog.fits",
)
def catalog(config, tile):
    """Join all that is known of the tile's sources."""
    from pipeline.catalogs.catalog import assemble

    names = "sources", "classify", "deblended", "draws", "photometry", "anomaly"
    io.write_table(tile / "catalog.fits", assemble(_read(tile, *names), tile.name))


@per_tile("exposure.fits sources.fits lens_cutouts.fits", "injections.fits")
def injections(config, tile):
    """Paint arcs onto the tile's galaxies, and ask the lens finder about them."""
    from pipeline.injection import inject
    from pipeline.injection.optics import Optics
    from pipeline.models import lens

    exposure, (sources,) = io.read_exposure(tile / "exposure.fits", 16), _read(tile, "sources")
    optics = Optics.of(exposure, sources)
    chosen = sources[inject.deflectors(sources, optics, config.inject)]
    read = partial(io.read_cutouts, tile / "lens_cutouts.fits")
    find = partial(lens.apply, _network(config, "lens"), settings=config.lens)
    said = inject.inject(chosen, read, find, optics, config.inject)
    io.write_table(tile / "injections.fits", said)


@per_tile("exposure.fits sources.fits", "recovered.fits")
def recovered(config, tile):
    """Paint galaxies onto the tile, and see what the chain makes of them."""
    from pipeline.injection import recover
    from pipeline.injection.optics import Optics

    (exposure, before), found = _read(tile, "exposure", "sources"), []
    optics = Optics.of(exposure, before)
    search = partial(detect, psf=optics.psf)
    for i in range(config.recover.passes):
        key = f"{tile.name} {i}"
        painted, truth = recover.paint(exposure, before, optics, config.recover, key)
        with io.empty_folder(tile / "recover") as again:
            io.write_exposure(again / "exposure.fits", painted)
            for stage in (search, cut, segment, uncertainty, photometry):
                stage(config, again)
            after = _read(again, "sources", "photometry")
        found.append(recover.recovered(truth, before, after, exposure))
    io.write_table(tile / "recovered.fits", _stacked(found))


def _read(tile, *names):
    """Products of a tile, each by the reader of its kind."""
    readers = {
        "exposure": io.read_exposure,
        "behind": io.read_behind,
        "cutouts": io.open_cutouts,
        "lens_cutouts": io.open_cutouts,
    }
    return [readers.get(name, io.read_table)(tile / f"{name}.fits") for name in names]


def _stacked(tables):
    """Join tables of some sources each."""
    from astropy.table import vstack

    return vstack(tables, join_type="exact", metadata_conflicts="error")


def _network(config, name):
    return _opened(config.networks, name, config.apply)


@cache
def _opened(folder, name, settings):
    """Open a network once for all tiles of a batch."""
    from pipeline.models.engine import load

    return load(folder, name, settings)
