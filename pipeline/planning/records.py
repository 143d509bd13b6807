"""Records that a stage is done: they hold while its products are those that it wrote."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

THREADS = 16  # that look at files, for disks may be slow


def state(folder, products):
    """Size [byte] and time of change [ns] of each product in a tile's folder.

    Parameters
    ----------
    folder : path-like
    products : iterable of str
        Names of files.

    Returns
    -------
    dict of list of int
    """
    stats = {name: os.stat(Path(folder) / name) for name in products}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def drop_stale(results, batches):
    """Remove the records whose products are gone, or were written anew by another job.

    So it is when tiles were grouped otherwise in between, or somebody cleared a tile's folder.
    The job that a record stood for runs again then, and does what is to be done.

    Parameters
    ----------
    results : path-like
        The run's folder.
    batches : iterable of str
    """
    results = Path(results)
    records = [path for name in batches for path in (results / "batches" / name).glob("*.json")]
    with ThreadPoolExecutor(THREADS) as pool:
        for path, holds in zip(records, pool.map(_holds, records), strict=True):
            if not holds:
                path.unlink(missing_ok=True)


def _holds(record):
    """Whether all products are what a record says."""
    tiles = record.parent.parent.parent / "tiles"
    try:
        said = json.loads(record.read_text())["tiles"]
        return all(state(tiles / name, products) == products for name, products in said.items())
    except (OSError, ValueError, TypeError):
        return False
