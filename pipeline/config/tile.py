"""Where the images of a tile are."""

from collections import Counter
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.config.section import PerBand, Settings

Pixel = Annotated[int, Field(ge=0)]


class Tile(Settings):
    """Where the images of one tile are: `path` or `path[HDU name or number]` of each band."""

    image: dict[str, str] = Field(
        min_length=1, description="Path, or `path[HDU]`, of each band's image."
    )
    weight: dict[str, str] = Field({}, description="Weight of each band; see ingest.weight_is.")
    mask: dict[str, str] = Field({}, description="Integer bit mask of each band.")
    zero_point: PerBand[float] = Field(
        None, description="As ingest.zero_point, for this tile in place of it."
    )
    split: int | None = Field(
        None, ge=1024, description="Side of the parts in which a large image is worked through."
    )
    window: tuple[Pixel, Pixel, Pixel, Pixel] | None = Field(
        None, description="Pixels of the image to take: from x0, y0 on, and before x1, y1."
    )

    @model_validator(mode="after")
    def _window_has_pixels(self):
        if self.window:
            x0, y0, x1, y1 = self.window
            if x0 >= x1 or y0 >= y1:
                raise ValueError(f"window {self.window} has no pixel: give [x0, y0, x1, y1]")
            if self.split:
                raise ValueError("a tile has a window or is split, not both")
        return self

    @model_validator(mode="after")
    def _bands_agree(self):
        for band in self.image:
            if not (band.isascii() and band.isprintable() and band.strip()) or "," in band:
                raise ValueError(f"{band!r} is no name for a band: use ASCII without commas")
        twice = [
            place for place, n in Counter(self.image.values()).items() if 1 < n < len(self.image)
        ]
        if twice:
            raise ValueError(
                f"two bands have the image {twice[0]!r}; give each its own, or all a cube"
            )
        for kind in ("weight", "mask", "zero_point"):
            given = getattr(self, kind)
            unknown = set(given if isinstance(given, dict) else ()) - set(self.image)
            if unknown:
                raise ValueError(f"{kind} names the bands {sorted(unknown)}, which have no image")
        return self

    def place(self, kind, band):
        """Where a band's image, weight or mask is: ``path[HDU]``, which plane, of how many.

        If all bands name one file, it is a cube, and each of them a plane of it; else None.
        """
        files = getattr(self, kind)
        is_shared = len(files) == len(self.image) > 1 and len(set(files.values())) == 1
        return files[band], [*self.image].index(band) if is_shared else None, len(self.image)

    def averaged(self, detection):
        """Bands whose mean sources are detected in, where `detection` says so: ``r+i``."""
        parts = tuple((detection or "").split("+"))
        return parts if detection not in self.image and len(parts) > 1 else ()

    def main(self, detection):
        """Band whose pixels the others are brought to: that of detection, or the first of those."""
        return next(iter(self.averaged(detection)), detection or next(iter(self.image)))

    def bands(self, detection):
        """Names of the bands, and of the mean that sources are detected in."""
        return (*self.image, *([detection] if self.averaged(detection) else []))
