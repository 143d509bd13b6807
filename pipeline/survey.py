"""The commands on a survey as a whole: read, compute, write.  Nothing is decided here."""

import logging
import sys
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import io

log = logging.getLogger(__name__)


def init(name, files):
    """Write a config for images, weights and masks; names and headers tell which is whose."""
    import yaml

    from pipeline.config import read
    from pipeline.planning.propose import propose

    config, notes = propose(name, files)
    path = Path(f"{name}.yaml")
    if not config["tiles"] or path.exists():
        why = f"{path} is there already" if path.exists() else "no image is among the files"
        raise SystemExit("\n".join([*notes, f"{why}: nothing was written"]))
    try:
        read(config)
    except ValueError as error:
        raise SystemExit(f"{error}: nothing was written") from None
    io.write_text(path, yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=99))
    weight = config.get("ingest", {}).get("weight_is")
    what = f"{len(config['tiles'])} tiles" + (f", weights taken for {weight}" if weight else "")
    log.info("%s", "\n".join([f"{path}: {what}; please read it before you use it", *notes]))


def cutouts(results, folder, ids):
    """Write a FITS file of each source by id, or of the systems that the report shows."""
    from pipeline.config import read
    from pipeline.report import choose

    path = results / "catalog.fits"
    catalog = io.read_table(path)
    if not ids:
        settings = read(io.read_json(results / "provenance.json")["config"]).report
        ids = catalog["id"][choose(catalog, settings)["lenses"]].tolist()
        if not ids:
            found = f"{len(catalog)} sources, report.stamps: {settings.stamps}"
            raise SystemExit(f"{path}: the report shows no systems ({found}); name an ID")
    if unknown := sorted(set(ids) - set(catalog["id"].tolist())):
        raise SystemExit(f"{path}: no source has the id {unknown[0]}")
    rows = catalog[np.isin(catalog["id"], ids)]
    for name in sorted(set(rows["tile"])):
        _cut_out(results / "tiles" / name, rows[rows["tile"] == name], folder)
    log.info("%s: %d files", folder, len(rows))


def _cut_out(tile, rows, folder):
    """Write the cutouts of some sources of a tile."""
    from pipeline.deblending.colours import names as of_bands
    from pipeline.deblending.own import own_light
    from pipeline.deblending.shares import Front
    from pipeline.stamps.masks import from_squares

    exposure, sources = (
        io.read_exposure(tile / "exposure.fits"),
        io.read_table(tile / "sources.fits"),
    )
    stamps, behind = io.open_cutouts(tile / "cutouts.fits"), io.read_behind(tile / "behind.fits")
    share = [*io.open_maps(tile / "shares.fits", *of_bands(stamps)).values()]
    names = "TARGET", "TARGET_STD"
    ids, corner, *masks = io.read_maps(tile / "masks.fits", *names, ids=rows["id"])
    some = stamps[np.isin(stamps.id, ids)]
    masks = zip(*(from_squares(some, squares, corner) for squares in masks), strict=True)
    maps = {one: dict(zip(names, two, strict=True)) for one, two in zip(ids, masks, strict=True)}
    front = Front.of(behind, exposure, sources)
    for one, window, light in own_light(ids, exposure, stamps, share, front):
        row = rows[rows["id"] == one]
        io.write_cutout(folder / f"{one}.fits", window, light, maps[one], row)


def merge(config, manifest, catalog, parquet, reasons):
    """Make one catalog of the tiles', and list the tiles that were rejected."""
    from importlib import metadata

    from pipeline.catalogs.merge import merge, rejected

    tiles = io.tile_folders(manifest)
    why = {tile.name: _rejection(tile) for tile in tiles}
    bad = [f"{name}: {said}" for name, said in why.items() if said]
    if bad and config.on_bad_tile == "stop":
        raise SystemExit("\n".join(["on_bad_tile is stop, and these tiles were rejected", *bad]))
    tables = {tile: io.read_table(tile / "catalog.fits") for tile in tiles}
    good = (tile for tile in tiles if not why[tile.name])
    coverages = {tile.name: _coverage(tile, tables[tile]) for tile in good}
    merged = merge(list(tables.values()), coverages, config.merge)
    merged.meta |= {"SURVEY": config.name, "ARCLET": metadata.version("arclet")}
    merged.meta |= {"PREVALEN": config.lens.prevalence, "RADESYS": "ICRS"}
    io.write_table(catalog, merged)
    io.write_table(parquet, merged)
    io.write_csv(reasons, rejected(why))


