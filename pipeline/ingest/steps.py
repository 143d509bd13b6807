"""Values that come in coarse steps, as integers do, spread evenly over these steps."""

import numpy as np

SAMPLE = 200_000  # pixels that tell a step and a noise well enough
FINE = 0.02  # of the noise: a step that does no harm
EVEN = 0.7548776662466927, 0.5698402909980532  # along x and y: of the sequence R2 (Roberts 2018)


def spread(flux, bad):
    """Spread values over the steps between them, in place, where these are coarse.

    Medians and modes of coarse values are one of these values, wherever the sky lies between
    them: with steps of a quarter of the noise a sky would be wrong by up to 0.3 of the noise.
    What is added is no noise, but even over any few neighbouring pixels; it is the same each time.
    Where steps exceed the noise, the sky is still wrong by up to 0.1 of it.

    Parameters
    ----------
    flux : ndarray, (y, x), float32
        Finite everywhere.
    bad : ndarray, (y, x), bool
        Pixels that say nothing.

    Returns
    -------
    float
        The step; 0 where it is fine, or there is none.
    """
    step, noise = _step(flux[~bad])
    if not step > FINE * noise:
        return 0.0
    x = EVEN[0] * np.arange(flux.shape[1])
    for y in range(len(flux)):
        flux[y] += (step * ((x + EVEN[1] * y) % 1 - 0.5)).astype("f4")
    return step


def _step(values):
    """Typical step between the values of the sky, 0 if most pixels have their own; and the noise.

    Of the middle two thirds of the pixels, for among bright ones values are missing.
    """
    sample = values[:: max(1, values.size // SAMPLE)]
    low, high = np.percentile(sample, (16, 84))
    middle = sample[(sample >= low) & (sample <= high)]
    steps = np.diff(np.unique(middle))
    is_coarse = 0 < 2 * len(steps) < len(middle)
    return (float(np.median(steps)) if is_coarse else 0.0), float(high - low) / 2
