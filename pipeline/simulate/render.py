"""Draw galaxies through a PSF, in Fourier space, where a PSF is computed once for many of them."""

import galsim
import numpy as np
from scipy import fft

OVERSAMPLING = 2  # frequencies kept, in units of Nyquist's: enough for a PSF of 1.5 pixels


class Renderer:
    """Draws square images of galaxies seen through one PSF and integrated over pixels.

    A galaxy's transform is GalSim's; knots are phases, summed as a product of matrices.
    Frequencies above the pixels' Nyquist frequency are folded back, as a detector does.  The
    image is periodic: light that leaves on one side comes back on the other, and the sum of the
    pixels is the flux, exactly.  1000 to 2000 galaxies a second at a side of 128.

    Parameters
    ----------
    psf : galsim.GSObject
        Of unit flux, in pixels.
    side : int
        Side of the images [pixel], even.
    """

    def __init__(self, psf, side):
        self.side, self.fine = side, side * OVERSAMPLING
        self.kx = 2 * np.pi * OVERSAMPLING * fft.rfftfreq(self.fine)
        self.ky = 2 * np.pi * OVERSAMPLING * fft.fftfreq(self.fine)
        pixel = np.outer(np.sinc(self.ky / (2 * np.pi)), np.sinc(self.kx / (2 * np.pi)))
        self.response = (self._transform(psf) * pixel).astype("c8")

    def draw(self, galaxy, x, y):
        """Draw a galaxy of unit flux centred on pixel ``(x, y)``; (side, side), float32."""
        found = self._transform(galaxy.smooth)
        if len(galaxy.knots):
            at_x, at_y, light = galaxy.knots.T
            rows = np.exp(-1j * np.outer(self.ky, at_y)) * light
            found = found + (rows @ np.exp(-1j * np.outer(at_x, self.kx))).astype("c8")
        found *= self.response
        found *= np.exp(-1j * self.ky * y).astype("c8")[:, None]
        found *= np.exp(-1j * self.kx * x).astype("c8")
        return self._to_pixels(found)

    def grid(self):
        """Positions ``x``, ``y`` [pixel] of the samples of `convolve`, each (fine, fine)."""
        at = np.arange(self.fine) / OVERSAMPLING
        return np.meshgrid(at, at)

    def convolve(self, samples):
        """See light sampled on `grid` (flux of each sample) as an image; (side, side), float32."""
        return self._to_pixels(fft.rfft2(samples.astype("f4")) * self.response)

    def _transform(self, profile):
        half = self.fine // 2
        image = galsim.ImageCF(
            galsim.BoundsI(0, half, -half, half - 1), scale=2 * np.pi / self.side
        )
        return fft.ifftshift(profile.drawKImage(image, recenter=False).array, axes=0)

    def _to_pixels(self, transform):
        image = fft.irfft2(transform, s=(self.fine, self.fine), overwrite_x=True)
        return image[::OVERSAMPLING, ::OVERSAMPLING] * np.float32(OVERSAMPLING**2)
