"""Tell by the folders of files their bands, how near they lie, and names for what they show."""

from itertools import takewhile

from pipeline.ingest.look import BANDS


def with_bands(seen):
    """Give what has no band that of the nearest folder which is called after one.

    Of the folders that hold all files only the last one is asked.

    Parameters
    ----------
    seen : list of pipeline.ingest.look.Seen

    Returns
    -------
    list of Seen
    """
    folders = [one.path[:-1] for one in seen]
    above = max(_leading(min(folders, default=()), max(folders, default=())) - 1, 0)
    return [_with_band(one, one.path[above:-1]) for one in seen]


def _with_band(one, folders):
    tell = tuple(folder for folder in reversed(folders) if BANDS.fullmatch(folder))
    return one._replace(band=one.band or next(iter(tell), ""), named=one.named + tell)


def in_common(one, other):
    """How many folders two files share: those above both, and the last ones if called alike."""
    ours, theirs = one.path[:-1], other.path[:-1]
    above = _leading(ours, theirs)
    return above + _leading(ours[above:][::-1], theirs[above:][::-1])


def _leading(ours, theirs):
    """How many of the first names are the same in two rows."""
    pairs = zip(ours, theirs, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def lies_above(one, other):
    """Whether the folder of a file, or one in it, holds another file."""
    return one.path[:-1] == other.path[: len(one.path) - 1]


def telling(tiles):
    """Folders that tell tiles apart, and the last one, for each of them.

    Parameters
    ----------
    tiles : list of dict
        Images of each tile by band.

    Returns
    -------
    list of tuple of str
        Folders' names in one, empty where none tells; and the last folder's, empty without any.
    """
    own = [_folders([*tile.values()]) for tile in tiles]
    shared = set.intersection(*map(set, own))
    return [
        (" ".join(f for f in folders if f not in shared), " ".join(folders[-1:])) for folders in own
    ]


def _folders(images):
    """Folders that hold all images of a tile, but such as are called after a band."""
    first, *others = (one.path[:-1] for one in images)
    return [f for f in first if not BANDS.fullmatch(f) and all(f in other for other in others)]
