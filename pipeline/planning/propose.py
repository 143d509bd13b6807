"""Propose a config for somebody's files: which image, weight and mask of which tile and band."""

import itertools
import math
import re
import unicodedata
from collections import Counter

from astropy.coordinates import angular_separation

from pipeline.ingest.look import IMAGE, MASK, OTHER, look, split
from pipeline.ingest.mishaps import InputError
from pipeline.ingest.whose import APART
from pipeline.planning.folders import in_common, lies_above, telling, with_bands

WEIGHTS = "ivar", "variance", "rms", "exposure"  # the first of those that are there are taken
ORDER = "ugrizyjhk"  # of bands, which all tiles have in common
SAME_PLACE = 0.05  # of a side, at most, between the centres of what shows the same sky
UNKNOWN = "x"  # band whose name nothing tells


def propose(name, paths):
    """Make a config of files: images, and the weights and masks that belong to them.

    Images whose names differ but in the band are bands of one tile, unless the sky says otherwise,
    as are such as show the same sky in other bands; what repeats the sky and the band of another,
    and tiles in other bands than most, are left out.  A weight or a mask has the shape of its
    image, and its file's or its HDU's name, or its place on the sky.

    Parameters
    ----------
    name : str
        Of the run.
    paths : sequence of str

    Returns
    -------
    config : dict
        As a user's YAML; without tiles if no image was found.
    notes : list of str
        What was left out, and what to set.
    """
    seen, left = _looked_at(paths)
    seen, fields = _with_fields(seen)
    first, again = _once([one for one in seen if one.kind == IMAGE])
    tiles, odd = _alike(_joined(_tiles(first)))
    images = [one for bands in tiles.values() for one in bands.values()]
    kind, weights = _weights(images, seen)
    masks = _matched(images, seen, MASK)
    entries = {key: _entry(bands, weights, masks) for key, bands in tiles.items()}
    config = {"name": name, "tiles": entries} | ({"ingest": {"weight_is": kind}} if kind else {})
    left |= fields | again | odd | _useless(seen, {*weights.values(), *masks.values()}, kind)
    if alien := [one.place for one in images if one.centre is None]:
        left["no WCS; ingest.pixel_scale must be set"] = alien
    return config, [_told(reason, places) for reason, places in left.items()]


def _useless(seen, used, kind):
    """What no image has for a weight or a mask, by the reason."""
    left = {}
    for one in (one for one in seen if one.kind != IMAGE and one.place not in used):
        alone = one.kind in (kind, MASK)
        why = "no image takes it, by shape and name or place" if alone else f"{one.kind}, not used"
        left.setdefault(why, []).append(one.place)
    return left


def _looked_at(paths):
    """What all files hold, and by its reason what cannot be used of them."""
    seen, left = [], {}
    for path in sorted(paths):
        try:
            found = look(path)
        except InputError as error:
            left[str(error).removeprefix(f"{path}: ")] = [path]
            continue
        seen += [one for one in found if len(one.shape) == 2]
        for one in found:
            if len(one.shape) != 2:
                left.setdefault("a cube; name it for each of its bands", []).append(one.place)
    return with_bands(seen), left


def _with_fields(seen):
    """Take for images what the first word of a name alone makes maps and masks, if none is beside.

    Gives all that was seen, and by the reason what was taken so.
    """
    images = [one for one in seen if one.kind == IMAGE]
    known, taken = {one.words for one in images}, {}
    for one in (one for one in seen if one.first and one.kind in (OTHER, MASK) and one.centre):
        if one.words not in known and not any(_same_place(one, image) for image in images):
            taken[one] = one._replace(kind=IMAGE, words=(one.first, *one.words))
    why = "taken for an image, though its name says that it is none, for no image is beside it"
    places = [one.place for one in taken]
    return [taken.get(one, one) for one in seen], {why: places} if places else {}


def _told(reason, places):
    """Say what concerns some places."""
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return f"{places[0]}{more}: {reason}"


def _once(images):
    """Images without those of another's shape, sky and band, and by the reason these.

    That with the shortest name stays: it is the image where others are maps that nothing tells.
    """
    known, repeats, why = {}, set(), {}
    for one in sorted(images, key=lambda one: len(one.words)):
        alike = known.setdefault((one.shape, one.band), [])
        same = next((other for other in alike if _same_place(one, other)), None)
        if same is None:
            alike.append(one)
            continue
        repeats.add(one)
        told = f"same sky and band ({one.band or 'unknown'}) as {same.place}; which is the image?"
        why.setdefault(told, []).append(one.place)
    return [one for one in images if one not in repeats], why


def _tiles(images):
    """Images of each tile by band; those of a tile have the same words in their names."""
    alike = {}
    for one in images:
        band, known = one.band or UNKNOWN, alike.setdefault(one.words, [])
        tile = next((tile for tile in known if _has_room(tile, band, one)), None)
        if tile is None:
            known.append(tile := {})
        tile[band] = one
    return _named(alike)


def _has_room(tile, band, one):
    """Whether an image may be a tile's in a band: it has none, and those it has are not far off."""
    return band not in tile and not any(_apart(one, other) for other in tile.values())


