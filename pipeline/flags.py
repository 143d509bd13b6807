"""The bits of the catalog's ``flags`` column, and what each of them means."""

from enum import IntFlag


class Flag(IntFlag):
    """Something to know about a source before using its row."""

    EDGE = 1
    MASKED = 2
    SATURATED = 4
    POINT_LIKE = 8
    BLENDED = 16
    STAMP_CLIPPED = 32
    OFF_RANGE = 64
    KRON_FAILED = 128
    SHARP = 256


DEFECT = Flag.EDGE | Flag.MASKED | Flag.SATURATED | Flag.SHARP  # of the pixels, not of the sky

MEANING = {
    Flag.EDGE: "The source's footprint touches the edge of the image",
    Flag.MASKED: "More than 5 % of the source's aperture, or of its core, has no data in some band",
    Flag.SATURATED: "A pixel of the footprint is saturated in some band",
    Flag.POINT_LIKE: "The source is as small as the PSF, and bright enough to tell (S/N above 30)",
    Flag.BLENDED: "The detection was split from another source",
    Flag.STAMP_CLIPPED: "The source's aperture leaves its stamp; the networks saw only part of it",
    Flag.OFF_RANGE: "The image's PSF or the source's size is outside the networks' training range",
    Flag.KRON_FAILED: "No Kron radius could be measured; flux_auto is in the smallest aperture",
    Flag.SHARP: "A hot pixel or a cosmic ray: sharper than any star, in the detection band",
}
