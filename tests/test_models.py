import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose
from scipy.special import expit
from scipy.stats import multivariate_normal

from pipeline.config import Apply, Lens, Punet
from pipeline.config_train import Fit, Scenes
from pipeline.cutouts import cut
from pipeline.data import Cutouts, Exposure
from pipeline.masks import enlarge
from pipeline.models import (
    NETWORKS,
    anomaly,
    engine,
    lens,
    metrics,
    photometry,
    punet,
    unet,
)
from pipeline.models import companions as companions_of
from pipeline.models.companions import Companions
from pipeline.models.stamps import turned
from pipeline.nets import NETS, fit, read_model
from pipeline.scenes.neighbours import MOST
from pipeline.scenes.sets import draw_set
from pipeline.shares import reconcile

EXACT = Apply(precision="f32")
SMALL = Fit(filters=(4, 8), members=2, epochs=2, batch_size=8)
SIZE = 32
BUILD_ORDER = "unet", "punet", "photometry", "lens", "anomaly"


@pytest.fixture(scope="module")
def blends():
    return draw_set("blends", 24, Scenes(size=SIZE, seed=11), "test")


@pytest.fixture(scope="module")
def homes(tmp_path_factory, blends):
    """Every network, untrained but for its normalisations, exported as training exports it."""
    keras.utils.set_random_seed(1)
    folder, cutouts, truth = tmp_path_factory.mktemp("networks"), blends.cutouts, blends.truth
    truth["is_lens"] = np.arange(len(truth)) % 2 == 0
    networks = {}
    for name in sorted(NETWORKS, key=list(BUILD_ORDER).index):
        module = NETWORKS[name]
        stamps = module.inputs(cutouts, networks, blends.companions)
        model = NETS[name].build(_arrays(stamps)[0].shape[1:], SMALL, networks)
        for layer in _normalisations(model):
            layer.moving_mean.assign(
                np.random.default_rng(2).normal(0, 0.3, layer.moving_mean.shape)
            )
        fit.save(model, folder / name / "model.keras")
        fit.export(NETS[name].graphs(model), folder / name)
        (folder / name / "card.json").write_text("{}")
        calibration = module.calibrate(
            engine.load(folder, name, EXACT), stamps, truth, blends.light
        )
        (folder / name / "card.json").write_text(json.dumps(calibration))
        networks[name] = engine.load(folder, name, EXACT)
    return folder


@pytest.fixture(scope="module")
def networks(homes):
    return {name: engine.load(homes, name, EXACT) for name in NETWORKS}


def _arrays(stamps):
    return stamps if isinstance(stamps, tuple) else (stamps,)


def _normalisations(model):
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


@pytest.mark.parametrize("name", NETWORKS)
def test_openvino_and_tensorflow_agree(name, homes, networks, blends):
    _compare_engines(homes, name, NETWORKS[name].inputs(blends[0], networks))


def test_shipped_networks_agree_between_the_engines():
    networks = {name: engine.load(None, name, EXACT) for name in NETWORKS}
    drawn = {}
    for name, module in NETWORKS.items():
        size = Scenes().side(module.KIND)
        if size not in drawn:
            drawn[size], *_ = draw_set("blends", 8, Scenes(seed=4, size=size), "test")
        _compare_engines(None, name, module.inputs(drawn[size], networks))


def _compare_engines(folder, name, stamps):
    ours, theirs = (
        engine.load(folder, name, Apply(engine=e, precision="f32"))
        for e in ("openvino", "tensorflow")
    )
    for graph in theirs.graphs:
        given = _given(ours, graph, stamps)
        pair = (_listed(network(graph, *given)) for network in (ours, theirs))
        for a, b in zip(*pair, strict=True):
            # Bisection may end on either side of a median that lies between two samples.
            assert_allclose(a, b, atol=1e-3 if graph == "polar" else 1e-4, rtol=1e-4)
    if name == "lens":
        a, b = (lens.logits(network, stamps) for network in (ours, theirs))
        assert_allclose(a, b, atol=1e-4, rtol=1e-4)


def _given(network, graph, stamps):
    """What a graph takes: the stamps, or what the graphs before it make of them."""
    if network.home.name == "lens":
        planes = np.moveaxis(stamps, -1, 1)
        return (network("polar", planes) if graph == "main" else planes,)
    if graph == "main":
        return _arrays(stamps)
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