def _rejection(tile):
    """Why a tile was rejected when it came in, or when it was searched; empty for a good one."""
    said = (io.read_rejection(tile / name) for name in ("exposure.fits", "sources.fits"))
    return next(filter(None, said), "")


def _coverage(tile, catalog):
    """Where the usable pixels of a tile's detection band lie."""
    from pipeline.catalogs.coverage import STEP, coverage

    path = tile / "exposure.fits"
    band = int(catalog.meta.get("DETBAND", 0))
    found = coverage(io.read_exposure(path, STEP), io.read_frame(path), band)
    return found._replace(usable=partial(io.read_usable, path, band))


def simulate_survey(config, folder):
    """Simulate a small survey of known truth, one tile of it damaged."""
    from pipeline.simulate.camera import like
    from pipeline.simulate.delivery import cut_short, deliver
    from pipeline.simulate.sky import draw_sky
    from pipeline.simulate.survey import draw_tiles, truth

    settings = like(config.survey)
    sky, seen = draw_sky(settings), {}
    for tile in draw_tiles(settings, sky):
        seen[tile.name] = tile.seen
        deliver(folder / f"{tile.name}.fits", tile)
    if config.survey.damage:
        cut_short(folder / f"{tile.name}.fits")
        del seen[tile.name]
    io.write_table(folder / "truth.fits", truth(sky, seen))


def provenance(config, manifest, path):
    """Write down what the catalog comes from: software, settings, networks, input files."""
    from datetime import UTC, datetime

    from pipeline.catalogs.provenance import provenance

    tiles = io.tile_folders(manifest)
    read = {tile.name: io.read_json(tile / "inputs.json") for tile in tiles}
    io.write_json(path, provenance(config, datetime.now(UTC), read))


def report(config, manifest, catalog, origin, page):
    """Show what the survey holds, and how well it was done, on one page."""
    from pipeline import report
    from pipeline.models.engine import load
    from pipeline.models.lens import threshold

    tiles = {tile.name: tile for tile in io.tile_folders(manifest)}
    merged, facts = io.read_table(catalog), _facts(tiles)
    chosen = report.choose(merged, config.report)
    found = report.Findings(
        name=config.name,
        catalog=merged,
        tiles=facts,
        threshold=threshold(load(config.networks, "lens", config.apply), config.lens),
        chosen=chosen,
        scored=_scored(config, merged, facts),
        provenance=io.read_json(origin),
        settings=config.report,
        lenses=_stamps(tiles, merged[chosen["lenses"]], "lens_cutouts.fits", facts),
        strangest=_stamps(tiles, merged[chosen["strangest"]], "cutouts.fits", facts),
        blends=_blends(tiles, merged[chosen["blends"]], facts),
    )
    io.write_text(page, report.write_page(found))


def _facts(tiles):
    """What the report says of each tile."""
    from pipeline import report
    from pipeline.catalogs.coverage import STEP
    from pipeline.catalogs.known import known_lenses

    lenses = known_lenses()
    return [
        report.tile_facts(
            name,
            io.read_exposure(tile / "exposure.fits", STEP),
            io.read_frame(tile / "exposure.fits"),
            io.read_table(tile / "sources.fits"),
            lenses,
        )
        for name, tile in tiles.items()
    ]


def _scored(config, merged, facts):
    """How the catalog compares with the truth, where that is known."""
    from pipeline.comparison import truth

    if not config.truth:
        return None
    good = [fact.name for fact in facts if not fact.rejected]
    return truth.compare(merged, io.read_table(config.truth), good, config.report.match_radius)


def _stamps(tiles, rows, product, facts):
    """Stamps of the chosen sources, by id."""
    from pipeline.report.stamps import pick

    scale, found = {fact.name: fact.pixel_scale for fact in facts}, {}
    for name in sorted(set(rows["tile"])):
        cutouts = io.read_cutouts(tiles[name] / product, rows["id"])
        found |= pick(cutouts, rows["id"], scale[name])
    return found


