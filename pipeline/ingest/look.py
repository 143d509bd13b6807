"""Look at somebody's file: which images it holds, and what names and headers say that they are."""

import re
import unicodedata
from typing import NamedTuple

from astropy.io import fits
from astropy.wcs import WcsError

from pipeline.ingest.coordinates import celestial
from pipeline.ingest.fitsfile import is_image, named_images, without_ones
from pipeline.ingest.mishaps import NONSENSE, reading
from pipeline.ingest.regrid import pixel_side

IMAGE, MASK, OTHER = "image", "mask", "other"
WORDS = {  # what words in names and headers say that an HDU holds, the first kind being believed
    OTHER: "ctx con context psf psfim psfsize copsf bkg bgmod background sky skybg seg segm "
    "segmentation segim model blobmodel hits chi2 std depth galdepth psfdepth nexp num cnt rrhr "
    "poisson rnoise flat area catalog",
    MASK: "mask masks msk mskim mskimg dq dqm flag flags flg maskbits bpm quality ood osd",
    "ivar": "ivar invvar ivm oow osw",
    "variance": "var variance",
    "rms": "rms err error sigma noise unc munc refunc uncertainty",
    "exposure": "weight weights wht wt wei wgt exp expmap expwt exposure cov mcov refcov coverage "
    "conf",  # CASU's confidence: an inverse variance, with a median of 100
    IMAGE: "image img im sci science data primary compressed ooi osi",
}
BANDS = re.compile(  # [nf]d are GALEX's
    r"[ugrizyjhk]|ks|vis|[nf](d|uv)|[fF]\d{3,4}(w|m|n|lp|x|w2)", flags=re.IGNORECASE
)
PUPIL, CHANNEL = "PUPIL", "CHNLNUM"
OF_BAND = PUPIL, "BAND", "FILTER", "FILTER1", "FILTER2", "FILTNAM1", CHANNEL
OF_KIND = "EXTNAME", "IMAGETYP", "IMTYPE"
SQUARED = re.compile(r"(1 ?/ ?)?\(?[A-Za-z]+\)? ?(?:\^|\*\*)? ?\(?(-)?2\)?")  # adu**-2
NO_FILTER = "clear", "none", "open", "blank", "n/a"


class Seen(NamedTuple):
    """One image of a file.

    Attributes
    ----------
    place : str
        ``path`` or ``path[HDU]``.
    path : tuple of str
        Names of the folders and of the file.
    kind : str
        `IMAGE`, a value of ``ingest.weight_is``, `MASK`, or `OTHER`.
    band : str
        Empty if nothing tells it.
    named : tuple of str
        Words of the file's name that tell the band, which a header may spell otherwise.
    words : tuple of str
        Those of the file's name, and of the HDU's where it is one of several of its kind and band,
        that tell neither kind nor band.
    shape : tuple of int
    centre : tuple of float or None
        Right ascension, declination and height on the sky [deg]; None without WCS.
    first : str
        The first word of the file's name if nothing else tells the kind: it may be a field's, as
        in ``std_field_g.fits``; else empty.
    """

    place: str
    path: tuple[str, ...]
    kind: str
    band: str
    named: tuple[str, ...]
    words: tuple[str, ...]
    shape: tuple[int, ...]
    centre: tuple[float, float, float] | None
    first: str


def look(path):
    """List the images of a file.

    Parameters
    ----------
    path : str

    Returns
    -------
    list of Seen

    Raises
    ------
    pipeline.ingest.mishaps.InputError
        If the file cannot be read.
    """
    with reading(path), fits.open(path) as hdus:
        images = named_images(hdus)
        seen = [_seen(path, hdu, hdus) for _, hdu in images]
        own = [split(hdu.name) for _, hdu in images]
        bands = [_bands(hdu) for _, hdu in images]
        several = sum(map(is_image, hdus)) > 1
    if several:
        places = (f"{path}[{name}]" for name, _ in images)
        seen = [one._replace(place=place) for one, place in zip(seen, places, strict=True)]
    told = zip(_told_apart(seen, own), bands, strict=True)
    return [plane for one, named in told for plane in _planes(one, named)]


def split(name):
    """Words of a name; a sign stays with its number."""
    return re.findall(r"[+-]?\d[^\W_]*|[^\W\d_][^\W_]*", unicodedata.normalize("NFC", name))


