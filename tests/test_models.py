import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from pipeline.config import Apply, Lens, Punet
from pipeline.config.train import Scenes
from pipeline.data import Cutouts
from pipeline.models import NETWORKS, anomaly, engine, lens, metrics, photometry, punet, unet
from pipeline.models.stamps import turned
from pipeline.nets import fit, read_model
from pipeline.scenes.sets import DRAW, draw_set

EXACT = Apply(precision="f32")


@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_and_tensorflow_agree(name, homes, networks, blends):
    _compare_engines(homes, name, NETWORKS[name].inputs(blends[0], networks))


@pytest.mark.slow
def test_shipped_networks_agree_between_the_engines():
    networks = {name: engine.load(None, name, EXACT) for name in NETWORKS}
    drawn = {kind: draw_set(kind, 8, Scenes(seed=4), "test").cutouts for kind in DRAW}
    for name, module in NETWORKS.items():
        _compare_engines(None, name, module.inputs(drawn[module.KIND], networks))


def _compare_engines(folder, name, stamps):
    ours, theirs = (
        engine.load(folder, name, Apply(engine=e, precision="f32"))
        for e in ("openvino", "tensorflow")
    )
    for graph in theirs.graphs:
        given = _given(ours, graph, stamps)
        pair = (_listed(network(graph, *given)) for network in (ours, theirs))
        for a, b in zip(*pair, strict=True):
            difference = np.abs(a - b) / (1 + np.abs(b))
            # Where light is steep, a sample's place, rounded, changes what is left of it.
            some, most = (0.99, 0.9999) if graph == "polar" else (1.0, 1.0)
            assert np.quantile(difference, some) < 1e-4
            assert np.quantile(difference, most) < 1e-3
    if name == "lens":
        a, b = (lens.logits(network, stamps) for network in (ours, theirs))
        assert np.median(np.abs(a - b)) < 1e-4
        assert_allclose(a, b, atol=0.005)


def _given(network, graph, stamps):
    """What a graph takes: the stamps, or what the graphs before it make of them."""
    if network.home.name == "lens":
        planes = np.moveaxis(stamps, -1, 1)
        return (network("polar", planes) if graph == "main" else planes,)
    if graph == "main":
        return fit.every(stamps)
    features, context = punet._trunk(network, stamps)
    if graph == "prior":
        return (context,)
    if graph == "shift":
        return (np.random.default_rng(3).normal(size=(len(stamps), punet.LATENT)),)
    latent, offset = punet._noise(range(len(context)), 3, seed=0)
    shift = punet._shifts(network, context, latent)
    light = np.random.default_rng(3).normal(size=(len(features), 4, features[0, ..., 0].size, 2))
    return features, shift, offset, light


def test_half_precision_changes_logits_by_less_than_the_members_differ():
    stamps = lens.inputs(draw_set("lenses", 32, Scenes(seed=4), "test")[0])
    exact, fast = (
        lens.logits(engine.load(None, "lens", Apply(precision=p)), stamps) for p in ("f32", "bf16")
    )
    assert np.median(np.abs(fast - exact)) < 0.5 * np.median(exact.std(1))


def test_half_precision_hardly_changes_shares():
    cutouts, *_ = draw_set("blends", 32, Scenes(seed=4), "test")
    exact, fast = (
        unet.apply(engine.load(None, "unet", Apply(precision=p)), cutouts)["SHARE"]
        for p in ("f32", "bf16")
    )
    assert np.abs(fast - exact).mean() < 0.003


