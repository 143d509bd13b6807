"""Arrays in files, of which a few rows are in memory at a time, however many stamps there are."""

import math
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile

import numpy as np

AT_ONCE = 512  # rows that are worth reading at once


def parts(n):
    """Slices of `n` rows, `AT_ONCE` at most; an empty one if there are none."""
    return [slice(start, min(start + AT_ONCE, n)) for start in range(0, max(n, 1), AT_ONCE)]


class Planes:
    """An array (n, ...) in a file, whose rows are read and written as those of an array are.

    ``planes[rows]`` gives an array of its own, of the rows that a slice or indices choose.

    Parameters
    ----------
    file : path or file
        One opened for reading and writing, if rows are to be written.
    shape : tuple of int
    dtype : dtype
    start : int
        Byte of the file at which the array begins.
    """

    def __init__(self, file, shape, dtype="f4", start=0):
        self.file, self.start = file, start
        self.shape, self.ndim, self.dtype = tuple(shape), len(shape), np.dtype(dtype)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if not len(self):
            return self._read(np.zeros(self.stored, self.dtype))
        # not kept open: what was read through a mapping counts as this process's memory
        mapped = np.memmap(self.file, self.dtype, "r", self.start, self.stored)
        return self._read(np.array(mapped[rows]))

    def __setitem__(self, rows, values):
        stored = np.ascontiguousarray(self._to_store(values), self.dtype)
        for row, value in zip(np.arange(len(self))[rows], stored, strict=True):
            self.file.seek(self.start + int(row) * self.n_bytes // len(self))
            self.file.write(value.tobytes())
        self.file.flush()

    @property
    def stored(self):
        """Shape of the array as it is in the file."""
        return self.shape

    @property
    def n_bytes(self):
        """Size of the array in the file."""
        return self.dtype.itemsize * math.prod(self.stored)

    def _read(self, stored):
        """Make rows of what the file holds."""
        return stored

    def _to_store(self, values):
        """Undo `_read`."""
        return values


class StampPlanes(Planes):
    """Stamps (n, y, x, band), float32, in a file as FITS has them: (n, band, y, x), big-endian."""

    def __init__(self, file, shape, start=0):
        super().__init__(file, shape, ">f4", start)

    @property
    def stored(self):
        """Shape of the array as it is in the file."""
        n, height, width, bands = self.shape
        return n, bands, height, width

    def _read(self, stored):
        return np.ascontiguousarray(np.moveaxis(stored, 1, -1), "f4")

    def _to_store(self, values):
        return np.moveaxis(values, -1, 1)


class MapPlanes(Planes):
    """Maps (n, y, x) between 0 and 1, float32, in a file of 8 bits a pixel."""

    def __init__(self, file, shape, start=0):
        super().__init__(file, shape, "u1", start)

    def _read(self, stored):
        return stored * np.float32(1 / 255)

    def _to_store(self, values):
        return in_8_bit(values)


def in_8_bit(values):
    """Numbers between 0 and 1 as the nearest of 255ths."""
    return np.rint(np.clip(values, 0, 1) * 255).astype("u1")


@contextmanager
def scratch(folder, shape, *names):
    """Give arrays of float32, by name, in files of a folder that nobody sees and that vanish."""
    with ExitStack() as opened:
        planes = {
            name: Planes(opened.enter_context(TemporaryFile(dir=folder)), shape) for name in names
        }
        for one in planes.values():
            one.file.truncate(one.n_bytes)
        yield planes