def test_no_stamps_give_empty_answers(networks):
    none = np.zeros((0, SIZE, SIZE, 1), "f4")
    cutouts = Cutouts(none, none, np.zeros(0, int), np.zeros((0, 2), int), ("r",))
    maps = unet.apply(networks["unet"], cutouts)
    assert maps["SHARE"].shape == (0, SIZE, SIZE)
    assert len(lens.apply(networks["lens"], cutouts, Lens())) == 0
    more, draws = punet.apply(networks["punet"], cutouts, maps, Punet(n_draws=2))
    assert more["TARGET_STD"].shape == (0, SIZE, SIZE)
    assert draws["flux_draws"].shape == (0, 2, 1)
    said = photometry.apply(networks["photometry"], cutouts, maps, draws["flux_draws"])
    assert said["flux_p50"].shape == (0, 1)


def test_targets_may_overlap_and_shares_add_up(blends):
    _, light, truth, _ = blends
    maps = unet.target(None, truth, light).astype("f4")
    swapped = unet.target(None, truth, light[..., ::-1]).astype("f4")
    assert_allclose(maps[..., 0], swapped[..., 1])
    bright = light.sum(-1) > 0.01 * np.asarray(truth["sky_rms"])[:, None, None]
    assert_allclose((maps[..., 2] + swapped[..., 2])[bright], 1, atol=2e-3)


@pytest.mark.parametrize("binning", [2, 4])
def test_masks_of_binned_stamps_end_at_the_threshold_of_the_tiles_pixels(binning):
    y, x = np.mgrid[:128, :128] - 63.5
    light = 40 * np.exp(-np.hypot(x, y / 0.7) / 10)[None, ..., None] * [1.0, 0.0]
    wanted = unet.above({"sky_rms": [1.0], "binning": [1]}, light)[..., 0]
    n = 128 // binning
    blocks = light.reshape(1, n, binning, n, binning, 2).sum((2, 4))
    found = unet.above({"sky_rms": [float(binning)], "binning": [binning]}, blocks)[..., 0]
    assert metrics.iou(enlarge(found, binning) > 0.5, wanted)[0] > 0.9
    shallow = unet.above({"sky_rms": [float(binning)], "binning": [1]}, blocks)[..., 0]
    assert metrics.iou(enlarge(shallow, binning) > 0.5, wanted)[0] < 0.8


def test_the_network_is_told_how_a_stamp_is_binned(networks, blends):
    stamps = unet.inputs(blends[0])
    assert stamps.shape[-1] == unet.N_PLANES
    assert_allclose(2 ** stamps[:, 0, 0, 2], blends[0].binning)
    other = replace(blends[0], binning=blends[0].binning * 4)
    apart = [unet.apply(networks["unet"], some)["TARGET"] for some in (blends[0], other)]
    assert np.abs(apart[0] - apart[1]).max() > 1e-3


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


def test_draws_repeat_and_differ(networks, blends):
    maps, settings = unet.apply(networks["unet"], blends[0]), Punet(n_draws=4, seed=1)
    one, other = (punet.apply(networks["punet"], blends[0], maps, settings) for _ in range(2))
    assert_allclose(one[1]["flux_draws"], other[1]["flux_draws"])
    assert np.ptp(one[1]["flux_draws"], axis=1).max() > 0
    assert (one[0]["TARGET_STD"] >= 0).all()


def test_drawing_all_at_once_is_drawing_one_by_one(networks, blends):
    maps = unet.apply(networks["unet"], blends[0][:8])
    found, _ = punet.apply(networks["punet"], blends[0][:8], maps, Punet(n_draws=3))
    sigma = networks["punet"].card["calibration"]["sigma"]
    drawn = punet.draw(networks["punet"], unet.inputs(blends[0][:8]), 3, sigma)
    assert_allclose(found["TARGET"], drawn.mean(1, dtype="f4"), atol=5e-3)
    assert_allclose(found["TARGET_STD"], drawn.std(1, dtype="f4"), atol=5e-3)


def test_the_sigma_of_the_draws_makes_intervals_of_areas_hold(rng):
    side, (n, n_draws), sigma = 32, (400, 32), 1.3
    x = np.hypot(*(np.mgrid[:side, :side] - side / 2))
    logits = 8 - x + rng.normal(0, sigma, n)[:, None, None]
    offset = rng.normal(size=(n, n_draws))
    drawn = np.broadcast_to(expit(8 - x), (n, n_draws, side, side)).astype("f2")
    found = punet._sigma_that_holds(drawn, offset, (logits > 0).sum((1, 2)))
    assert found == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("n_draws", [7, 16])
def test_intervals_of_few_draws_hold_as_often_as_they_say(rng, n_draws):
    areas, true = rng.normal(size=(n_draws, 20_000)), rng.normal(size=20_000)
    assert punet._held(areas, true, 0.5) == pytest.approx(0.5, abs=0.02)