def _listed(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def test_a_file_with_a_lambda_layer_is_refused(tmp_path):
    given = keras.Input((4,))
    keras.Model(given, keras.layers.Lambda(lambda x: 2 * x)(given)).save(tmp_path / "bad.keras")
    with pytest.raises(ValueError, match=r"(?i)lambda"):
        read_model(tmp_path / "bad.keras")


def test_a_missing_network_says_where_it_was_sought(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no network there; train one or correct `networks`"
    ):
        engine.load(tmp_path, "unet", Apply())


@pytest.mark.parametrize("name", ["photometry", "anomaly"])
def test_the_fewest_stamps_that_may_be_drawn_are_enough_to_calibrate_on(name, networks, blends):
    few = min(n for n in range(1, 99) if _may_be_drawn(n))
    stamps = NETWORKS[name].inputs(blends.cutouts, networks, blends.companions)
    stamps = tuple(part[:few] for part in stamps) if isinstance(stamps, tuple) else stamps[:few]
    said = NETWORKS[name].calibrate(networks[name], stamps, blends.truth[:few], blends.light[:few])
    assert "NaN" not in json.dumps(said)


def _may_be_drawn(n):
    try:
        return Scenes(blends=n)
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["main.xml", "main.bin"])
def test_a_network_that_is_cut_short_is_named(name, homes, tmp_path, rng):
    shutil.copytree(homes / "unet", tmp_path / "unet")
    with open(tmp_path / "unet" / name, "r+b") as file:
        file.truncate(5000)
    network = engine.load(tmp_path, "unet", Apply(precision="f32"))
    with pytest.raises(ValueError, match=r"cannot read .*unet/main.xml with.* copy the folder"):
        network("main", rng.normal(size=(1, 32, 32, 3)))


def test_no_stamps_give_empty_answers(networks):
    none = np.zeros((0, 32, 32, 1), "f4")
    cutouts = Cutouts(none, none, np.zeros(0, int), np.zeros((0, 2), int), ("r",))
    maps = unet.apply(networks["unet"], cutouts)
    assert maps["SHARE"].shape == (0, 32, 32)
    assert len(lens.apply(networks["lens"], cutouts, Lens())) == 0
    more, draws = punet.apply(networks["punet"], cutouts, maps, Punet(n_draws=2))
    assert more["TARGET_STD"].shape == (0, 32, 32)
    assert draws["flux_draws"].shape == (0, 2, 1)
    said = photometry.apply(networks["photometry"], cutouts, maps, draws["flux_draws"])
    assert said["flux_p50"].shape == (0, 1)


