"""The files of a tile: where they are, and which ones they were when they were looked at."""

import hashlib
import os
import re
from functools import cache

HDU = re.compile(r"\[[^\[\]]*\]$")  # of path[HDU]


def stamps(tile):
    """Size [byte] and time of change [ns] of each file of a tile's images, weights and masks.

    Parameters
    ----------
    tile : pipeline.config.Tile

    Returns
    -------
    dict
        By path, without ``[HDU]``, sorted; None for a file that is missing or may not be read,
        which is for ingest to judge, not for Snakemake.
    """
    places = {*tile.image.values(), *tile.weight.values(), *tile.mask.values()}
    return {path: _stamp(path) for path in sorted(set(map(_file, places)))}


def fingerprints(tile):
    """SHA-256 and size [byte] of each file of a tile; None for one that cannot be read.

    Taken right after the pixels are read, it finds the file in the system's cache.  A file that
    many tiles share is read once in a process, while its stamp stays.  But a window's job reads a
    part of a large file, as many others do: of that it gives size and time of change [ns], and
    `completed` the rest.
    """
    tell = _as_looked_at if tile.window else _fingerprint
    return {path: stamp and tell(path, stamp) for path, stamp in stamps(tile).items()}


def completed(path, said):
    """Add the SHA-256 that `fingerprints` left out; None where the file is another one by now."""
    if not said or "changed" not in said:
        return said
    stamp = said["bytes"], said["changed"]
    if _stamp(path) == stamp:
        return _fingerprint(path, stamp)
    return {"sha256": None, "bytes": said["bytes"]}


def is_there(path):
    """Whether a file exists and may be read."""
    return os.path.isfile(path) and os.access(path, os.R_OK)


def sha256(path):
    """SHA-256 of a file, in hexadecimal digits; read in pieces, for files are large."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_looked_at(path, stamp):
    return {"bytes": stamp[0], "changed": stamp[1]}


@cache
def _fingerprint(path, stamp):
    try:
        return {"sha256": sha256(path), "bytes": stamp[0]}
    except PermissionError:
        return None


def _file(place):
    """Path of ``path[HDU]``; a file whose own name ends in brackets is meant literally."""
    return place if os.path.isfile(place) else HDU.sub("", place)


def _stamp(path):
    if not is_there(path):
        return None
    said = os.stat(path)
    return said.st_size, said.st_mtime_ns
