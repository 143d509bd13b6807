"""What Snakemake asks before anything runs: who works on which tiles, and on which files."""

import hashlib
import math
from collections import Counter
from functools import cache
from pathlib import Path

import yaml

from pipeline import SHIPPED
from pipeline.planning.digest import card, model, weights


def batches(tiles, per_job):
    """Group tiles into batches of about `per_job`.

    A tile's batch hangs on its name and on the number of batches, a power of two.  So a tile that
    is added or removed concerns one batch; only a survey that doubles is grouped anew, and then
    tiles that are done stay done (see `pipeline.batch`).

    Parameters
    ----------
    tiles : iterable of str
        Names, in any order.
    per_job : int
        Largest mean number of tiles in a batch; at 1, every tile is a batch of its own name.

    Returns
    -------
    dict
        Names of the tiles of each batch, which is never empty.
    """
    names = sorted(tiles)
    if per_job == 1:
        return {name: [name] for name in names}
    n = 2 ** max(0, math.ceil(math.log2(max(len(names), 1) / per_job)))
    found = {}
    for name in names:
        number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % n + 1
        found.setdefault(f"{number}of{n}", []).append(name)
    return found


def megabytes(tile, stamps):
    """Size of a tile's files once unpacked, roughly, or of its window of them [MB].

    Parameters
    ----------
    tile : pipeline.config.Tile
    stamps : dict
        Of its files, see `pipeline.planning.inputs.stamps`.

    Returns
    -------
    float
    """
    whole = sum(stamp[0] * _unpacked(path) for path, stamp in stamps.items() if stamp) / 1e6
    if not tile.window:
        return whole
    x0, y0, x1, y1 = tile.window
    planes = len(tile.image) + len(tile.weight) + len(tile.mask)
    return min(whole, 4e-6 * planes * (x1 - x0) * (y1 - y0))


class _Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads YAML, but for what it would change without a word: keys there twice, and names."""

    def construct_mapping(self, node, deep=False):
        """Make a mapping of a node's keys and values."""
        count = Counter(key.value for key, _ in node.value)
        twice = sorted(key for key, n in count.items() if n > 1)
        if twice:
            line = node.start_mark.line + 1
            raise ValueError(f"{', '.join(twice)}: there twice, in the section from line {line} on")
        for key, value in node.value:
            self._check_written(key)
            if key.value == "name":
                self._check_written(value)
        return super().construct_mapping(node, deep)

    def _check_written(self, node):
        """Refuse a number, or a date, that YAML reads as another text than is written."""
        if node.tag.rpartition(":")[2] not in {"int", "float", "timestamp"}:
            return
        read = str(self.construct_object(node))
        if read != node.value:
            where = f"line {node.start_mark.line + 1}"
            raise ValueError(f"{where}: YAML reads {node.value} as {read}; write '{node.value}'")


def check_keys(path):
    """Refuse a config file in which a setting, or a tile, is there twice, or not as it is written.

    Raises
    ------
    ValueError
    """
    with open(path, encoding="utf-8") as file:
        try:
            yaml.load(file, _Strict)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


@cache
def check_stamps(cut, network, folder=None):
    """Refuse stamps of another size than a network takes.

    Parameters
    ----------
    cut : pipeline.config.Cut
    network : str
    folder : str or None
        Folder of all networks; None for the shipped ones.

    Raises
    ------
    ValueError
        If they differ from the scenes that the network's card says it was trained on.
    """
    size, taken = _taken(network, folder)
    asked = getattr(cut, size)
    if taken not in (asked, None):
        raise ValueError(
            f"cut.{size} is {asked}, but {network} in {folder or SHIPPED} takes stamps of {taken}: "
            f"set cut.{size}: {taken}, or train it with scenes.{size}: {asked}"
        )


@cache
def check_below(network, folder=None):
    """Refuse a network beside another than it was trained on.

    Parameters
    ----------
    network : str
    folder : str or None
        Folder of all networks; None for the shipped ones.

    Raises
    ------
    ValueError
        If its card tells of another network below it than there is.
    """
    home = Path(folder or SHIPPED)
    for below, known in card(home / network / "card.json").get("builds_on", {}).items():
        weights(below, folder)  # or says what is missing
        if model(below, home) != known:
            raise ValueError(
                f"networks: {home / network} builds on another {below} than {home / below}: copy "
                f"both from the folder that they were trained in, or train {network} anew"
            )


def check_start(scenes, network, fit):
    """Refuse to go on from a network that cannot learn from stamps of the scenes' size.

    Parameters
    ----------
    scenes : pipeline.config.train.Scenes
    network : str
    fit : pipeline.config.train.Fit

    Raises
    ------
    ValueError
        If it takes others and is taken as it is, or has a layer for each pixel; or if it is taken
        as it is beside another network than it was trained on.
    """
    if not fit.epochs:
        check_below(network, fit.folder)
    size, taken = _taken(network, fit.folder)
    asked = getattr(scenes, size)
    if taken not in (asked, None) and (not fit.epochs or network == "anomaly"):
        raise ValueError(
            f"train.{network}.start: {fit.start} takes stamps of {taken}, and scenes.{size} is "
            f"{asked}: set scenes.{size}: {taken}, or train {network} without `start`"
        )


def _taken(network, folder):
    """Setting of the size of a network's stamps, and what its card says of that, if anything."""
    size = "lens_size" if network == "lens" else "size"
    said = card(Path(folder or SHIPPED) / network / "card.json")
    return size, said.get("scenes", {}).get(size)


def _unpacked(path):
    """How much larger than the file its images are: survey images pack to about a quarter."""
    return 4 if path.endswith((".fz", ".gz")) else 1
