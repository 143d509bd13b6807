"""Ask the lens finder about real lenses, their own controls, and real galaxies that are none."""

import numpy as np
import yaml
from astropy.io import fits
from astropy.table import Table

from benchmarks.external import chain
from benchmarks.external.hsc import width
from pipeline import io
from pipeline.catalogs.catalog import flux_snr
from pipeline.config import read
from pipeline.data import Exposure
from pipeline.flags import Flag
from pipeline.models import metrics
from pipeline.models.binned import bootstrap, share
from pipeline.models.lens import FAINTEST
from pipeline.tiles import STAGES

FIELDS = "kids", "decals", "vista", "viking"
BALANCED = {"prevalence": 0.5}  # what the threshold of the model card is meant for
APERTURE = 3.0  # for the magnitude that is compared with [arcsec]
# Arcs seen by eye in the image itself, before any network was asked.
VISIBLE = (
    "SDSSJ0109+1500",
    "SDSSJ0330-0020",
    "SDSSJ0728+3835",
    "SDSSJ0822+2652",
    "SDSSJ0903+4116",
    "SDSSJ0946+1006",
    "SDSSJ0956+5100",
    "SDSSJ1020+1122",
    "SDSSJ1100+5329",
    "SDSSJ1134+6027",
    "SDSSJ1143-0144",
    "SDSSJ1250+0523",
    "SDSSJ1416+5136",
    "SDSSJ1436-0000",
    "SDSSJ1630+4520",
    "SDSSJ2238-0754",
    "SDSSJ2303+1422",
    "SDSSJ2341+0000",
)


def slacs(folder, networks=None):
    """Score every lens, and the same galaxy without its arcs.

    Parameters
    ----------
    folder : Path
        With ``index.csv``, ``{name}_lens.fits`` and ``{name}_control.fits``.
    networks : str, optional
        Folder of networks; the shipped ones if left out.

    Returns
    -------
    Table
        ``name``, ``usable`` (whether the control is not rated bad), ``visible``, ``lens`` and
        ``control`` (``p_lens`` at balanced classes), ``lens_flux`` and ``control_flux`` within
        `APERTURE` [electron/s].
    """
    table = Table.read(folder / "index.csv")
    options = chain.settings(networks, lens=BALANCED)
    quality = np.ma.filled(table["control_quality"].astype(str), "")
    rows = Table({"name": table["name"]})
    rows["usable"] = [not said.startswith("bad") for said in quality]
    rows["visible"] = np.isin(np.asarray(table["name"]).astype(str), VISIBLE)
    for kind in ("lens", "control"):
        stamps = [_slacs(folder / f"{name}_{kind}.fits") for name in table["name"]]
        rows[kind] = [score_centre(*stamp, options) for stamp in stamps]
        rows[f"{kind}_flux"] = [_aperture_flux(exposure) for exposure, _ in stamps]
    return rows


def _slacs(path):
    """Exposure of a SLACS stamp, and its PSF's width [pixel]."""
    with fits.open(path) as hdus:
        flux, noise = (np.asarray(hdus[k].data, "f4") for k in (0, "NOISE"))
        scale, fwhm = hdus[0].header["PIXSCALE"], width(hdus["PSF"].data)
    return _exposure(flux, np.where(noise > 0, noise, np.inf) ** -2, scale), fwhm


def _exposure(flux, ivar, scale):
    usable = np.isfinite(flux) & np.isfinite(ivar)
    planes = (np.where(usable, plane, 0).astype("f4")[..., None] for plane in (flux, ivar))
    return Exposure(*planes, None, ("F814W",), unit="electron / s", pixel_scale=scale)


