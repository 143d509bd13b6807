"""The commands of the training side: read, compute, write.  Nothing is decided here."""

from functools import partial

import numpy as np

from pipeline import io
from pipeline.config import BUILDS_ON, SCORED


def scenes(config, folder, *, kind: str, split: str, shard: int):
    """Draw a shard of a set: ``cutouts.fits`` and ``truth.fits``.

    Of blends, also ``light.fits`` and ``companions.fits``, see `pipeline.scenes.sets.Drawn`.
    """
    from pipeline.scenes.sets import draw_set

    settings = config.scenes
    drawn = draw_set(kind, settings.share(kind, shard), settings, split, shard)
    if kind == "blends":
        io.write_light(folder / "light.fits", drawn.light)
        io.write_cutouts(folder / "companions.fits", drawn.companions)
    io.write_cutouts(folder / "cutouts.fits", drawn.cutouts)
    io.write_table(folder / "truth.fits", drawn.truth)


def train(config, home, record, work, *, network: str):
    """Train a network on scenes drawn for it; `work` keeps checkpoints and logs."""
    import keras

    from pipeline.models import NETWORKS
    from pipeline.nets import NETS, fit
    from pipeline.nets.start import mix, take_over

    start = _start(config, network)
    if not getattr(config.train, network).epochs:
        fit.save(start.model, home / "model.keras")
        io.write_json(record, fit.history(start.card))
        return
    module, settings = NETWORKS[network], _settings(config, network, start)
    keras.utils.set_random_seed(settings.seed)
    others = _networks(config, network, home.parent)
    held_out = _drawn(module, config, others, "validation", settings.validated)
    validation = fit.HeldOut(*held_out, settings.batch_size)
    shape = fit.every(held_out[0])[0].shape[1:]
    batches = fit.Stream(_stream(module, config, settings, others), settings.steps, settings.replay)

    def build():
        model = NETS[network].build(shape, settings, others)
        if start:
            take_over(model, start.model)
        return model

    model = fit.fit(build, batches, validation, settings, work)
    said = fit.record(settings, config.scenes, model, work)
    if start:
        said |= {"mixed": mix(model, build(), validation), "before": fit.history(start.card)}
    fit.save(model, home / "model.keras")
    io.write_json(record, said)


def _start(config, network):
    """Give the network whose training goes on; None where a new one is trained."""
    from pipeline.models import engine

    settings = getattr(config.train, network)
    return engine.load(settings.folder, network, config.apply) if settings.start else None


def _settings(config, network, start):
    """Settings of a training; one that goes on keeps the shape of the network."""
    settings = getattr(config.train, network)
    if not start:
        return settings
    said, before = settings.model_dump(), start.card["settings"]
    kept = {name: before[name] for name in ("filters", "members") if name in said}
    return settings.model_validate(said | kept)


def _stream(module, config, settings, others):
    """What a network learns from: the training batch of a number.

    Where Keras computes in JAX, a batch never leaves the device that it is drawn on.
    """
    import jax
    import keras

    from pipeline.nets import traced
    from pipeline.scenes.sets import stream

    on_device = keras.backend.backend() == "jax"
    networks = {name: traced(one) for name, one in others.items()} if on_device else others

    def learn(drawn, key):
        if on_device:
            normal = partial(jax.random.normal, key)
        else:
            drawn = jax.device_get(drawn)
            normal = np.random.default_rng(np.asarray(jax.random.key_data(key))).standard_normal
        stamps = module.see(drawn, networks, normal)
        return stamps, module.target(stamps, drawn["truth"], drawn.get("light"))

    learn = jax.jit(learn) if on_device else learn
    return stream(module.KIND, config.scenes, settings, learn, module.WITH_COMPANIONS)


def _drawn(module, config, networks, split, n):
    """Draw a set: what a network sees, and what it should say."""
    from pipeline.models.stamps import join
    from pipeline.scenes.sets import draw_set

    seen, wanted = [], []
    for shard, start in enumerate(range(0, n, config.scenes.shard)):
        some = min(config.scenes.shard, n - start)
        drawn = draw_set(module.KIND, some, config.scenes, split, shard)
        seen.append(module.inputs(drawn.cutouts, networks, drawn.companions))
        wanted.append(module.target(seen[-1], drawn.truth, drawn.light))
    return join(seen), join(wanted)


