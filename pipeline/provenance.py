"""Where a catalog comes from: software, settings, networks and input files."""

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from pipeline import plan
from pipeline.config import NETWORKS
from pipeline.digest import PACKAGE, SHIPPED

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


def provenance(config, created):
    """Tell what made a catalog.

    Every file is hashed once, however many tiles or bands name it.

    Parameters
    ----------
    config : Config
        Of which those settings are set that were used, their defaults too; no others are told.
    created : datetime.datetime
        When; no product but this one holds a date.

    Returns
    -------
    dict
        ``created``; ``arclet`` (its version), ``revision`` (of its git checkout; None without
        one), ``python``, ``packages`` (version of each), ``config``, ``weights`` (SHA-256 of
        each file of the networks) and ``inputs`` (SHA-256 and size [byte] of each file that the
        config names; None for one that cannot be read).  All of it fits JSON.
    """
    files = {path for tile in config.tiles.values() for path in plan.sizes(tile)}
    home = Path(config.networks or SHIPPED)
    weights = sorted(path for name in NETWORKS for path in (home / name).rglob("*"))
    return {
        "created": created.isoformat(timespec="seconds"),
        "arclet": metadata.version("arclet"),
        "revision": _revision(PACKAGE),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "config": config.model_dump(mode="json", exclude_unset=True),
        "weights": {p.relative_to(home).as_posix(): sha256(p) for p in weights if p.is_file()},
        "inputs": {path: _fingerprint(path) for path in sorted(files)},
    }


def sha256(path):
    """SHA-256 of a file, in hexadecimal digits; read in pieces, for files are large."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(path):
    """Checksum and size of a file; None if it cannot be read."""
    try:
        return {"sha256": sha256(path), "bytes": Path(path).stat().st_size}
    except OSError:
        return None


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
