"""Celestial coordinates of an image, from the dialects of FITS that surveys write."""

import re

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import fit_wcs_from_points, wcs_to_celestial_frame

SIP_KEYWORD = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)")
PV_KEYWORD = re.compile(r"PV[12]_\d+")
DRIZZLED = re.compile(r"NDRIZIM|D\d{3}(VER|DATA)")  # as Drizzle writes of each image it takes
NUMBER = re.compile(r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d+")


def celestial(header, hdus):
    """Read the coordinates of an image.

    Parameters
    ----------
    header : Header
    hdus : HDUList
        Where distortions kept as images are looked up.

    Returns
    -------
    wcs : WCS or None
        None where the header has no celestial coordinates.
    notes : tuple of str

    Raises
    ------
    ValueError
        If they are of a kind that we do not know, or the centre of the image has no place on the
        sky; astropy raises more.
    """
    header, notes = standard(header, hdus[0].header if hdus else ())
    wcs = WCS(header, hdus, naxis=2)
    if not wcs.has_celestial:
        return None, ()
    notes = *notes, *_understood(header, wcs)
    centre = [(header[f"NAXIS{axis}"] - 1) / 2 for axis in (1, 2)]
    if not np.isfinite(wcs.all_pix2world([centre], 0)).all():
        raise ValueError("the image's centre has no place on the sky")
    if any((wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)):
        wcs, note = _as_polynomial(wcs, header["NAXIS1"], header["NAXIS2"])
        notes = *notes, note
    return wcs, notes


def _understood(header, wcs):
    """Refuse what wcslib and astropy would take for something else without a word; gives notes."""
    words = [k for k in header if NUMBER.fullmatch(k) and isinstance(header[k], str)]
    if words:
        raise ValueError(f"{words[0]} is {header[words[0]]!r}, no number")
    kind, system = wcs.wcs.ctype[wcs.wcs.lng], wcs.wcs.radesys
    if not kind.startswith(("RA--", "GLON")):
        raise ValueError(f"{kind} is neither RA nor GLON")
    try:
        wcs_to_celestial_frame(wcs)
    except ValueError:
        if header.get("EQUINOX", 2000) != 2000:
            raise ValueError(f"RADESYS is {system!r}, EQUINOX {header['EQUINOX']!r}") from None
        wcs.wcs.radesys = "ICRS"
        return (f"RADESYS is {system!r} and was taken for ICRS; is that right?",)
    return ()


def _as_polynomial(wcs, width, height):
    """Fit a distortion that is kept as images (HST) by a polynomial, which any header can keep."""
    x, y = (
        axis.ravel() for axis in np.meshgrid(*(np.linspace(0, n - 1, 40) for n in (width, height)))
    )
    sky = wcs.pixel_to_world(x, y)
    fit = fit_wcs_from_points((x, y), sky, projection=wcs.wcs.ctype[0][5:8], sip_degree=5)
    worst = fit.pixel_to_world(x, y).separation(sky).to_value("mas").max()
    return fit, f"the distortion's images are replaced by a SIP polynomial, to {worst:.2g} mas"


def standard(header, primary=()):
    """Bring SCAMP's and SIP's dialects of TAN to what wcslib reads, in a copy of the header.

    SCAMP wrote its distortion as PVi_j of a plain TAN before the name TPV was agreed upon, and
    some write the SIP polynomial without its name in CTYPE; beside TPV, as PTF has both, it is the
    same distortion again (Shupe et al. 2012, SPIE 8451).  Drizzled images are undistorted, but
    some have kept the polynomial of a chip, which misplaces by an arcminute
    (astropy/astropy#4761, #4803).

    Parameters
    ----------
    header, primary : Header
        Of the image, and of the file's first HDU.

    Returns
    -------
    header : Header
    notes : tuple of str
    """
    kinds = [str(header.get(f"CTYPE{axis}", "")) for axis in (1, 2)]
    sip = [k for k in header if SIP_KEYWORD.fullmatch(k)]
    pv = [k for k in header if PV_KEYWORD.fullmatch(k)]
    latitude = 1 if kinds[0].startswith(("DEC", "GLAT", "ELAT")) else 2
    polynomial = [header[k] for k in pv if k.startswith(f"PV{latitude}_")]  # TAN itself has none
    is_tan, is_sip, is_tpv = (
        all(k.endswith(name) for k in kinds) for name in ("-TAN", "-TAN-SIP", "-TPV")
    )
    if polynomial and (is_sip or (is_tan and not any(polynomial))):
        return _changed(header, pv, None), ("the PV keywords are left out",)
    if polynomial and is_tan:
        return _changed(header, sip, ("-TAN", "-TPV")), ("TAN with PV keywords is read as TPV",)
    if sip and pv and is_tpv:
        return _changed(header, sip, None), ("the SIP keywords beside TPV are left out",)
    if is_tan and "A_ORDER" in sip:
        return _with_sip(header, sip, any(map(DRIZZLED.fullmatch, (*header, *primary))))
    return header, ()


def _with_sip(header, sip, is_drizzled):
    """Read TAN with the keywords of SIP as SIP, but of a drizzled image, which is undistorted."""
    if is_drizzled:
        told = "the SIP keywords are left out, since the image is drizzled and its CTYPE TAN"
        return _changed(header, sip, None), (told,)
    told = "TAN with SIP keywords is read as SIP; is that right?"
    return _changed(header, (), ("-TAN", "-TAN-SIP")), (told,)


def _changed(header, unwanted, rename):
    """Copy a header without the `unwanted` keywords and with another projection."""
    new = fits.Header(header, copy=True)
    for keyword in unwanted:
        del new[keyword]
    for axis in (1, 2) if rename else ():
        new[f"CTYPE{axis}"] = new[f"CTYPE{axis}"].replace(*rename)
    return new
