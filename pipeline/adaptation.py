"""The commands that fit the networks to a survey: read, compute, write."""

import numpy as np

from pipeline import io


def adapt(config, manifest, home, work, gain):
    """Let the lens finder learn from the survey's own galaxies; draw its loss, say its gain."""
    from pipeline.injection import adapt as learning
    from pipeline.models import engine, lens
    from pipeline.report.loss_figure import loss_figure

    base = engine.load(config.networks, "lens", config.apply)
    stamps, truth = _injections(config, manifest)
    sets = learning.kept_sets(truth, base.card, config.merge.radius)
    rows = {name: sets == name for name in learning.SHARES}
    learnt = np.flatnonzero(rows["train"])
    learnt = learnt[learning.balanced(truth["is_lens"][learnt])]
    shown = learnt, rows["validation"]
    pairs = [(stamps[some], lens.target(stamps[some], truth[some])) for some in shown]
    made = _fine_tune(base, pairs, config, home, work)
    after, test = engine.load(home, "lens", config.apply), rows["held_out"]
    made["stamps_trained_on"] = len(learnt)
    made["places"] = {name: learning.places(truth[some]) for name, some in rows.items()}
    if "adapted" in base.card:
        made["before"] = {"adapted": base.card["adapted"]}
    found = {"calibration": base.card["calibration"]}
    if made["mixed"]["share"]:
        found = lens.calibrate(after, stamps[rows["validation"]], truth[rows["validation"]])
    calibrations = base.card["calibration"], found["calibration"]
    made["gain"] = _gain((base, after), calibrations, stamps[test], truth[test])
    io.copy_networks(base.home.parent, home, but="lens")
    card = {key: value for key, value in base.card.items() if key != "scores"}
    io.write_json(home / "lens" / "card.json", card | {"adapted": made} | found)
    io.write_figure(gain.with_name("loss.png"), loss_figure(made, "lens"), dpi=130)
    io.write_json(gain, made["gain"])


def _gain(networks, calibrations, stamps, truth):
    """What the second of two lens finders gains on the first, and where their candidates begin."""
    from pipeline.injection.adapt import gained
    from pipeline.models import lens

    is_lens, compared = np.asarray(truth["is_lens"]), []
    for network, means in zip(networks, calibrations, strict=True):
        logit = lens.logits(network, stamps).mean(1)
        compared.append((logit, lens.stated(means, logit, is_lens.mean())))
    said = gained(*compared, is_lens, np.asarray(truth["id"]))
    for when, means in zip(("before", "after"), calibrations, strict=True):
        said[when] |= {name: means.get(name) for name in ("threshold", "non_lenses")}
    return said


def calibrate(config, manifest, home, gain):
    """Make the flux intervals hold on galaxies painted onto the survey's tiles; say the gain."""
    from pipeline.injection import calibrate as intervals
    from pipeline.models import engine

    tiles = io.tile_folders(manifest)
    known = intervals.samples(io.read_table(tile / "recovered.fits") for tile in tiles)
    if said := intervals.too_few(len(known)):
        raise SystemExit(said)
    base = engine.load(config.networks, "photometry", config.apply)
    before = base.card["calibration"]
    found = intervals.calibrated(before, known)
    told = {"galaxies": len(known), **intervals.gained(before, known)}
    card = {key: value for key, value in base.card.items() if key != "scores"}
    io.copy_networks(base.home.parent, home)
    io.write_json(
        home / "photometry" / "card.json", card | {"calibration": found, "recovered": told}
    )
    io.write_json(gain, told)


def _fine_tune(base, pairs, config, home, work):
    """Train a lens finder further, export what comes of it, say how; other stamps start anew."""
    import keras

    from pipeline.nets import NETS, fit, read_model
    from pipeline.nets.start import mix
    from pipeline.planning import digest

    def build():
        model = read_model(base.home / "model.keras")
        model.compile(loss=NETS["lens"].mean_member_loss)
        return model

    settings = config.adapt
    keras.utils.set_random_seed(settings.seed)
    batches = (
        fit.Batches(*pairs[0], settings.batch_size, settings.seed),
        fit.HeldOut(*pairs[1], settings.batch_size),
    )
    shown = digest.arrays(*(part for pair in pairs for part in pair))
    model = fit.fit(build, *batches, settings, work / shown)
    kept = mix(model, build(), batches[1])
    fit.save(model, home / "lens" / "model.keras")
    fit.export(NETS["lens"].graphs(model), home / "lens")
    return fit.record(settings, config.inject, model, work / shown) | {"mixed": kept}


def _injections(config, manifest):
    """Stamps of galaxies with and without arcs of all tiles, and the truth table."""
    from astropy.table import vstack

    from pipeline.injection import inject
    from pipeline.models import lens

    changed = {"per_galaxy": config.adapt.per_galaxy, "seed": config.adapt.seed}
    settings, stamps, truths = config.inject.model_copy(update=changed), [], []
    for tile, optics, galaxies in _deflectors(config, manifest):
        cutouts = io.read_cutouts(tile / "lens_cutouts.fits", galaxies["id"])
        painted, truth = inject.paint(cutouts, galaxies, optics, settings)
        for name in ("ra", "dec"):
            truth[name] = np.repeat(np.asarray(galaxies[name]), 1 + settings.per_galaxy)
        stamps.append(lens.inputs(painted))
        truths.append(truth)
    return np.concatenate(stamps), vstack(truths, metadata_conflicts="silent")


def _deflectors(config, manifest):
    """Galaxies to learn from: each tile, its optics and those of its sources that are drawn."""
    from pipeline.catalogs.known import known_lenses
    from pipeline.injection import adapt as learning
    from pipeline.injection import inject
    from pipeline.injection.optics import Optics

    chosen = []
    for tile in io.tile_folders(manifest):
        sources = io.read_table(tile / "sources.fits")
        optics = Optics.of(io.read_exposure(tile / "exposure.fits", 16), sources)
        chosen.append((tile, optics, sources[inject.deflectors(sources, optics, config.inject)]))
    tables = [galaxies for *_, galaxies in chosen]
    lenses = known_lenses(io.read_table(config.truth) if config.truth else None)
    others = inject.left_out(tables, lenses, config.merge)
    once = np.setdiff1d(np.concatenate([galaxies["id"] for galaxies in tables]), others)
    if said := learning.too_few(len(once)):
        raise SystemExit(said)
    drawn = learning.drawn(once, config.adapt.galaxies)
    return [(tile, optics, some[np.isin(some["id"], drawn)]) for tile, optics, some in chosen]