def score_centre(exposure, fwhm, options):
    """Score the galaxy in the middle of an exposure whose PSF is `fwhm` pixels wide."""
    y, x = ((n - 1) // 2 for n in exposure.flux.shape[:2])
    source = Table({"id": [1], "x": [x], "y": [y]}, meta={"PSFFWHM": fwhm, "DETBAND": 0})
    return float(chain.lens_scores(exposure, source, options)[0])


def _aperture_flux(exposure):
    flux = exposure.flux[..., 0]
    y, x = np.indices(flux.shape) - (np.array(flux.shape)[:, None, None] - 1) // 2
    return float(flux[np.hypot(x, y) * exposure.pixel_scale < APERTURE].sum())


def cosmos(folder, networks=None):
    """Score COSMOS galaxies, none of which is known to be a lens; (n,)."""
    options = chain.settings(networks, lens=BALANCED)
    scores = []
    for path in sorted(folder.glob("COSMOS*.fits")):
        with fits.open(path) as hdus:
            flux, header = np.asarray(hdus[0].data, "f4"), hdus[0].header
            fwhm = width(hdus["PSF"].data)
        ivar = np.full(flux.shape, 1 / header["NOISEVAR"], "f4")
        exposure = _exposure(flux, ivar, float(header["PIXSCALE"]))
        scores.append(score_centre(exposure, fwhm, options))
    return np.array(scores)


def field(config_file, images, products, networks=None):
    """Score all that the chain finds in a real field.

    Parameters
    ----------
    config_file : Path
        Of the field, as a user wrote it, its images in ``real/``.
    images : Path
        Folder that stands for ``real``.
    products : Path
    networks : str, optional

    Returns
    -------
    Table
        ``p_lens`` at balanced classes and ``is_galaxy``: resolved, not saturated, and bright
        enough to be a lens for the lens finder.
    """
    values = yaml.safe_load(config_file.read_text().replace("real/", f"{images}/"))
    options = read(values | {"networks": networks, "lens": BALANCED})
    tables = []
    for tile in options.tiles:
        folder = products / options.name / tile
        folder.mkdir(parents=True, exist_ok=True)
        for stage in ("ingest", "detect", "cut", "classify"):
            STAGES[stage].work(options, folder)
        tables.append([io.read_table(folder / f"{k}.fits") for k in ("sources", "classify")])
    parts = [(_is_galaxy(s), np.asarray(c["p_lens"], "f8")) for s, c in tables]
    is_galaxy, p_lens = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Table({"p_lens": p_lens, "is_galaxy": is_galaxy})


def _is_galaxy(sources):
    flags = np.asarray(sources["flags"]) & (Flag.POINT_LIKE | Flag.SATURATED)
    return (flags == 0) & (flux_snr(sources, "flux_auto") > FAINTEST)


def summary(lenses, galaxies, fields, threshold):
    """Numbers of the table, each with an error.

    Parameters
    ----------
    lenses : Table
        Of `slacs`.
    galaxies : ndarray, (n,)
        Of `cosmos`.
    fields : dict of Table
        Of each `field`.
    threshold : float
        ``p_lens`` at balanced classes; NaN leaves out what needs it.

    Returns
    -------
    dict of dict
        ``value``, ``error`` and ``n``.
    """
    usable = lenses[np.asarray(lenses["usable"], bool)]
    rows = {
        "pairs_ranked_right": share(np.asarray(usable["lens"] > usable["control"])),
        "pairs_ranked_right_by_flux": share(
            np.asarray(usable["lens_flux"] > usable["control_flux"])
        ),
        "auroc": _paired_auroc(usable, "lens", "control"),
        "auroc_of_flux_alone": _paired_auroc(usable, "lens_flux", "control_flux"),
        "threshold": {"value": threshold, "error": None, "n": None},
    }
    if not np.isfinite(threshold):
        return rows
    p_lens, visible = np.asarray(lenses["lens"]), np.asarray(lenses["visible"], bool)
    everything = {"cosmos": galaxies} | {
        name: np.asarray(t["p_lens"])[np.asarray(t["is_galaxy"], bool)]
        for name, t in fields.items()
    }
    rows |= {
        "above_threshold": share(p_lens > threshold),
        "above_threshold_visible": share(p_lens[visible] > threshold),
        "controls_above_threshold": share(np.asarray(usable["control"]) > threshold),
    }
    every = np.concatenate(list(everything.values()))
    rows["false_positives"] = share(every > threshold)
    rows |= {f"false_positives_{k}": share(v > threshold) for k, v in everything.items()}
    return rows


def _paired_auroc(table, lens, control):
    """Area under the ROC curve of lenses against controls; the pairs are resampled."""

    def auroc(pairs):
        return metrics.roc_auc(pairs.T.ravel(), np.arange(pairs.size) < len(pairs))

    return bootstrap(auroc, np.column_stack([table[lens], table[control]]))
