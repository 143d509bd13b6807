"""Where a catalog comes from: software, settings, networks and input files."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from pipeline import SHIPPED
from pipeline.config import NETWORKS
from pipeline.models.engine import fastest_precision
from pipeline.planning.digest import PACKAGE
from pipeline.planning.inputs import completed, sha256

PACKAGES = (
    "astropy",
    "keras",
    "lenscat",
    "numpy",
    "openvino",
    "photutils",
    "reproject",
    "scikit-image",
    "scipy",
    "sep",
    "snakemake",
    "tensorflow",
)


def provenance(config, created, read):
    """Tell what made a catalog.

    Parameters
    ----------
    config : Config
        Of which those settings are set that were used, their defaults too; no others are told.
    created : datetime.datetime
        When; no product but this one holds a date.
    read : dict
        `pipeline.planning.inputs.fingerprints` of each tile, as ingest found them, by the tile's
        name.

    Returns
    -------
    dict
        ``created``; ``arclet`` (its version), ``revision`` (of its git checkout; None without
        one), ``python``, ``packages`` (version of each), ``config``, ``precision`` (arithmetic of
        the networks, on this machine where the config says `auto`), ``weights`` (SHA-256 of each
        file of the networks) and ``inputs`` (SHA-256 and size [byte] of each file that the config
        names, when ingest read it; None for one that it could not read, and for the SHA-256 of one
        that was split, and replaced since).  All of it fits JSON.
    """
    home = Path(config.networks or SHIPPED)
    weights = sorted(path for name in NETWORKS for path in (home / name).rglob("*"))
    return {
        "created": created.isoformat(timespec="seconds"),
        "arclet": metadata.version("arclet"),
        "revision": _revision(PACKAGE),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "config": config.model_dump(mode="json", exclude_unset=True),
        "precision": _precision(config.apply),
        "weights": {p.relative_to(home).as_posix(): sha256(p) for p in weights if p.is_file()},
        "inputs": dict(sorted(_inputs(read).items())),
    }


def _inputs(read):
    """Join the tiles' files; one that was replaced from tile to tile is there for each version."""
    found = {}
    for tile, files in read.items():
        for path, said in files.items():
            whole = completed(path, said)
            if found.setdefault(path, whole) != whole:
                found[f"{path}, as {tile} found it"] = whole
    return found


def _precision(settings):
    """Arithmetic of the networks; of `auto`, what this processor computes in."""
    if settings.engine != "openvino":
        return "f32"
    return fastest_precision() if settings.precision == "auto" else settings.precision


def _revision(folder):
    """Commit of the git checkout that `folder` is the package of; None if it is in none."""
    if not (folder.parent / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()