def export(config, scenes_folder, record, home, *, network: str):
    """Export a trained network for inference, calibrate it on validation, draw its loss curve.

    The curve is beside the `record` of the training, as a PNG.
    """
    from pipeline.models import NETWORKS, engine
    from pipeline.nets import NETS, fit, read_model
    from pipeline.planning import digest
    from pipeline.report.loss_figure import loss_figure

    module, others = NETWORKS[network], _networks(config, network, home.parent)
    fit.export(NETS[network].graphs(read_model(home / "model.keras")), home)
    card = io.read_json(record)
    io.write_figure(record.with_suffix(".png"), loss_figure(card, network), dpi=130)
    held_out = _read(module, config, scenes_folder / "validation", others)
    trained = engine.load(home.parent, network, config.apply)
    card["builds_on"] = {other: digest.model(other, home.parent) for other in others}
    io.write_json(home / "card.json", card | module.calibrate(trained, *held_out))


def score(config, scenes_folder, home, scores, *, network: str):
    """Score a network on the test set, and say of how many stamps that is; and its card as a page.

    The page is beside the `scores`, in Markdown.
    """
    from pipeline.models import NETWORKS, engine
    from pipeline.report.model_card import model_cards

    module, others = NETWORKS[network], _networks(config, network, home.parent)
    test = _read(module, config, scenes_folder / "test", others)
    trained = engine.load(home.parent, network, config.apply)
    found = {"stamps": len(test[1])} | module.score(trained, *test)
    io.write_json(scores, found)
    page = model_cards({network: trained.card | {"scores": found}})
    io.write_text(scores.with_suffix(".md"), page)


def compare(config, scenes_folder, scores):
    """Measure the test set's blends as others do, in the numbers that networks are scored in."""
    from astropy.table import vstack

    from pipeline.comparison.compare import compare

    read = _shards(config, scenes_folder / "test", "blends")
    _, cutouts, truths, lights = zip(*read, strict=True)
    truth = vstack(truths, metadata_conflicts="silent")
    io.write_json(scores, compare(cutouts, truth, np.concatenate(lights)))


def score_figures(config, scores):
    """Draw what was scored: ``deblending.png``, ``reliability.png`` and ``lens.png``."""
    from pipeline.report.score_figures import deblending_figure, lens_figure, reliability_figure

    said = {name: io.read_json(scores / f"{name}.json") for name in SCORED}
    bins = said["peers"] | {"arclet": said["unet"]["bins"] | said["photometry"]["bins"]}
    drawn = {"deblending": deblending_figure(bins)}
    drawn |= {"reliability": reliability_figure(said["punet"]), "lens": lens_figure(said["lens"])}
    for name, figure in drawn.items():
        io.write_figure(scores / f"{name}.png", figure, dpi=110)


def ship(config, networks, scores, weights):
    """Put trained networks where they ship from, scores in their cards, with a page of these."""
    from pipeline.report.model_card import model_cards

    for home in io.copy_networks(networks, weights):
        card = io.read_json(home / "card.json")
        card["scores"] = io.read_json(scores / f"{home.name}.json")
        io.write_json(weights / home.name / "card.json", card)
    cards = {path.parent.name: io.read_json(path) for path in weights.glob("*/card.json")}
    io.write_text(weights / "README.md", model_cards(cards))


def _networks(config, name, folder):
    """Trained networks that `name` builds on."""
    from pipeline.models import engine

    return {other: engine.load(folder, other, config.apply) for other in BUILDS_ON.get(name, ())}


def _read(module, config, folder, networks):
    """Read a set: what the network sees of the stamps, the truth table, and the light."""
    from astropy.table import vstack

    from pipeline.models.stamps import join

    stamps, tables, lights = [], [], []
    for shard, cutouts, truth, light in _shards(config, folder, module.KIND):
        companions = io.read_cutouts(shard / "companions.fits") if module.WITH_COMPANIONS else None
        stamps.append(module.inputs(cutouts, networks, companions))
        tables.append(truth)
        lights.append(light)
    return join(stamps), vstack(tables, metadata_conflicts="silent"), join(lights)


def _shards(config, folder, kind):
    """Yield folder, cutouts, truth and light (None where there is none) of each shard."""
    for shard in (folder / str(i) for i in range(config.scenes.shards(kind))):
        light = io.read_light(shard / "light.fits") if kind == "blends" else None
        cutouts = io.read_cutouts(shard / "cutouts.fits")
        yield shard, cutouts, io.read_table(shard / "truth.fits"), light
