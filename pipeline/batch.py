"""Run one stage over the tiles of a job, and skip those whose products are already there."""

import hashlib
import json
import logging
from importlib import metadata, resources
from pathlib import Path

from pipeline import io

log = logging.getLogger(__name__)


def run(stage, config_text, folders):
    """Run `stage` in every tile folder that lacks its products.

    Parameters
    ----------
    stage : Stage
        What to do, which files it reads and which it writes.
    config_text : str
        JSON of the sections of the config that the stage depends on.
    folders : list of Path
        ``results/{name}/tiles/{tile}`` of each tile.
    """
    from pipeline.config import Config

    config = Config.model_validate_json(config_text)
    key = stage_key(stage.name, config_text)
    for folder in folders:
        if _is_current(stage, folder, key):
            log.info("%s %s: already done", stage.name, folder.name)
            continue
        log.info("%s %s", stage.name, folder.name)
        stage.work(config, folder)
        io.write_text(_receipt(stage, folder), key + "\n")


def stage_key(name, config_text):
    """Digest of all but the input files that decides a stage's products."""
    said = json.dumps(json.loads(config_text), sort_keys=True)
    return hashlib.sha256(f"{name} {said} {code_digest()}".encode()).hexdigest()


def code_digest():
    """Digest of the package's source and of the versions of what it computes with."""
    digest = hashlib.sha256()
    for path in sorted(_sources(resources.files("pipeline")), key=str):
        digest.update(path.read_bytes())
    for package in ("numpy", "scipy", "astropy", "sep", "photutils", "openvino", "keras"):
        digest.update(metadata.version(package).encode())
    return digest.hexdigest()[:16]


def _sources(folder):
    return Path(str(folder)).rglob("*.py")


def _receipt(stage, folder):
    return folder / ".receipts" / stage.name


def _is_current(stage, folder, key):
    """Whether the products exist, are of this key, and are not older than what they are made of."""
    products, receipt = [folder / name for name in stage.writes], _receipt(stage, folder)
    if not receipt.exists() or receipt.read_text().strip() != key:
        return False
    if not all(path.exists() for path in products):
        return False
    oldest = min(path.stat().st_mtime_ns for path in products)
    return all((folder / name).stat().st_mtime_ns <= oldest for name in stage.reads)