@pytest.mark.parametrize("side", [7, 8])
def test_turns_keep_the_source_in_its_pixel_and_are_a_group(side, rng):
    stamps = rng.normal(size=(2, side, side, 3))
    middle = np.s_[:, side // 2, side // 2]
    views = [turned([stamps], k)[0] for k in range(8)]
    for view in views:
        assert_allclose(view[middle], stamps[middle])
        assert_allclose(np.sort(view.ravel()), np.sort(stamps.ravel()))
        again = turned([view], 5)[0]
        assert any(np.array_equal(again, other) for other in views)
    assert len({view.tobytes() for view in views}) == 8
    beyond = 1 - side % 2  # the first row and column of an even side
    inner = np.s_[:, beyond:, beyond:]
    assert_allclose(views[1][inner], np.rot90(stamps[inner], axes=(1, 2)))


def test_averaged_over_turns_p_lens_does_not_know_the_orientation(networks, blends):
    cutouts = blends[0]
    other = replace(cutouts, **{k: turned([getattr(cutouts, k)], 5)[0] for k in ("flux", "ivar")})

    def ask(some, turns):
        return np.asarray(lens.apply(networks["lens"], some, Lens(turns=turns))["p_lens"])

    assert_allclose(ask(cutouts, True), ask(other, True), rtol=1e-3)
    assert np.abs(ask(cutouts, False) / ask(other, False) - 1).max() > 1e-3


def test_p_lens_at_another_prevalence_is_bayes(networks, blends):
    network = networks["lens"]
    even, rare = (
        np.asarray(lens.apply(network, blends[0], Lens(prevalence=p))["p_lens"])
        for p in (0.5, 0.01)
    )
    odds = even / (1 - even) * 0.01 / 0.99
    assert_allclose(rare, odds / (1 + odds), rtol=1e-4)


def test_a_galaxy_too_faint_to_show_arcs_is_no_candidate(networks, blends):
    cutouts = blends.cutouts
    snr = np.geomspace(1, 1000, len(cutouts))
    said = lens.apply(networks["lens"], cutouts, Lens(), snr)
    plain = np.asarray(lens.apply(networks["lens"], cutouts, Lens())["p_lens"])
    odds = plain / (1 - plain) * np.minimum(snr / lens.FAINTEST, 1) ** lens.STEEP
    assert_allclose(said["p_lens"], odds / (1 + odds), rtol=1e-4)
    assert np.isfinite(said["p_lens_std"]).all()
    hidden = lens.apply(networks["lens"], cutouts[:2], Lens(), np.array([0.0, -3.0]))
    assert (hidden["p_lens"] < 1e-6).all()


def test_no_training_lens_is_fainter_than_the_lens_finder_believes():
    truth = draw_set("lenses", 32, Scenes(seed=4), "test").truth
    faintest = truth["snr"][np.asarray(truth["is_lens"], bool)].min()
    assert 0.95 * lens.FAINTEST < faintest < 5 * lens.FAINTEST


def test_roc_auc_by_hand():
    assert metrics.roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75


def test_shipped_networks_have_their_cards_and_are_small():
    files = [path for path in engine.SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6
    for name in NETWORKS:
        card = json.loads((engine.SHIPPED / name / "card.json").read_text())
        assert {"settings", "scenes", "scores", "versions", "training_seconds"} <= set(card)


def test_masks_of_many_bands_are_those_of_the_detection_band(networks, blends):
    cutouts, *_ = blends
    other = np.random.default_rng(0).normal(size=cutouts.flux.shape).astype("f4")
    both = replace(
        cutouts,
        flux=np.concatenate([other, cutouts.flux], -1),
        ivar=np.concatenate([np.ones_like(other), cutouts.ivar], -1),
        bands=("g", "r"),
        reference=1,
    )
    for name, ask in {"unet": unet.apply, "lens": lambda n, c: lens.apply(n, c, Lens())}.items():
        one, two = (ask(networks[name], c) for c in (cutouts, both))
        key = "SHARE" if name == "unet" else "p_lens"
        assert_allclose(two[key], one[key], atol=1e-6)
    maps = unet.apply(networks["unet"], both)
    _, draws = punet.apply(networks["punet"], both, maps, Punet(n_draws=2))
    said = photometry.apply(networks["photometry"], both, maps, draws["flux_draws"])
    assert said["flux_p50"].shape == (24, 2)


def test_strangeness_is_a_percentile_of_what_is_known(networks, blends):
    stamps = anomaly.inputs(blends[0])
    fwhm = anomaly._as_measured(blends[2]["fwhm"], seed=0)
    known = anomaly.strangeness(networks["anomaly"], stamps, fwhm)
    judged = known[1::2]  # what the description was not fitted to
    assert_allclose(np.sort(judged), np.linspace(0, 1, len(judged)), atol=1.5 / len(judged))


def test_the_psf_of_a_binned_stamp_is_measured_in_its_blocks(monkeypatch):
    monkeypatch.setattr(anomaly, "inputs", lambda cutouts: None)
    monkeypatch.setattr(anomaly, "strangeness", lambda network, stamps, fwhm: fwhm)
    cutouts = SimpleNamespace(id=np.arange(3), binning=np.array([1, 2, 64]))
    said = anomaly.apply(None, cutouts, 5.0)
    assert_allclose(said["anomaly"], [5, 2.5, anomaly.SHARPEST])


def test_what_is_stranger_than_all_that_is_known_keeps_its_order(rng):
    known = rng.normal(size=5000)
    quantiles = np.quantile(known, anomaly.SHARES)
    rarity = anomaly._rarity(np.linspace(-3, 1000, 20001), quantiles)
    assert (np.diff(rarity[np.linspace(-3, 1000, 20001) > known.min()]) < 0).all()
    assert (rarity > 0).all()
    others = anomaly._rarity(rng.normal(size=200_000), quantiles)
    for share in (0.5, 0.01, 0.001):
        assert_allclose(np.mean(others < share), share, rtol=0.5)


def test_improbability_is_that_of_the_fitted_mixture(rng):
    vectors = np.concatenate([rng.normal(0, 1, (300, 3)), rng.normal(4, 0.3, (300, 3))])
    found = anomaly._mixture(vectors, 2)
    x = (rng.normal(2, 2, (50, 3)) - found["centre"]) / found["scale"]
    expected = []
    for share, mean, whiten in zip(*(found[k] for k in ("share", "means", "whiten")), strict=True):
        covariance = np.linalg.inv(whiten.T @ whiten)
        expected.append(share * multivariate_normal(mean, covariance).pdf(x))
    improbable = anomaly._improbability(x * found["scale"] + found["centre"], found)
    density = np.exp(-improbable) / (2 * np.pi) ** 1.5
    assert_allclose(density, np.sum(expected, axis=0), rtol=1e-6)
