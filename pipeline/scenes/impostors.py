"""The galaxy in the middle of a lens scene: a deflector, or what passes for one with arcs."""

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.detection.psf import effective_pixels
from pipeline.scenes.dice import Dice
from pipeline.scenes.galaxies import (
    KNOTS,
    draw_disc,
    draw_early_type,
    draw_galaxy,
    placed,
    placed_parts,
)
from pipeline.scenes.light import Parts, Points, join

OWN = 8  # Sersic laws of a body, at most
# Of ordinary galaxies: half-light radius at S/N 10 [arcsec], its power of the flux, scatter [dex].
SMALL = 0.26, 0.22, 0.2
MEMBERS = 4  # of a group, at most
# In training.  Bare ellipticals, of the lenses' own population, are what a lens is most often told
# from, and what looks most like a lens is drawn far oftener than it is found.
KINDS = {
    "elliptical": 0.26,
    "disc": 0.08,
    "spiral": 0.13,
    "ring": 0.06,
    "shells": 0.04,
    "tail": 0.04,
    "pair": 0.07,
    "tangential": 0.09,
    "lone arc": 0.06,
    "group": 0.03,
    "star": 0.03,
    "ordinary": 0.11,
}
DISCS = 0.2  # of the deflectors
# As a survey has them, about, for calibration and scores.  One early type in eight shows shells or
# tails (Atkinson, Abraham & Ferguson 2013, ApJ 765, 28), rings and arcs of other origin are a few
# in a hundred; the exact shares are our choice.
SKY = {
    "elliptical": 0.22,
    "disc": 0.13,
    "spiral": 0.21,
    "ring": 0.015,
    "shells": 0.015,
    "tail": 0.02,
    "pair": 0.06,
    "tangential": 0.05,
    "lone arc": 0.01,
    "group": 0.02,
    "star": 0.05,
    "ordinary": 0.2,
}


def typical_share(kinds):
    """Share of the scenes of each of `kinds` to keep, for those left to be in the shares of `SKY`.

    Lenses are kept as often as non-lenses are on the whole.
    """
    ratio = {kind: SKY[kind] / KINDS[kind] for kind in KINDS}
    return np.array([ratio.get(kind, 1.0) for kind in kinds], "f4") / max(ratio.values())


def draw_own(kind, body, share, dice):
    """Draw the body of a kind; what is drawn as a pattern is not in it.

    Parameters
    ----------
    kind : str
        "lens", or one of `KINDS`.
    body : Body
    share : float
        Of the light that a companion or a bulge holds.
    dice : Dice

    Returns
    -------
    Parts of `OWN` laws, Points of `KNOTS`
        Of unit flux together; of none where the pattern is all there is.
    """
    draw = {"ordinary": _any, "star": _star, "disc": _disc, "group": _group, "pair": _pair}
    draw |= {"tangential": _tangential, "spiral": _nothing, "ring": _nothing}
    draw |= {"lens": _deflector, "elliptical": _deflector}
    parts, points = draw.get(kind, _elliptical)(body, share, dice)
    missing = OWN - len(parts.flux)
    parts = Parts(*(jnp.pad(v, (0, missing), constant_values=1.0) for v in parts))
    return parts._replace(flux=parts.flux.at[OWN - missing :].set(0.0)), points


def ordinary(setting, star, dice):
    """Make of the setting that of a small source, mostly faint, or of a star, often bright.

    Late types of 1e9 to 1e11 solar masses at redshift 1 have half-light radii of 2.1 to 5.8 kpc,
    as the 0.22nd power of their mass (van der Wel et al. 2014, ApJ 788, 28, table 1), which is
    0.26 to 0.72 arcsec; S/N 10 is taken for the lower mass.
    """
    fwhm, body = setting.conditions.psf.fwhm, setting.body
    decade = dice.uniform(1.0, 3.5) if star else 0.7 + 2.6 * dice.hump(1.0, 1.3)
    snr, (size, power, scatter) = 10**decade, SMALL
    re = size * (snr / 10) ** power * 10 ** dice.normal(0, scatter) / setting.pixel_scale
    re = jnp.float32(0.0) if star else jnp.clip(re, 0.2, 12.0)
    flux = snr * jnp.sqrt(effective_pixels(re, fwhm))
    return setting._replace(snr=snr, flux=flux, body=body._replace(re=re))