def _blends(tiles, rows, facts):
    """Panels of the chosen blends, by id."""
    from pipeline.report.stamps import blend_panels
    from pipeline.stamps.masks import from_squares

    scale, found = {fact.name: fact.pixel_scale for fact in facts}, {}
    for name in sorted(set(rows["tile"])):
        tile, blends = tiles[name], rows[rows["tile"] == name]
        _, _, share = io.read_maps(tile / "shares.fits", "SHARE", ids=blends["id"])
        _, corner, spread = io.read_maps(tile / "masks.fits", "TARGET_STD", ids=blends["id"])
        label = io.read_image(tile / "segmentation.fits", "LABEL")
        cutouts = io.read_cutouts(tile / "cutouts.fits", blends["id"])
        maps = {"SHARE": share, "TARGET_STD": from_squares(cutouts, spread, corner)}
        found |= blend_panels(cutouts, maps, label, blends, scale[name])
    return found


def selection(config, manifest, table, picture):
    """Say which lenses are found: completeness on the injections of all tiles."""
    from pipeline.catalogs.known import known_lenses
    from pipeline.injection.adapt import has_adapted, unlearnt
    from pipeline.injection.inject import left_out
    from pipeline.injection.selection import selection
    from pipeline.models.engine import load
    from pipeline.models.lens import threshold
    from pipeline.report.selection_figure import selection_figure

    network, tiles = load(config.networks, "lens", config.apply), io.tile_folders(manifest)
    lenses = known_lenses(io.read_table(config.truth) if config.truth else None)
    painted = [_injected(tile) for tile in tiles]
    fresh = [some["id"][unlearnt(some, network.card, config.merge.radius)] for some in painted]
    ids = np.setdiff1d(np.concatenate(fresh), left_out(painted, lenses, config.merge))
    injections = (io.read_table(tile / "injections.fits") for tile in tiles)
    counted = (table[np.isin(table["id"], ids)] for table in injections)
    found = selection(counted, threshold(network, config.lens), config.inject)
    found.meta["HELDOUT"] = has_adapted(network.card)
    io.write_table(table, found)
    io.write_figure(picture, selection_figure(found), dpi=130)


def _injected(tile):
    """Sources of a tile that arcs were painted onto."""
    sources = io.read_table(tile / "sources.fits")
    return sources[np.isin(sources["id"], io.read_table(tile / "injections.fits")["id"])]


def completeness(config, manifest, table, picture):
    """Say what is detected and how right fluxes are, of the galaxies painted onto all tiles."""
    from pipeline.injection.completeness import completeness
    from pipeline.report.completeness_figure import completeness_figure

    tiles = io.tile_folders(manifest)
    found = completeness((io.read_table(t / "recovered.fits") for t in tiles), config.recover)
    io.write_table(table, found)
    io.write_figure(picture, completeness_figure(found), dpi=130)


def verdict(config, manifest, catalog, reasons, said):
    """Say what to check, and fail if tiles were rejected, unless the config accepts that."""
    from pipeline.report import doubts, left_out

    found, (_, unit) = io.read_csv(reasons), io.read_measured(catalog)
    check = [
        f"to check: tile {tile.name}: {doubt}\n"
        for tile in io.tile_folders(manifest)
        for doubt in (
            *doubts(io.read_notes(tile)),
            *left_out(*io.read_measured(tile / "sources.fits"), unit),
        )
    ]
    sys.stdout.writelines(check[:20])
    lines = [f"rejected tiles: {len(found)}"]
    tiles = manifest.parent / "tiles"
    lines += [f"  {row['tile']}: {row['reason']}{_came(tiles / row['tile'])}" for row in found[:20]]
    if len(found) and config.on_bad_tile != "accept":
        sys.exit("\n".join([*lines, f"all of them: {reasons}; to go on: on_bad_tile: accept"]))
    io.write_text(said, "".join(check) + "\n".join(lines) + "\n")


def _came(tile):
    """Say which files of a rejected tile could not be read, and can be by now."""
    from pipeline.planning.inputs import is_there

    read = io.read_json(tile / "inputs.json")
    came = [path for path, known in read.items() if known is None and is_there(path)]
    return f" (there now: {', '.join(came)}; run again)" if came else ""
