import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.models.stamps import turned
from pipeline.nets.polar import N_ANGLES, Polar, ellipse

SIZE = 65  # odd, so that a turn keeps the middle
SCALE = 5.0  # of the galaxy [pixel]


def _galaxy(axis_ratio=0.6, angle=0.4, centre=(0.0, 0.0)):
    """A smooth elliptical galaxy; (1, y, x, 2) with an inverse variance of 1."""
    row, column = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    dx, dy = column - centre[0], row - centre[1]
    along, across = (
        dx * np.cos(angle) + dy * np.sin(angle),
        dy * np.cos(angle) - dx * np.sin(angle),
    )
    radius = np.hypot(along * axis_ratio**0.5, across / axis_ratio**0.5)
    flux = 200 * np.exp(-0.5 * (radius / SCALE) ** 2)
    return np.stack([flux, np.ones_like(flux)], axis=-1)[None].astype("f4")


def test_a_turned_galaxy_is_shifted_along_the_angles():
    stamps = _galaxy()
    stamps[0, 20, 40, 0] += 50  # and a knot, which tells where
    polar, other = (np.asarray(Polar()(s)) for s in (stamps, turned([stamps], 1)[0]))
    shifts = [np.abs(np.roll(polar, k, axis=2) - other).max() for k in range(N_ANGLES)]
    assert min(shifts) < 0.1 < max(shifts)


@pytest.mark.parametrize("axis_ratio", [1.0, 0.5])
def test_of_a_smooth_galaxy_little_remains(axis_ratio):
    polar = np.asarray(Polar()(_galaxy(axis_ratio, centre=(0.4, -0.3))))
    light, rest = np.sinh(polar[..., 0]), np.sinh(polar[..., 2])
    assert light.max() > 150
    assert np.abs(rest).max() < 0.03 * light.max()


def test_the_measured_ellipse_is_the_galaxys():
    centre, moments = ellipse(_galaxy(0.6, 0.4, (0.4, -0.3))[..., 0])
    assert_allclose(np.ravel(centre), [0.4, -0.3], atol=0.02)
    xx, xy, yy = np.ravel(moments)
    assert_allclose(0.5 * np.arctan2(2 * xy, xx - yy), 0.4, atol=0.02)
    assert_allclose(np.linalg.det([[xx, xy], [xy, yy]]) ** 0.25, SCALE, rtol=0.05)


@pytest.mark.parametrize(("radius", "least"), [(8, 15), (12, 12)])  # smoothed beyond 12
def test_an_arc_remains(radius, least):
    stamps = _galaxy()
    row, column = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    is_arc = (np.abs(np.hypot(row, column) - radius) < 1) & (column > 2 * radius / 3)
    stamps[..., 0] += 20 * is_arc
    assert np.sinh(np.asarray(Polar()(stamps))[..., 2]).max() > least


@pytest.mark.parametrize("radius", [4.0, 10.0, 20.0])
def test_nothing_falls_between_the_samples(radius):
    row, column = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    angles = np.linspace(0, 2 * np.pi, 100)
    x, y = (radius * f(angles)[:, None, None] for f in (np.cos, np.sin))
    knots = 20 * np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * 0.85**2))  # FWHM 2 pixels
    stamps = np.repeat(_galaxy(1.0), len(angles), axis=0)
    stamps[..., 0] += knots
    seen = np.linalg.norm(np.sinh(np.asarray(Polar()(stamps))[..., 2]), axis=(1, 2))
    assert np.min(seen) > 0.8 * np.max(seen)


def test_the_unit_of_flux_cancels_and_lost_pixels_are_dark():
    stamps = _galaxy()
    in_other_unit = stamps * np.array([1e3, 1e-6], "f4")
    assert_allclose(Polar()(stamps), Polar()(in_other_unit), atol=1e-3)
    stamps[..., 1] = 0
    assert np.all(np.asarray(Polar()(stamps)) == 0)


def test_a_small_stamp_is_dark_beyond_its_edges():
    polar = np.asarray(Polar()(_galaxy(1.0)[:, 24:40, 24:40]))
    assert np.isfinite(polar).all()
    assert polar[:, 0].max() > 1 and np.all(polar[:, -1] == 0)
