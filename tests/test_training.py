import json
import weakref

import keras
import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from pipeline import io
from pipeline.adaptation import _fine_tune, adapt
from pipeline.config import Adapt, Apply, Config, Inject
from pipeline.config.train import Fit, LensFit
from pipeline.data import Exposure
from pipeline.models import engine
from pipeline.models.stamps import join
from pipeline.nets import NETS, fit, progress, read_model
from pipeline.nets.start import mix, take_over
from pipeline.planning.plan import check_below
from pipeline.training import export, scenes, score, ship, train

ONE = {"filters": [4, 8], "epochs": 2, "batch_size": 16, "stamps": 48}
SETTINGS = {
    "scenes": {"blends": 24, "lenses": 24, "size": 32, "seed": 1},
    "train": {name: ONE for name in ("unet", "punet", "photometry")},
}


@pytest.fixture(scope="module")
def config():
    return Config.model_validate(SETTINGS)


@pytest.fixture(scope="module")
def drawn(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    for split in ("validation", "test"):
        scenes(config, folder / split / "0", kind="blends", split=split, shard=0)
    return folder


@pytest.fixture(scope="module")
def networks(config, drawn, tmp_path_factory):
    """Folder of a run in which a network, and those that build on it, are trained."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("unet", "punet", "photometry"):
        home, said = folder / "networks" / name, folder / name
        train(config, home, said.with_suffix(".json"), folder / "work" / name, network=name)
        export(config, drawn, said.with_suffix(".json"), home, network=name)
    return folder


def test_a_network_is_trained_scored_and_shipped_with_its_card(config, drawn, networks, tmp_path):
    score(
        config, drawn, networks / "networks" / "unet", tmp_path / "s" / "unet.json", network="unet"
    )
    lonely = tmp_path / "networks" / "unet"
    lonely.parent.mkdir()
    lonely.symlink_to(networks / "networks" / "unet")
    ship(config, lonely.parent, tmp_path / "s", tmp_path / "weights")
    card = json.loads((tmp_path / "weights" / "unet" / "card.json").read_text())
    assert card["settings"]["filters"] == [4, 8]
    assert card["scenes"] == SETTINGS["scenes"]
    assert [row["epoch"] for row in card["log"]] == [0, 1]
    assert card["training_seconds"] == round(sum(row["seconds"] for row in card["log"]))
    assert 0 <= card["scores"]["iou_target"]["value"] <= 1
    assert (tmp_path / "weights" / "unet" / "main.xml").exists()
    assert (networks / "unet.png").stat().st_size > 5000
    page = (tmp_path / "weights" / "README.md").read_text()
    assert page == (tmp_path / "s" / "unet.md").read_text()
    assert f"| iou_target | {card['scores']['iou_target']['value']:.4f} |" in page


def test_networks_that_need_others_learn_from_a_set(networks):
    card = json.loads((networks / "networks" / "photometry" / "card.json").read_text())
    assert card["epochs_trained"] == 2
    assert len(card["calibration"]["widen"]) > 1
    assert card["builds_on"].keys() == {"unet", "punet"}
    check_below("photometry", str(networks / "networks"))


def test_a_training_goes_on_from_what_was_learnt(networks, tmp_path):
    folder = networks / "networks"
    still = {
        "epochs": 1,
        "stamps": 48,
        "batch_size": 16,
        "learning_rate": 1e-12,
        "start": str(folder),
    }
    config = Config.model_validate({**SETTINGS, "train": {"unet": still}})
    train(config, tmp_path / "unet", tmp_path / "r.json", tmp_path / "work", network="unet")
    before, after = (
        read_model(home / "unet" / "model.keras").trainable_variables for home in (folder, tmp_path)
    )
    for one, other in zip(before, after, strict=True):
        assert_allclose(one, other, atol=1e-6)
    card = json.loads((tmp_path / "r.json").read_text())
    assert card["settings"]["filters"] == card["before"]["settings"]["filters"] == [4, 8]


def test_a_loss_that_a_latent_is_drawn_for_is_the_same_each_time(networks, rng):
    model = read_model(networks / "networks" / "punet" / "model.keras")
    model.compile()
    stamps, maps = (rng.uniform(size=(16, 32, 32, n)).astype("f4") for n in (3, 4))
    held_out = fit.HeldOut(stamps, maps, 8)
    assert len({model.evaluate(held_out, verbose=0) for _ in range(3)}) == 1


def test_layers_that_are_not_trained_are_not_taken_over(rng):
    def build(last=1):
        given = keras.Input((4,))
        return keras.Model(given, keras.layers.Dense(last)(keras.layers.Dense(5)(given)))

    start, model = build(), build()
    start.set_weights([rng.normal(size=w.shape) for w in start.weights])
    model.layers[-1].trainable = False
    kept = model.layers[-1].get_weights()
    take_over(model, start)
    assert_array_equal(model.layers[1].get_weights()[0], start.layers[1].get_weights()[0])
    assert_array_equal(model.layers[-1].get_weights()[0], kept[0])
    with pytest.raises(ValueError):
        take_over(build(last=2), start)


@pytest.mark.parametrize("right, share", [(-1.0, 0), (0.0, 0), (0.7, 0.7), (1.0, 1), (9.0, 1)])
def test_as_much_of_a_training_is_kept_as_is_right(right, share, rng):
    def line(slope):
        given = keras.Input((3,))
        model = keras.Model(given, keras.layers.Dense(1)(given))
        model.compile(loss="mse")
        model.set_weights([np.full((3, 1), slope), np.zeros(1)])
        return model

    x = rng.normal(size=(40, 3)).astype("f4")
    held_out = fit.HeldOut(x, right * x.sum(1, keepdims=True), 16)
    said = mix(model := line(1.0), line(0.0), held_out)
    assert said["share"] == share
    assert_allclose(model.get_weights()[0], share, rtol=1e-6)
    assert said["val_loss"] == pytest.approx(model.evaluate(held_out, verbose=0), rel=1e-6)


def test_a_network_of_no_epochs_is_taken_as_it_is(networks, tmp_path):
    start = {"start": str(networks / "networks"), "epochs": 0}
    every = dict.fromkeys(("unet", "punet", "photometry"), start)
    config = Config.model_validate({**SETTINGS, "train": every})
    home, record = tmp_path / "photometry", tmp_path / "r.json"
    train(config, home, record, tmp_path / "work", network="photometry")
    before, after = (
        read_model(folder / "photometry" / "model.keras").get_weights()
        for folder in (networks / "networks", tmp_path)
    )
    for one, other in zip(before, after, strict=True):
        assert_array_equal(one, other)
    assert json.loads(record.read_text())["epochs_trained"] == 2
    with pytest.raises(ValueError, match="builds on unet"):
        Config.model_validate({"train": every | {"unet": ONE}})
    with pytest.raises(ValueError, match="start"):
        Config.model_validate({"train": {"unet": {"epochs": 0}}})


def test_a_killed_training_resumes(config, tmp_path):
    short = {**SETTINGS, "train": {"unet": {**ONE, "epochs": 1}}}
    for settings in (Config.model_validate(short), config):
        train(settings, tmp_path / "unet", tmp_path / "r.json", tmp_path / "work", network="unet")
    assert [row["epoch"] for row in progress.log_of(tmp_path / "work")] == [0, 1]


def test_a_resumed_training_keeps_the_best_weights_that_it_had(config, tmp_path):
    short = {**SETTINGS, "train": {"unet": {**ONE, "epochs": 1}}}
    work = tmp_path / "work"
    train(Config.model_validate(short), tmp_path, tmp_path / "r.json", work, network="unet")
    log, best = work / progress.LOG, work / progress.BEST
    (row,) = progress.log_of(work)
    log.write_text(json.dumps([row | {"val_loss": -1e9}]))
    before = best.read_bytes()
    train(config, tmp_path, tmp_path / "r.json", work, network="unet")
    assert len(progress.log_of(work)) == 2
    assert best.read_bytes() == before


@pytest.mark.parametrize("known", ["bf16", "f32"])
def test_a_training_computes_in_half_precision_where_the_processor_knows_it(known, monkeypatch):
    monkeypatch.setattr(engine, "fastest_precision", lambda: known)
    with fit._policy(fit.fastest_policy()):
        dense = keras.layers.Dense(1)
    assert dense.compute_dtype == {"bf16": "bfloat16", "f32": "float32"}[known]
    assert dense.variable_dtype == "float32"


@pytest.mark.parametrize(("name", "side"), [("unet", 16), ("anomaly", 48), ("lens", 48)])
def test_as_many_scales_as_settings_allow_fit_every_stamp(name, side):
    settings = LensFit(filters=(2, 2, 2, 2), members=1)
    assert NETS[name].build((side, side, 2), settings).built


def test_each_epoch_is_validated_on_one_batch_at_least():
    sizes = {"stamps": 9000, "batch_size": 5000}, {"stamps": 9000}, {"stamps": 70}
    assert [Fit(**size).validated for size in sizes] == [5000, 4096, 70]


def test_a_stream_never_repeats_itself():
    stream = fit.Stream(lambda number: (np.full(2, number), None), 3)
    first = [stream[i][0][0] for i in range(len(stream))]
    stream.on_epoch_end()
    second = [stream[i][0][0] for i in range(len(stream))]
    assert first + second == list(range(6))
    assert len(stream[0]) == 1


def test_a_replayed_stream_learns_from_each_batch_as_often_each_time_turned_otherwise(rng):
    drawn, stamps = [], rng.normal(size=(200, 1, 4, 4, 2)).astype("f4")

    def draw(number):
        drawn.append(number)
        return (stamps[number], np.full(1, number)), stamps[number]

    stream = fit.Stream(draw, 4 * 200, replay=4)
    seen = [[] for _ in stamps]
    for i in range(len(stream)):
        (x, number), wanted = stream[i]
        assert_array_equal(x, wanted)
        seen[number[0]].append(x)
    assert drawn == list(range(200))
    assert [len(views) for views in seen[96:104]] == 8 * [4]
    assert_array_equal(seen[100][0], stamps[100])
    assert len({view.tobytes() for view in seen[100]}) == 4


def test_batches_show_every_stamp_once_in_an_epoch_and_turn_maps_with_it(rng):
    stamps = rng.normal(size=(12, 4, 4, 1)).astype("f4")
    batches = fit.Batches(stamps, stamps.copy(), 4, 0)
    seen = [batches[i] for i in range(len(batches))]
    assert np.allclose(
        sorted(np.concatenate([s.sum((1, 2, 3)) for s, _ in seen])), sorted(stamps.sum((1, 2, 3)))
    )
    assert all((s == w).all() for s, w in seen)
    batches.on_epoch_end()
    assert any((batches[i][0] != seen[i][0]).any() for i in range(len(batches)))


def test_a_loss_is_measured_of_every_stamp_the_same_in_every_epoch(rng):
    maps, numbers = rng.normal(size=(10, 4, 4, 1)).astype("f4"), np.arange(10, dtype="f4")
    held_out = fit.HeldOut(maps, numbers, 4)
    held_out.on_epoch_end()
    seen = [held_out[i] for i in range(len(held_out))]
    for whole, parts in zip((maps, numbers), zip(*seen, strict=True), strict=True):
        assert_array_equal(np.concatenate(parts), whole)
    assert len(fit.HeldOut(maps[:3], None, 4)) == len(fit.Batches(maps[:3], None, 4, 0)) == 1
    assert len(fit.Batches(maps[:3], None, 4, 0)[0][0]) == 3


def test_joined_parts_are_let_go_of():
    parts = [(np.full((2, 3), i, "f4"), np.full(2, i)) for i in range(3)]
    watched = [weakref.ref(array) for part in parts for array in part]
    maps, numbers = join(parts)
    assert_array_equal(numbers, [0, 0, 1, 1, 2, 2])
    assert_array_equal(maps[:, 0], numbers)
    assert not any(ref() is not None for ref in watched)


def test_a_survey_of_few_galaxies_is_told_how_many_are_needed(tmp_path):
    """Of none here, for without a pixel scale no Einstein radius has a size."""
    (tmp_path / "tiles.txt").write_text("t1\n")
    plane = np.ones((4, 4, 1), "f4")
    io.write_exposure(tmp_path / "tiles/t1/exposure.fits", Exposure(plane, plane, None, ("r",)))
    numbers = {name: [1.0] for name in ("ra", "dec", "x", "y", "a")}
    numbers["pixel_scale"] = [np.nan]
    sources = Table({"id": [1], "tile": ["t1"], **numbers, "flags": [0]})
    io.write_table(tmp_path / "tiles/t1/sources.fits", sources)
    written = [tmp_path / name for name in ("adapted", "work", "gain.json")]
    with pytest.raises(SystemExit, match=r"0 galaxies .* 50 are needed .*inject\.min_snr"):
        adapt(Config(), tmp_path / "tiles.txt", *written)
    assert not any(path.exists() for path in written)


@pytest.mark.slow
def test_an_adaptation_resumes_on_the_same_stamps_and_starts_anew_on_others(tmp_path, rng):
    model = NETS["lens"].build((32, 32, 2), LensFit(filters=(4, 8), members=1))
    fit.save(model, tmp_path / "lens" / "model.keras")
    base = engine.load(tmp_path, "lens", Apply())
    config = Config(adapt=Adapt(epochs=1, batch_size=4), inject=Inject(min_snr=30))
    work = tmp_path / "work"
    is_lens = np.ones((8, 1), "f4")  # so that a step gains something

    def adapted(stamps):
        said = _fine_tune(base, 2 * [(stamps, is_lens)], config, tmp_path / "adapted", work)
        assert (said["settings"]["seed"], said["scenes"]) == (1, {"min_snr": 30})
        assert said["epochs_trained"] == len(said["log"]) == 1
        assert "arclet" in said["versions"]
        return read_model(tmp_path / "adapted" / "lens" / "model.keras").get_weights()

    one, other = rng.uniform(0.5, 1, (2, 8, 32, 32, 2)).astype("f4")
    first, second, again = adapted(one), adapted(other), adapted(one)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
    for a, b in zip(first, again, strict=True):
        assert_array_equal(a, b)
    assert [len(progress.log_of(folder)) for folder in work.iterdir()] == [1, 1]