def test_draws_share_out_the_light_of_the_footprint_alone(networks, blends):
    cutouts, maps = blends[0], unet.apply(networks["unet"], blends[0])
    _, table = punet.apply(networks["punet"], cutouts, maps, Punet(n_draws=3))
    inside = (maps["TARGET"] > unet.COLLECT_ABOVE)[..., None]
    brighter = replace(cutouts, flux=np.where(inside, cutouts.flux, 7.0).astype("f4"))
    _, same = punet.apply(networks["punet"], brighter, maps, Punet(n_draws=3))
    assert_allclose(same["flux_draws"], table["flux_draws"])


def test_collected_flux_of_a_lone_bright_source_is_its_light():
    y, x = np.mgrid[-16:16, -16:16]
    light = 1e4 * np.exp(-0.5 * (x**2 + y**2) / 4)
    mask = (light > 1e-3).astype("f4")
    stamps = np.stack([light, np.ones_like(light), mask, mask, 1 - mask], -1)[None]
    assert_allclose(photometry.collect(stamps), light.sum(), rtol=1e-6)


def test_roc_auc_by_hand():
    assert metrics.roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75


def test_calibration_error_of_the_true_probability_is_small(rng):
    p = rng.random(20000)
    assert metrics.calibration_error(p, rng.random(20000) < p) < 0.02
    assert metrics.calibration_error(p, rng.random(20000) < p**2) > 0.1


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


def _of_scenes(companions, n):
    """Companions of a set as scenes have them: a row for each target."""
    shape = n, MOST
    which = np.concatenate([np.arange(k) for k in np.bincount(companions.id, minlength=n)])
    values = {"flux": companions.flux[..., 0], "ivar": companions.ivar[..., 0]}
    values |= {"shift": companions.corner, "there": np.ones(len(companions), bool)}
    found = {k: np.zeros((*shape, *v.shape[1:]), v.dtype) for k, v in values.items()}
    for name, value in values.items():
        found[name][companions.id, which] = value
    return found


def test_shares_agree_in_training_as_on_a_tile(networks, rng):
    flux = rng.normal(size=(80, 80, 1)).astype("f4")
    flux[34:38, 30:44] += 30
    exposure = Exposure(flux, np.ones_like(flux), None, ("r",))
    places = {"x": [33.0, 41.0, 48.0], "y": [36.0, 36.0, 30.0]}
    stamps = cut(exposure, Table({"id": [0, 1, 2], **places}), SIZE)
    maps = unet.apply(networks["unet"], stamps)
    on_tile = reconcile(maps, stamps, flux.shape)
    others, planes = stamps[1:], (v[..., 0] for v in (stamps.flux[1:], stamps.ivar[1:]))
    shift = others.corner - stamps.corner[0]
    companions = Companions(*planes, np.zeros(2, int), shift, np.ones(2, bool))
    own = {name: maps[name][:1] for name in unet.MAPS}
    agreed = companions_of.reconcile(networks["unet"], companions, own, stamps.binning[:1])
    assert np.abs(agreed - own["SHARE"]).max() > 0.05
    assert_allclose(agreed[0], on_tile[0], atol=1e-5)


def test_the_flux_network_sees_in_training_what_it_sees_in_use(networks, blends):
    cutouts, normal = blends[0], np.random.default_rng(0).standard_normal
    used, known = photometry.inputs(cutouts, networks, blends.companions)
    scenes = {"flux": cutouts.flux[..., 0], "ivar": cutouts.ivar[..., 0]}
    scenes |= {"truth": {"binning": cutouts.binning}}
    scenes |= {"companions": _of_scenes(blends.companions, len(cutouts))}
    trained, also_known = photometry.see(scenes, networks, normal)
    assert_allclose(trained, used, rtol=1e-5, atol=1e-5)
    assert_allclose(also_known[:, [0, 3]], known[:, [0, 3]], rtol=1e-5, atol=1e-5)
    assert_allclose(also_known[:, 1], known[:, 1], atol=0.5)  # of other draws


def test_draws_of_a_source_do_not_depend_on_the_others(networks, blends):
    cutouts = blends[0][:6]
    backwards = cutouts[np.arange(6)[::-1]]
    one, other = (
        punet.apply(networks["punet"], some, unet.apply(networks["unet"], some), Punet())
        for some in (cutouts, backwards)
    )
    assert_allclose(one[0]["TARGET_STD"], other[0]["TARGET_STD"][::-1], atol=1e-4)
    assert_allclose(one[1]["flux_draws"], other[1]["flux_draws"][::-1], rtol=1e-3)