def _named(alike):
    """Name tiles by the words of their files; by a folder where these are none, or others' too.

    A folder's name that tells only some of these tiles is put before the words.
    """
    told = []
    for words, tiles in alike.items():
        own = _spelt(words)
        for tile, (apart, last) in zip(tiles, telling(tiles), strict=True):
            folder = apart or ("" if own else last)
            told.append((_spelt(split(folder)), own, tile))
    often, named = Counter(folder for folder, *_ in told), {}
    for folder, own, tile in told:
        both = "_".join(filter(None, (folder, own))) or "t1"
        name = folder if folder and often[folder] == 1 else both
        names = itertools.chain([name], (f"{name}_{n}" for n in itertools.count(2)))
        named[next(name for name in names if name not in named)] = tile
    return named


def _spelt(words):
    """A name of words, of letters that a tile's may have."""
    plain = unicodedata.normalize("NFKD", "_".join(words)).encode("ascii", "ignore").decode()
    return re.sub(r"^[^A-Za-z0-9]+", "", plain)


def _joined(tiles):
    """Join tiles that show the same sky in other bands."""
    joined = {}
    for key, bands in tiles.items():
        first = next(iter(bands.values()))
        same = (
            other
            for other, known in joined.items()
            if not known.keys() & bands.keys()
            and all(_same_place(first, one) for one in known.values())
        )
        joined.setdefault(next(same, key), {}).update(bands)
    return joined


def _alike(tiles):
    """Tiles of the commonest bands, in order, and by the reason the images of the others.

    A cube keeps the order of its planes.
    """
    often = Counter(frozenset(bands) for bands in tiles.values())
    most = max(often, key=often.get, default=frozenset())
    order = sorted(most, key=lambda band: (ORDER.find(band[0].lower()) % (len(ORDER) + 1), band))
    alike = {
        key: own if len({one.place for one in own.values()}) == 1 else {b: own[b] for b in order}
        for key, own in tiles.items()
        if own.keys() == most
    }
    odd = {}
    for own in (own for own in tiles.values() if own.keys() != most):
        many = "most" if often[frozenset(own)] < often[most] else "as many"
        why = f"of a tile in {', '.join(sorted(own))}, where {many} are in {', '.join(order)}"
        odd.setdefault(why, []).extend(one.place for one in own.values())
    return alike, odd


def _same_place(one, other):
    """Whether two images show the same sky; not where one has no WCS."""
    known = one.centre is not None and other.centre is not None
    return known and _closer(one, other, SAME_PLACE)


def _apart(one, other):
    """Whether two images show different fields; not where one has no WCS."""
    known = one.centre is not None and other.centre is not None
    return known and not _closer(one, other, APART)


def _closer(one, other, share):
    """Whether the centres of two images are closer than a share of the smaller's side."""
    (ra, dec, side), (ra2, dec2, side2) = one.centre, other.centre
    most = share * min(side, side2)
    if abs(dec - dec2) >= most:  # of nearly all, and ten times faster
        return False
    return math.degrees(angular_separation(*map(math.radians, (ra, dec, ra2, dec2)))) < most


def _weights(images, seen):
    """Kind of weight that most images have, None if none has any, and those weights by image."""
    of_kind = {kind: _matched(images, seen, kind) for kind in WEIGHTS}
    kind = max(WEIGHTS, key=lambda kind: len(of_kind[kind]))
    return (kind if of_kind[kind] else None), of_kind[kind]


def _matched(images, seen, kind):
    """Place of the weight or mask of each image that has one, by the image's.

    Of several an image takes that of its own file, else that whose name shares most words with its
    own, else the nearest by folders; and leaves what is more another image's, be that used or not.
    """
    found, rivals, named = {}, [one for one in seen if one.kind == IMAGE], {}
    for one in rivals:
        named.setdefault(one.words, []).append(one)
    for other in (one for one in seen if one.kind == kind):
        owners = _owners(other, rivals, named.get(other.words, ()))
        theirs = [(_nearness(image, other), image) for image in owners]
        nearest = max((near for near, _ in theirs), default=())
        for near, image in theirs:
            if near == nearest:
                rank = not _apart(image, other), *near, -len(other.path)
                found.setdefault(image.place, []).append((rank, other.place))
    best = {place: max(options, key=lambda o: o[0])[1] for place, options in found.items()}
    return {one.place: best[one.place] for one in images if one.place in best}


def _owners(other, images, named):
    """Images that a weight or mask may belong to, by its name or else by its place on the sky.

    One at another place than all of these keeps its name's (`named`) if that is one image's alone,
    or the image lies in its folder or below: its coordinates may be another's, copied.
    """
    named = [i for i in named if _fits(other, i)]
    return (
        [i for i in named if not _apart(i, other)]
        or [i for i in images if _same_place(i, other) and _fits(other, i)]
        or [i for i in named if len(named) == 1 or lies_above(other, i)]
    )


def _nearness(image, other):
    """How near a weight or mask is to an image: in its file, by words of names, by folders."""
    words = image.words == other.words, len({*image.words} & {*other.words})
    return image.path == other.path, *words, in_common(image, other)


def _fits(other, image):
    """Whether a weight or mask has the image's shape and, if it has one, band (header or name)."""
    return other.shape == image.shape and other.band in ("", image.band, *image.named)


def _entry(bands, weights, masks):
    """Entry of a tile."""
    entry = {"image": {band: one.place for band, one in bands.items()}}
    for kind, known in (("weight", weights), ("mask", masks)):
        has = {band: known[one.place] for band, one in bands.items() if one.place in known}
        entry |= {kind: has} if has else {}
    return entry