def draw_elliptical(body, dice):
    """Draw an early type: in half of the cases two that differ in shape and angle; five laws.

    Isophotes then twist and round off outwards, as those of real ellipticals do: Kormendy et al.
    (2009, ApJS 182, 216), who find extra light in the centres of many too: one in five has a
    nucleus, a point.
    """
    share = jnp.where(dice.chance(0.5), dice.uniform(0.1, 0.5), 0.0)
    early = draw_early_type(body.re, body.axis_ratio, body.angle, dice)
    flat = jnp.clip(body.axis_ratio + dice.normal(0, 0.15), 0.35, 1.0)
    turned = body.angle + dice.normal(0, 0.4)
    outer = draw_early_type(body.re * dice.uniform(1.2, 3.0), flat, turned, dice)
    off = dice.normal(0, 0.03, (2,)) * body.re
    nucleus = jnp.where(dice.chance(0.2), dice.log_uniform(0.003, 0.05), 0.0)
    return join(
        placed_parts(early, (1 - nucleus) * (1 - share), body.x, body.y),
        placed_parts(outer, (1 - nucleus) * share, body.x + off[0], body.y + off[1]),
        Parts(nucleus, 0.0, 1.0, 1.0, 0.0, body.x, body.y),
    )


def _no_points():
    return Points(*(jnp.zeros(KNOTS) for _ in range(3)))


def _nothing(body, share, dice):
    return Parts(*jnp.zeros((7, 0))), _no_points()


def _elliptical(body, share, dice):
    return draw_elliptical(body, dice), _no_points()


def _deflector(body, share, dice):
    """An early type, one time in five a disc with a bulge."""
    is_disc = dice.chance(DISCS)
    galaxy = placed(draw_galaxy(body.re, dice), is_disc * 1.0, body.x, body.y)
    early = draw_elliptical(body, dice)
    early = early._replace(flux=early.flux * ~is_disc)
    return join(early, galaxy.parts), galaxy.points


def _any(body, share, dice):
    galaxy = placed(draw_galaxy(body.re, dice), 1.0, body.x, body.y)
    return galaxy.parts, galaxy.points


def _star(body, share, dice):
    zero, one = jnp.zeros(1), jnp.ones(1)
    return Parts(one, zero, one, one, zero, body.x[None], body.y[None]), _no_points()


def _disc(body, share, dice):
    flat = jnp.where(dice.chance(0.5), dice.uniform(0.15, 0.4), dice.uniform(0.6, 1.0))
    disc = placed(draw_disc(body.re, flat, body.angle, dice), 1 - share, body.x, body.y)
    bulge = draw_elliptical(body._replace(re=0.3 * body.re), dice)
    return join(disc.parts, bulge._replace(flux=share * bulge.flux)), disc.points


def _pair(body, share, dice):
    """An elliptical and a galaxy that overlaps it."""
    other = draw_galaxy(body.re * dice.uniform(0.4, 1.2), dice)
    x, y = _about(body, dice.uniform(0.6, 2.5), dice)
    other = placed(other, share, x, y)
    main = draw_elliptical(body, dice)
    return join(main._replace(flux=(1 - share) * main.flux), other.parts), other.points


def _tangential(body, share, dice):
    """An elliptical, and one to three galaxies about it, the first stretched along the circle."""
    n = dice.choice([1, 2, 3], [0.6, 0.3, 0.1])
    around, out = dice.angle((3,)), body.re * dice.uniform(0.8, 3.0, (3,))
    along = around + np.pi / 2 + dice.normal(0, 1.0, (3,)) * np.array([0.2, 2.0, 2.0], "f4")
    others = Parts(
        share * dice.shares(3, jnp.arange(3) < n),
        jnp.clip(body.re * 10 ** dice.normal(-0.4, 0.2, (3,)), 0.2, 12.0),
        dice.log_uniform(0.7, 5.0, (3,)),
        dice.uniform(0.2, 0.7, (3,)),
        along,
        body.x + out * jnp.cos(around),
        body.y + out * jnp.sin(around),
    )
    main = draw_elliptical(body, dice)
    return join(main._replace(flux=(1 - share) * main.flux), others), _no_points()


def _group(body, share, dice):
    """Two to four galaxies of like brightness close together, the first at the centre."""
    n, most = dice.integers(2, MEMBERS + 1), jnp.arange(MEMBERS)
    light, apart = dice.shares(MEMBERS, most < n), dice.uniform(0.7, 4.0, (MEMBERS,)) * (most > 0)

    def member(key, flux, radii):
        own = Dice(key)
        galaxy = draw_galaxy(body.re * own.uniform(0.4, 1.2), own)
        return placed_parts(galaxy.parts, flux, *_about(body, radii, own))

    members = jax.vmap(member)(dice.keys(MEMBERS), light, apart)
    return Parts(*(v.ravel() for v in members)), _no_points()


def _about(body, radii, dice):
    """Place so many half-light radii from a body, in a random direction."""
    around = dice.angle()
    return body.x + radii * body.re * jnp.cos(around), body.y + radii * body.re * jnp.sin(around)
