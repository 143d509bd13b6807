"""Tiles that one entry of the config stands for: those whose files match its {wildcards}."""

import glob
import os
import re

from pipeline.planning.inputs import HDU

_WILDCARD = re.compile(r"\{(\w+)\}")


def expand(values):
    """Replace each tile whose name has {wildcards} by the tiles whose images are there.

    A wildcard stands for a part of the name of a file, a folder or an HDU with an image, the same
    wherever it appears in the entry.  One image of a tile is enough: what else is missing is for
    ingest to judge.  What is another tile's weight or mask is nobody's image.

    Parameters
    ----------
    values : dict
        What a user's YAML says; not yet validated.

    Returns
    -------
    dict
        The same, with every tile by its own name.

    Raises
    ------
    ValueError
        If wildcards of an entry's name and places differ, no file matches, or a tile is there
        twice.
    """
    if not isinstance(values.get("tiles"), dict):
        return values
    found = {}
    for pattern, entry in values["tiles"].items():
        for name, tile in _tiles(pattern, entry).items():
            if name in found:
                raise ValueError(f"tiles.{pattern}: the tile {name!r} is there already")
            found[name] = tile
    return {**values, "tiles": found}


def _tiles(pattern, entry):
    """Tiles of one entry, by name."""
    wildcards = sorted(set(_WILDCARD.findall(str(pattern))))
    places = _places(entry, "image")
    if not (wildcards and places):
        return {pattern: entry}
    for place in (*places, *_places(entry, "weight", "mask")):
        named = set(_WILDCARD.findall(place))
        if named - set(wildcards) or (place in places and named != set(wildcards)):
            raise ValueError(
                f"tiles.{pattern}: {place} must have the same {{wildcards}} as the name"
            )
    values = {matched for place in places for matched in _matches(place, wildcards)}
    if not values:
        looked = f"{' or '.join(places)} (looked in {os.getcwd()})"
        raise ValueError(f"tiles.{pattern}: no file matches {looked}")
    filled = [dict(zip(wildcards, each, strict=True)) for each in sorted(values)]
    return _without_weights({_fill(pattern, each): _fill(entry, each) for each in filled})


def _without_weights(tiles):
    """Drop tiles whose images are weights or masks of other tiles.

    A file with a tile's image and its weight has images of others, too: there the HDU counts.
    """
    whose = {}
    for name, tile in tiles.items():
        files = {HDU.sub("", place) for place in _places(tile, "image")}
        for place in _places(tile, "weight", "mask"):
            for known in {place, HDU.sub("", place)} - files:
                whose.setdefault(known, set()).add(name)
    owners = {
        name: set().union(
            *(whose.get(k, ()) for p in _places(tile, "image") for k in (p, HDU.sub("", p)))
        )
        for name, tile in tiles.items()
    }
    return {name: tile for name, tile in tiles.items() if owners[name] <= {name}}


def _places(entry, *kinds):
    """Places of an entry's files of some kinds; what is malformed has none."""
    bands = (entry.get(kind) for kind in kinds) if isinstance(entry, dict) else ()
    named = (place for band in bands if isinstance(band, dict) for place in band.values())
    return [place for place in named if isinstance(place, str)]


def _matches(place, wildcards):
    """What `wildcards` stand for in each image that matches `place`; an iterable of tuples."""
    path = HDU.sub("", place)
    of_hdu = set(_WILDCARD.findall(place)) - set(_WILDCARD.findall(path))
    search, pattern = _patterns(path, place if of_hdu else path)
    found = glob.iglob(search)
    images = (f"{p}[{hdu}]" for p in found for hdu in _hdus(p)) if of_hdu else found
    matched = (re.fullmatch(pattern, image) for image in images)
    return (tuple(match[name] for name in wildcards) for match in matched if match)


def _patterns(path, place):
    """What to search for as a path, and what a place that is found must look like."""
    search = "*".join(glob.escape(literal) for literal in _WILDCARD.split(path)[::2])
    literal, *rest = _WILDCARD.split(place)
    pattern, known = re.escape(literal), set()
    for name, literal in zip(rest[::2], rest[1::2], strict=True):
        pattern += (f"(?P={name})" if name in known else f"(?P<{name}>[^/]+)") + re.escape(literal)
        known.add(name)
    return search, pattern


def _hdus(path):
    """HDUs that a wildcard may stand for; 0 of a file that cannot be read: ingest will say why."""
    from pipeline.ingest.fitsfile import image_names
    from pipeline.ingest.mishaps import InputError

    try:
        return image_names(path)
    except InputError:
        return ["0"]


def _fill(value, stands_for):
    """Put what the wildcards stand for in a text, or in all texts of a mapping."""
    if isinstance(value, dict):
        return {key: _fill(each, stands_for) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    return _WILDCARD.sub(lambda match: stands_for[match[1]], value)
