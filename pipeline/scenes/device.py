"""How a machine draws scenes: one by one on each core, or all at once on an accelerator."""

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp


def one_by_one():
    """Whether a scene is drawn after the other: on a CPU, where a loop may end when it is done."""
    return jax.default_backend() == "cpu"


def each(draw, *values):
    """Apply `draw` to each row of the `values`, arrays or trees of them, and stack the results."""
    if one_by_one():
        return jax.lax.map(lambda row: draw(*row), values)
    return jax.vmap(draw)(*values)


def add_up(start, of_one, present, rows):
    """Add up what `of_one` gives of each of the `rows` that is `present`, from `start` on.

    Those that are not have to add nothing: they are left out where that saves work.

    Parameters
    ----------
    start : tree of array
    of_one : callable
        Gives such a tree, of one of the rows.
    present : array of bool, (n,)
    rows : tree of array, (n, ...)
    """
    first = jnp.argsort(~present)
    rows = jax.tree.map(lambda values: values[first], rows)
    n = present.sum() if one_by_one() else len(present)

    def add(i, total):
        return jax.tree.map(jnp.add, total, of_one(jax.tree.map(lambda values: values[i], rows)))

    return jax.lax.fori_loop(0, n, add, start)


def cores():
    """Batches that are drawn side by side: as many as the job was given cores."""
    if not one_by_one():
        return 1
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def side_by_side(draw, numbers):
    """List what `draw` gives of each number."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(draw, numbers))


def ahead(draw):
    """Give what `draw` gives of a number, and have the next numbers' drawn meanwhile."""
    if cores() == 1:
        return draw
    pool, drawn = ThreadPoolExecutor(cores()), {}

    def get(number):
        for later in range(number, number + 1 + cores()):
            if later not in drawn:
                drawn[later] = pool.submit(draw, later)
        return drawn.pop(number).result()

    return get
