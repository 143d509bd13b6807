"""Tell whether a weight or a mask may be an image's."""

from pipeline.ingest.mishaps import InputError
from pipeline.ingest.regrid import pixel_side

APART = 0.5  # of a side, at least, between the places of what shows different fields


def check_whose(other, image):
    """Refuse a weight or mask of another shape than its image; give a note on one of another sky.

    Parameters
    ----------
    other, image : pipeline.ingest.fitsfile.Image
        Of one window.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
    """
    if other.whole != image.whole:
        raise InputError(
            f"{other.name}: shape {other.whole} but the image {image.name} has {image.whole}; "
            "name files of one shape"
        )
    if image.wcs is None or other.wcs is None:
        return ()
    y, x = ((n - 1) / 2 for n in image.data.shape)
    here, there = (one.wcs.pixel_to_world(x, y) for one in (image, other))
    away, side = here.separation(there).arcsec, min(image.whole)
    if not away > APART * side * pixel_side(image.wcs, image.data.shape):
        return ()
    told = f"{other.name}: its coordinates are {away:.3g} arcsec away from those of {image.name}"
    return (f"{told}; is it of that image?",)
