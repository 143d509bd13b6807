"""Random numbers inside compiled functions, asked for as of a NumPy generator."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from jax.scipy.special import ndtri

POOL = 128  # numbers drawn at once; a draw of its own for every number takes long to compile


class Dice:
    """Draws numbers that depend on a key and on how many draws came before.

    Limits and parameters may be traced; shapes are fixed.

    Parameters
    ----------
    key : jax.Array
        Of `jax.random.key`.
    """

    def __init__(self, key):
        self._key, self._drawn = key, 0
        self._pool, self._taken = None, POOL

    def _next(self):
        self._drawn += 1
        return random.fold_in(self._key, self._drawn)

    def _even(self, shape):
        """Draw evenly between 0 and 1."""
        n = int(np.prod(shape))
        if n > POOL:
            return random.uniform(self._next(), shape)
        if self._taken + n > POOL:
            self._pool, self._taken = random.uniform(self._next(), (POOL,)), 0
        self._taken += n
        return jnp.reshape(self._pool[self._taken - n : self._taken], shape)

    def keys(self, n):
        """Draw keys for `n` dice whose draws do not depend on those of these."""
        return random.split(self._next(), n)

    def uniform(self, low=0.0, high=1.0, shape=()):
        """Draw evenly between two limits."""
        return low + (high - low) * self._even(shape)

    def log_uniform(self, low, high, shape=()):
        """Draw what has an evenly distributed logarithm."""
        return jnp.exp(self.uniform(jnp.log(low), jnp.log(high), shape))

    def normal(self, mean=0.0, sigma=1.0, shape=()):
        """Draw from a Gaussian."""
        if np.prod(shape) > POOL:
            return mean + sigma * random.normal(self._next(), shape)
        return mean + sigma * ndtri(jnp.clip(self._even(shape), 1e-7, 1 - 1e-7))

    def chance(self, share, shape=()):
        """Draw True in a `share` of the cases."""
        return self._even(shape) < share

    def sign(self, shape=()):
        """Draw -1 or 1."""
        return jnp.where(self.chance(0.5, shape), 1.0, -1.0)

    def angle(self, shape=()):
        """Draw an angle of a whole turn [rad]."""
        return self.uniform(0.0, 2 * np.pi, shape)

    def choice(self, values, shares=None, shape=()):
        """Draw one of the `values`, with the given or with equal shares."""
        values = jnp.asarray(values)
        shares = np.full(len(values), 1 / len(values)) if shares is None else np.asarray(shares)
        steps = jnp.asarray(np.cumsum(shares / shares.sum())[:-1], "f4")
        return values[jnp.searchsorted(steps, self._even(shape), side="right")]

    def integers(self, low, high, shape=()):
        """Draw whole numbers from `low` to below `high`."""
        return jnp.floor(low + (high - low) * self._even(shape)).astype("int32")

    def poisson(self, mean, most):
        """Draw a count, at most `most`."""
        k = np.arange(1, most + 1)
        terms = jnp.exp(-mean) * jnp.cumprod(jnp.concatenate([jnp.ones(1), mean / k]))
        return jnp.sum(self.uniform() > jnp.cumsum(terms[:-1]))

    def hump(self, a, b, shape=()):
        """Draw between 0 and 1, about as a beta distribution (Kumaraswamy 1980, J. Hydrol. 46)."""
        return (1 - (1 - self.uniform(shape=shape)) ** (1 / b)) ** (1 / a)

    def rayleigh(self, sigma, shape=()):
        """Draw the length of a vector of two Gaussian numbers."""
        return sigma * jnp.sqrt(-2 * jnp.log1p(-self.uniform(shape=shape)))

    def shares(self, n, present=True):
        """Draw n positive numbers of sum 1, zero where not `present` (Dirichlet, of ones)."""
        drawn = -jnp.log1p(-self.uniform(shape=(n,))) * present
        return drawn / jnp.maximum(drawn.sum(), 1e-12)

    def disc_radius(self, shape=()):
        """Draw radii at which an exponential disc's light lies [half-light radius]."""
        first, second = self.uniform(shape=(2, *shape))
        return -jnp.log(jnp.maximum((1 - first) * (1 - second), 1e-12)) / 1.678


def accepted_first(scenes, n):
    """The first `n` scenes of a batch, those ``accepted`` before the others."""
    order = jnp.argsort(~scenes["accepted"])[:n]
    return jax.tree.map(lambda values: values[order], scenes)
