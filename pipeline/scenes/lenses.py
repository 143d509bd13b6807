"""Training scenes for the lens finder: lenses, and the galaxies that pass for them."""

from functools import partial
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.scenes import light, patterns
from pipeline.scenes.artefacts import draw_artefact, no_damage, saturate
from pipeline.scenes.company import darken, draw_company
from pipeline.scenes.conditions import observe
from pipeline.scenes.device import each
from pipeline.scenes.dice import Dice, accepted_first
from pipeline.scenes.impostors import KINDS, draw_own, ordinary, typical_share
from pipeline.scenes.lensing import paint_arcs
from pipeline.scenes.optics import MOFFAT_BETAS, Canvas, response
from pipeline.scenes.setting import draw_setting

CANVAS = Canvas(128)
DRAWN = 112  # side of the middle in which arcs and patterns are drawn [pixel]
SURPLUS = 1.4  # lenses drawn for one that is accepted
MIN_ARC_SNR = 5.0
CONTRASTS = 0.004, 0.85  # the arcs' share of the light
DUSTY = 0.15  # share of early types with a lane of dust; nuclear ones are common (Lauer+05)
ARTEFACTS = 0.06  # share of stamps with a defect that no mask has caught
EVERY = ("lens", *KINDS)
PATTERNS = {
    "spiral": patterns.draw_spiral,
    "ring": patterns.draw_ring,
    "shells": patterns.draw_shells,
    "tail": patterns.draw_tail,
    "lone arc": patterns.draw_lone_arc,
}
SPIRALS_SIZE = 1.2  # of a spiral's disc, in half-light radii of the body


def draw_batch(key, n, size):
    """Draw `n` scenes at once, half of them lenses, of kinds in the shares of `KINDS`.

    Parameters
    ----------
    key : jax.Array
    n : int
    size : int
        Side of a stamp [pixel].

    Returns
    -------
    dict of array
        ``flux``, ``ivar`` (n, y, x), in a unit that differs from scene to scene; ``truth``, a
        dict: ``is_lens``, ``kind`` (number in `EVERY`), ``theta_e`` [arcsec], ``arc_snr`` (of the
        arcs alone, over the noise of the sky and of the deflector), ``contrast`` (the arcs' share
        of the light), ``snr``, ``re`` and ``fwhm`` [pixel], ``rings`` (whether the PSF has them),
        ``pixel_scale`` [arcsec], ``binning``; ``accepted``, false of few lenses, if any, whose arcs
        are too faint; and ``typical``, true of scenes that, without the others, have the kinds in
        the shares of `pipeline.scenes.impostors.SKY`.
    """
    n_lenses = n // 2
    counts = [int(np.ceil(SURPLUS * n_lenses)), *_counts(n - n_lenses)]
    total, ends = sum(counts), np.cumsum(counts)[:-1]
    first, second, third = (jax.random.split(one, total) for one in jax.random.split(key, 3))
    settings = each(lambda key: draw_setting(CANVAS.side / 2, Dice(key)), first)
    scenes = []
    for i, kind in enumerate(EVERY):
        rows = slice(*np.append(np.append(0, ends), total)[i : i + 2])
        if counts[i]:
            compose = partial(_compose, kind)
            scenes.append(each(compose, jax.tree.map(itemgetter(rows), settings), second[rows]))
    whole = jax.tree.map(lambda *parts: jnp.concatenate(parts), *scenes)
    seen = each(partial(_look, size), whole, third)
    lenses, others = (
        jax.tree.map(itemgetter(rows), seen)
        for rows in (slice(0, counts[0]), slice(counts[0], None))
    )
    lenses = accepted_first(lenses, n_lenses)
    mixed = jax.random.permutation(jax.random.fold_in(key, 1), n)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b])[mixed], lenses, others)


def _counts(n):
    """How many of `n` non-lenses are of each kind: the largest remainders are rounded up."""
    wanted = n * np.array(list(KINDS.values()))
    counts = np.floor(wanted).astype(int)
    rest = np.argsort(counts - wanted, kind="stable")[: n - counts.sum()]
    counts[rest] += 1
    return counts


class Scene(NamedTuple):
    """What there is, before anyone looks.

    Attributes
    ----------
    kind : int
        Number in `EVERY`.
    setting : Setting
    parts, points : Parts, Points
        Of the body, of unit flux together.
    samples : array, (fine, fine)
        Light of sum 1 of arcs or of another pattern.
    share : float
        Of the pattern in the light; of arcs, what the contrast is drawn with, 0 to 1.
    dust : float
        Depth of a lane of dust.
    damage : Damage
        What a detector makes of a star.
    """

    kind: jax.Array
    setting: tuple
    parts: light.Parts
    points: light.Points
    samples: jax.Array
    share: jax.Array
    dust: jax.Array
    damage: tuple


