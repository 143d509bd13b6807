"""What instruments add: saturated stars, cosmic rays, trails, bleeding columns and sky jumps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.scenes.patterns import draw_rays

KINDS = {"cosmic ray": 0.35, "trail": 0.25, "column": 0.15, "jump": 0.15, "hot": 0.1}


class Damage(NamedTuple):
    """What a detector makes of a bright star.

    Attributes
    ----------
    level : float
        At which it saturates, as a share of the brightest pixel; above 1 for never.
    wide, long : float
        Half sides of the column that bleeds [pixel]; below 0 for none.
    hole : float
        Radius of a core that is lost to 0 [pixel]; below 0 for none.
    """

    level: jax.Array
    wide: jax.Array
    long: jax.Array
    hole: jax.Array

    def done_to(self, light, body):
        """What the detector makes of noiseless light (y, x) about a body."""
        row, column = np.mgrid[: light.shape[0], : light.shape[1]].astype("f4")
        dx, dy = jnp.abs(column - body.x), jnp.abs(row - body.y)
        level = self.level * light.max()
        light = jnp.minimum(light, level)
        light = jnp.where((dx < self.wide) & (dy < self.long), level, light)
        return jnp.where(jnp.hypot(dx, dy) < self.hole, 0.0, light)


def no_damage():
    """Give what leaves light as it is."""
    return Damage(*(jnp.float32(v) for v in (2.0, -1.0, -1.0, -1.0)))


def saturate(setting, x, y, dice):
    """Draw a star's rays (samples of sum 1), their share of its light, and its `Damage`."""
    rays = draw_rays(x - setting.body.x, y - setting.body.y, dice)
    share = jnp.where(dice.chance(0.75), 10 ** dice.uniform(-2.5, -1.0), 0.0)
    is_full, kind = dice.chance(0.5), dice.uniform()
    bleeds, is_lost = is_full & (kind < 0.4), is_full & (kind > 0.8)
    damage = Damage(
        jnp.where(is_full, 10 ** dice.uniform(-1.5, -0.1), 2.0),
        jnp.where(bleeds, dice.uniform(0.5, 2.0), -1.0),
        dice.uniform(5.0, 60.0),
        jnp.where(is_lost, dice.uniform(1.0, 3.0), -1.0),
    )
    return rays, share, damage


def draw_artefact(shape, dice):
    """Draw a defect that no mask has caught; (y, x) [sky noise]."""
    row, column = np.mgrid[: shape[0], : shape[1]].astype("f4")
    middle = np.array(shape) / 2 + dice.normal(0, shape[0] / 8, (2,))
    dx, dy = column - middle[1], row - middle[0]
    angle, height = dice.uniform(0, np.pi), 10 ** dice.uniform(0.6, 2.2)
    across = dy * jnp.cos(angle) - dx * jnp.sin(angle)
    along = dx * jnp.cos(angle) + dy * jnp.sin(angle)
    bend, half = dice.normal(0, 0.02), dice.uniform(0.5, 12.0)
    track = (jnp.abs(across - bend * along**2) < 0.6) & (jnp.abs(along) < half)
    trail = jnp.exp(-0.5 * (across / dice.uniform(0.7, 3.0)) ** 2) / 5
    u, v = jnp.where(dice.chance(0.5), jnp.stack([dx, dy]), jnp.stack([dy, -dx]))
    bled = (jnp.abs(u) < dice.uniform(0.5, 2.0)) & (v * dice.sign() > 0)
    jump = dice.uniform(-3.0, 3.0) / height * (v > 0)
    hot = dice.uniform(shape=shape) < 10 ** dice.uniform(-3.5, -2.0)
    every = jnp.stack([track * 1.0, trail, bled * 1.0, jump, hot * 1.0])
    return height * every[dice.choice(np.arange(len(KINDS)), list(KINDS.values()))]
