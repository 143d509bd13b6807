"""Turn what goes wrong with somebody else's file into one error, and repairs into notes."""

import errno
import re
import struct
import warnings
import zlib
from contextlib import contextmanager
from lzma import LZMAError
from zipfile import BadZipFile

from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.utils.exceptions import AstropyWarning

NONSENSE = (  # what comes of content that cannot be true
    *(ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError),
    *(RuntimeError, RuntimeWarning, struct.error, zlib.error, fits.VerifyError, CfitsioException),
)
UNREADABLE = OSError, EOFError, BadZipFile, LZMAError, *NONSENSE

# Of the machine or its disks, not of the file: tried again, it may be read.
PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.ENOLCK}
PASSING |= {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EBUSY, errno.EREMOTEIO}
PASSING |= {errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENOTCONN}
PASSING |= {errno.ESHUTDOWN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN}
PASSING |= {errno.ENETUNREACH, errno.ETIME}

LONGEST = 200  # letters of a message


class InputError(ValueError):
    """Something is wrong with the user's files: says file, HDU, value and remedy."""


class NoPixels(InputError):
    """An image has no usable pixel, or none where another band's are."""


@contextmanager
def reading(path):
    """Turn what is wrong with a file into an `InputError`, and astropy's warnings into notes.

    What may be right another time, as of disks that do not answer, is raised as it is.
    """
    notes = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AstropyWarning)
        try:
            yield notes
        except InputError as error:
            raise InputError(f"{error}{_said(caught, str(error))}") from error
        except UNREADABLE as error:
            if isinstance(error, OSError) and error.errno in PASSING:
                error.add_note(f"{path}: cannot be read now; try again, or leave its tile out")
                raise
            reason = one_line(error) or type(error).__name__
            remedy = "is it FITS, and was it copied whole?"
            if isinstance(error, PermissionError):
                remedy = "ask its owner for the right to read it"
            raise InputError(
                f"{path}: cannot be read ({reason}){_said(caught, reason)}; {remedy}"
            ) from error
    for warning in caught:
        if not issubclass(warning.category, AstropyWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    notes += _repairs(caught)


def _repairs(caught):
    """Tell one of astropy's warnings of each category, and how many more there were."""
    messages = {}
    for warning in caught:
        if issubclass(warning.category, AstropyWarning):
            messages.setdefault(warning.category, {})[one_line(warning.message)] = None
    return [
        first + (f" (and {len(more)} more like this)" if more else "")
        for first, *more in messages.values()
    ]


def _said(caught, known):
    """Repeat what astropy warned of, if it concerns the file as a whole and is not `known`."""
    said = [one_line(w.message) for w in caught if re.search("truncated|corrupt", str(w.message))]
    return f" ({said[0]})" if said and "truncated" not in known else ""


def one_line(message):
    """Make a message a line of at most `LONGEST` letters."""
    text = " ".join(str(message).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
