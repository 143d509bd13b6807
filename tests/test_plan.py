"""Batches hold every tile once, and hold it still."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import NETWORKS, Cut, Tile
from pipeline.config.train import Fit, Scenes
from pipeline.planning import digest, inputs, plan
from pipeline.planning.digest import SHIPPED

names = st.sets(st.text("abcdefgh0123456789_", min_size=1, max_size=8), min_size=1, max_size=200)


@given(names, st.integers(1, 60))
def test_every_tile_is_in_one_batch(tiles, per_job):
    batches = plan.batches(tiles, per_job)
    assert sorted(tile for batch in batches.values() for tile in batch) == sorted(tiles)


@given(names, st.integers(2, 60), st.randoms())
def test_the_order_of_the_config_does_not_matter(tiles, per_job, random):
    shuffled = sorted(tiles)
    random.shuffle(shuffled)
    assert plan.batches(shuffled, per_job) == plan.batches(tiles, per_job)


def test_a_batch_of_one_is_the_tile():
    assert plan.batches(["b", "a"], 1) == {"a": ["a"], "b": ["b"]}


def test_no_tiles_no_batches():
    assert plan.batches([], 1) == plan.batches([], 50) == {}


def test_an_added_tile_concerns_one_batch():
    tiles = [f"field_{i:04}" for i in range(1000)]
    before, after = plan.batches(tiles, 50), plan.batches(["a_new_one", *tiles], 50)
    changed = [name for name in after if after[name] != before.get(name)]
    assert len(before) == 32
    assert len(changed) == 1
    assert set(after[changed[0]]) - set(before[changed[0]]) == {"a_new_one"}


def test_batches_are_about_as_large_as_asked():
    sizes = [len(batch) for batch in plan.batches(map(str, range(10_000)), 50).values()]
    assert 25 <= sum(sizes) / len(sizes) <= 50
    assert max(sizes) < 80


def test_files_are_known_without_hdu(tmp_path):
    image, literal = tmp_path / "a.fits", tmp_path / "b[1].fits[SCI]"
    image.write_bytes(b"12")
    literal.write_bytes(b"123")
    tile = Tile(
        image={"r": f"{image}[SCI]", "i": str(literal)},
        weight={"r": f"{image}[WHT]", "i": str(tmp_path / "missing.fits[2]")},
        mask={"r": str(tmp_path)},
    )
    found = inputs.stamps(tile)
    sizes = {path: stamp and stamp[0] for path, stamp in found.items()}
    assert list(sizes) == sorted(sizes)
    assert sizes == {
        str(image): 2,
        str(literal): 3,
        str(tmp_path): None,
        str(tmp_path / "missing.fits"): None,
    }
    assert plan.megabytes(tile, found) == 5e-6


def test_packed_files_count_for_more(tmp_path):
    path = tmp_path / "a.fits.fz"
    path.write_bytes(b"1234")
    tile = Tile(image={"r": f"{path}[1]"})
    assert plan.megabytes(tile, inputs.stamps(tile)) == 16e-6


def test_stamps_must_be_of_the_size_that_a_network_takes():
    for network in NETWORKS:
        plan.check_stamps(Cut(), network)
    message = r"cut.size is 96, but unet in .*weights takes stamps of 64: set cut.size: 64, or"
    with pytest.raises(ValueError, match=message):
        plan.check_stamps(Cut(size=96), "unet")
    plan.check_stamps(Cut(size=96), "lens")
    with pytest.raises(ValueError, match=r"cut.lens_size is 64, .* train it with scenes.lens_size"):
        plan.check_stamps(Cut(lens_size=64), "lens")


def test_networks_of_different_trainings_are_not_mixed(tmp_path):
    for network in NETWORKS:
        plan.check_below(network)
        shutil.copytree(SHIPPED / network, tmp_path / network)
        plan.check_below(network, str(tmp_path))
    plan.check_below.cache_clear(), digest.model.cache_clear()
    with (tmp_path / "unet" / "model.keras").open("ab") as file:
        file.write(b"of another training")
    message = rf"{tmp_path}/punet builds on another unet than {tmp_path}/unet: copy both from"
    with pytest.raises(ValueError, match=message):
        plan.check_below("punet", str(tmp_path))
    with pytest.raises(ValueError, match=r"photometry builds on another unet .* train photometry"):
        plan.check_start(Scenes(), "photometry", Fit(start=str(tmp_path), epochs=0))
    plan.check_start(Scenes(), "photometry", Fit(start=str(tmp_path)))
    (tmp_path / "punet" / "card.json").write_text("{}")
    plan.check_below.cache_clear()
    plan.check_below("punet", str(tmp_path))


@given(st.integers(12, 1000), st.integers(1, 60))
def test_the_files_of_a_set_hold_as_many_stamps_as_were_asked_for(blends, shard):
    scenes = Scenes(blends=blends, shard=shard)
    shares = [scenes.share("blends", i) for i in range(scenes.shards("blends"))]
    assert sum(shares) == blends
    assert min(shares) >= 1 and max(shares) - min(shares) <= 1 and max(shares) <= shard


def test_no_training_starts_from_a_network_that_cannot_learn_from_its_scenes():
    scenes, on, off = Scenes(size=32), Fit(start="shipped"), Fit(start="shipped", epochs=0)
    for network, fit in (("unet", on), ("lens", on), ("lens", off)):
        plan.check_start(scenes, network, fit)
    for network, fit in (("anomaly", on), ("unet", off)):
        message = rf"train.{network}.start: shipped takes stamps of 64, and scenes.size is 32: set"
        with pytest.raises(ValueError, match=message):
            plan.check_start(scenes, network, fit)


@pytest.mark.parametrize(
    ("written", "read"),
    [("007", "7"), ("1.50", "1.5"), ("12:30", "750"), ("0x1F", "31"), ("1_000", "1000")],
)
def test_a_name_that_yaml_reads_otherwise_is_refused(tmp_path, written, read):
    config = tmp_path / "c.yaml"
    for text in (f"tiles:\n  {written}: {{image: {{r: a.fits}}}}", f"\nname: {written}"):
        config.write_text(text)
        with pytest.raises(ValueError, match=f"line 2: YAML reads {written} as {read}; write '"):
            plan.check_keys(config)
        config.write_text(text.replace(written, f"'{written}'"))
        plan.check_keys(config)


@pytest.mark.parametrize("name", ["7", "1.5", "2027-01-31", "f150w", "1e5"])
def test_a_name_that_yaml_reads_as_it_is_written_is_taken(tmp_path, name):
    (tmp_path / "c.yaml").write_text(f"detect: {{n_sigma: 5.00}}\ntiles:\n  {name}: {{}}")
    plan.check_keys(tmp_path / "c.yaml")