def _seen(path, hdu, hdus):
    """What an HDU is, by its own words and its file's."""
    headers = hdu.header, hdus[0].header
    parts = tuple(part for part in re.split(r"[\\/]", path) if part.strip("."))
    named = split(re.sub(r"\.(fits?|fts)(\.\w+)?$", "", parts[-1]))
    own = split(" ".join(str(hdu.header.get(key, "")) for key in OF_KIND))
    told = _filter(headers)
    of_band = set(split(told.lower())) & {word.lower() for word in named}
    tells = [w for w in named if (w.lower() in of_band if of_band else BANDS.fullmatch(w))]
    band = told or next((w for w in (*own, *tells) if BANDS.fullmatch(w)), "")
    kind = _kind(own, without=IMAGE) or _kind(named, without=IMAGE) or IMAGE
    if kind == "exposure":
        kind = _of_unit(hdu.header.get("BUNIT", "")) or _of_panstarrs(named, headers) or kind
    words = tuple(w for w in named if not _kind([w]) and w not in tells)
    shape, centre = without_ones(hdu.shape), _centre(hdu, hdus)
    by_first = kind != IMAGE and words and not _kind([*own, *named[1:]], without=IMAGE)
    first = named[0] if by_first else ""
    return Seen(path, parts, kind, band, tuple(tells), words, shape, centre, first)


def _kind(words, without=""):
    """Kind that the words tell; empty if they tell none."""
    lower = {word.lower() for word in words}
    kinds = (kind for kind, known in WORDS.items() if lower & set(known.split()))
    return next((kind for kind in kinds if kind != without), "")


def _of_unit(unit):
    """Kind of weight that is told by the power of its unit; empty if it tells none."""
    squared = SQUARED.fullmatch(str(unit).strip())
    inverse = squared and bool(squared[1]) != bool(squared[2])
    return ("ivar" if inverse else "variance") if squared else ""


def _of_panstarrs(named, headers):
    """Kind of a weight of Pan-STARRS, whose ``wt`` is a variance; empty of anything else.

    MAST's page on the stack images of PS1 says what is in each: https://outerspace.stsci.edu
    """
    words = {word.lower() for word in named}
    its = "skycell" in words or any("FPA.ZP" in header for header in headers)
    return "variance" if its and "wt" in words else ""


def _filter(headers):
    """First word of a header's filter; empty if there is none.

    JWST has filters among its pupils too, where FILTER is a wider one that blocks, or CLEAR; IRAC
    numbers its channels.
    """
    said = ((key, str(header.get(key, "")).split()) for header in headers for key in OF_BAND)
    words = ((key, words[0]) for key, words in said if words)
    tell = (
        f"ch{word}" if key == CHANNEL else word
        for key, word in words
        if not word.lower().startswith(NO_FILTER) and (key != PUPIL or BANDS.fullmatch(word))
    )
    return next(tell, "")


def _bands(hdu):
    """Bands of a cube's planes where its header names them, as those of the Legacy Surveys do."""
    said = str(hdu.header.get("BANDS", "")).strip()
    return said.split(",") if "," in said else list(said)


def _planes(one, bands):
    """One image for each band of a cube, if there are as many; else the one that it is."""
    if len(one.shape) != 3 or one.shape[0] != len(set(bands)):
        return [one]
    return [one._replace(band=band, shape=one.shape[1:]) for band in bands]


def _centre(hdu, hdus):
    try:
        wcs, _ = celestial(hdu.header.copy(), hdus)
    except (WcsError, *NONSENSE):
        return None
    if wcs is None:
        return None
    shape = hdu.shape[-2:]
    ra, dec = wcs.pixel_to_world_values((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    return float(ra), float(dec), shape[0] * pixel_side(wcs, shape) / 3600


def _told_apart(seen, own):
    """Add words of the HDU, or a number, where a file has several of a kind and band."""
    alike = {}
    for i, one in enumerate(seen):
        alike.setdefault((one.kind, one.band), []).append(i)
    for rows in (rows for rows in alike.values() if len(rows) > 1):
        more = [tuple(w for w in own[i] if not _kind([w])) for i in rows]
        if len(set(more)) < len(rows):
            more = [(str(number),) for number in range(1, len(rows) + 1)]
        for i, words in zip(rows, more, strict=True):
            seen[i] = seen[i]._replace(words=seen[i].words + words)
    return seen