def _compose(kind, setting, key):
    """Draw one scene of a kind, but for its company."""
    dice = Dice(key)
    if kind in ("ordinary", "star"):
        setting = ordinary(setting, kind == "star", dice)
    body, (x, y) = setting.body, CANVAS.grid(DRAWN)
    x, y = jnp.asarray(x), jnp.asarray(y)
    share, damage = dice.log_uniform(0.01, 0.5), no_damage()
    parts, points = draw_own(kind, body, share, dice)
    samples = jnp.zeros(x.shape)
    if kind == "lens":
        samples, share = paint_arcs(body, setting.theta_e, x, y, dice), dice.uniform()
    elif kind in PATTERNS:
        re = body.re * (SPIRALS_SIZE if kind == "spiral" else 1.0)
        samples = PATTERNS[kind](re, x - body.x, y - body.y, dice)
        share = 1.0 if kind in ("spiral", "ring") else share
    elif kind == "star":
        samples, share, damage = saturate(setting, x, y, dice)
    else:
        share = 0.0
    dusty = dice.chance(DUSTY) if kind in ("lens", "elliptical") else False
    return Scene(
        jnp.int32(EVERY.index(kind)),
        setting,
        parts,
        points,
        samples,
        jnp.float32(share),
        jnp.where(dusty, dice.uniform(0.1, 0.6), 0.0),
        damage,
    )


def _look(size, scene, key):
    """See and observe a scene; as `draw_batch`, of one."""
    dice = Dice(key)
    setting, optics = scene.setting, response(CANVAS, scene.setting.conditions.psf)
    company = light.transform(CANVAS, draw_company(setting, CANVAS.side, dice))
    transforms = light.transform(CANVAS, scene.parts, scene.points), company
    own, around = (CANVAS.image(one, optics) for one in transforms)
    pattern = jax.lax.cond(
        scene.share > 0,
        lambda samples: CANVAS.image(CANVAS.transform(samples), optics),
        lambda samples: jnp.zeros_like(own),
        scene.samples,
    )
    own = darken(own, setting.body, scene.dust, dice)
    is_lens = scene.kind == EVERY.index("lens")
    arc_snr, contrast, accepted = _contrast(own, around, pattern, scene)
    share = jnp.where(is_lens, contrast, scene.share)
    seen = around + setting.flux * ((1 - share) * own + share * pattern)
    seen = scene.damage.done_to(seen, setting.body)
    seen = seen + jnp.where(dice.chance(ARTEFACTS), draw_artefact(seen.shape, dice), 0.0)
    flux, ivar = observe(seen, setting.conditions, dice)
    margin, unit = (CANVAS.side - size) // 2, 10 ** dice.uniform(-1.0, 3.0)
    window = slice(margin, margin + size), slice(margin, margin + size)
    truth = {
        "is_lens": is_lens,
        "kind": scene.kind,
        "theta_e": jnp.where(is_lens, setting.theta_e * setting.pixel_scale, jnp.nan),
        "arc_snr": jnp.where(is_lens, arc_snr, 0.0),
        "contrast": jnp.where(is_lens, contrast, 0.0),
        "snr": setting.snr,
        "re": setting.body.re,
        "fwhm": setting.conditions.psf.fwhm,
        "rings": setting.conditions.psf.profile >= len(MOFFAT_BETAS),
        "pixel_scale": setting.pixel_scale,
        "binning": 1,
    }
    planes = {"flux": unit * flux[window], "ivar": ivar[window] / unit**2}
    typical = dice.chance(jnp.asarray(typical_share(EVERY))[scene.kind])
    return planes | {"truth": truth, "accepted": accepted | ~is_lens, "typical": typical}


def _contrast(own, around, arcs, scene):
    """S/N of the arcs, their share of the light, and whether there is one that suits.

    The S/N is over the noise of the sky and of the deflector: the root of the sum of the arcs'
    squared pixels over their variances.  The share is log-uniform, from what `MIN_ARC_SNR` needs.
    """
    flux, gain = scene.setting.flux, scene.setting.conditions.gain
    noise = 1 + jnp.maximum(flux * own + around, 0) / gain
    whole = flux * jnp.sqrt((arcs**2 / noise).sum())  # of arcs that hold all of the flux
    least = jnp.maximum(MIN_ARC_SNR / jnp.maximum(whole, 1e-9), CONTRASTS[0])
    contrast = least * (CONTRASTS[1] / least) ** scene.share
    return contrast * whole, contrast, least < CONTRASTS[1]
