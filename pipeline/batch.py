"""Run one stage over the tiles of a job, and skip those whose products are already there."""

import hashlib
import json
import logging

from pipeline import io
from pipeline.planning.inputs import stamps
from pipeline.planning.records import state

UNTRACKED = "on_bad_tile", "networks"  # settings that decide no product; weights count by `code`

log = logging.getLogger(__name__)


def run(stage, config, code, folders):
    """Run `stage` in every tile's folder where its products are missing or out of date.

    So a job that was killed goes on where it stopped, and a batch that got one more tile computes
    only that one.  What the products were made with is written down in the folder's ``.receipts``.

    Parameters
    ----------
    stage : Stage
        What to do, which files it reads and which it writes.
    config : Config
        Of which only those sections are set that the stage depends on.
    code : str
        Digest of what else decides the products: the stage's source, the network's weights.
    folders : list of Path
        ``results/{name}/tiles/{tile}`` of each tile.

    Returns
    -------
    dict of dict
        `pipeline.planning.records.state` of each tile's products, by its name; it is another one
        whenever they are written anew, and what depends on them is to be made anew.
    """
    for folder in folders:
        made_with, receipt = _made_with(config, code, folder.name), _receipt(stage, folder)
        if _is_current(stage, folder, made_with):
            log.info("%s %s: already done", stage.name, folder.name)
            continue
        log.info("%s %s", stage.name, folder.name)
        receipt.unlink(missing_ok=True)
        for name in stage.writes:
            io.remove_parts(folder / name)
        stage.work(config, folder)
        io.write_text(receipt, made_with)
    return {folder.name: state(folder, stage.writes) for folder in folders}


def _made_with(config, code, tile):
    """Digest of all that decides the products of one tile, but for the products of other stages."""
    said = config.model_dump(mode="json", exclude={"tiles", *UNTRACKED}, exclude_unset=True)
    images = config.tiles.get(tile)
    if images:
        said["images"] = images.model_dump()
        said["files"] = stamps(images)
    return hashlib.sha256(json.dumps([code, said], sort_keys=True).encode()).hexdigest()


def _receipt(stage, folder):
    return folder / ".receipts" / stage.name


def _is_current(stage, folder, made_with):
    """Whether the products exist, were made with the same, and after what they are made of."""
    products, receipt = [folder / name for name in stage.writes], _receipt(stage, folder)
    if not all(path.exists() for path in (receipt, *products)) or receipt.read_text() != made_with:
        return False
    oldest = min(path.stat().st_mtime_ns for path in products)
    return all((folder / name).stat().st_mtime_ns <= oldest for name in stage.reads)
