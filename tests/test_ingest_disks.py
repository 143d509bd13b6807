"""What is wrong with the machine, with a right or with an archive, and not with FITS."""

import errno
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pipeline.ingest import InputError
from pipeline.ingest.fitsfile import image_names, read_bits, read_image


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "m.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.eye(30), name="SCI")]).writeto(path)
    return path


@pytest.fixture
def failing(monkeypatch):
    """Make files fail when they are opened."""

    def fail(error):
        def failed(*_, **__):
            raise error

        monkeypatch.setattr(Path, "is_file", failed)
        monkeypatch.setattr(Path, "exists", failed)
        monkeypatch.setattr(fits, "open", failed)

    return fail


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENOMEM])
@pytest.mark.parametrize("read", [read_image, read_bits, image_names])
def test_a_good_file_on_a_disk_that_does_not_answer_is_no_bad_one(image, failing, read, number):
    failing(OSError(number, os.strerror(number)))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        read(str(image))
    assert caught.value.__notes__ == [
        f"{image}: cannot be read now; try again, or leave its tile out"
    ]


@pytest.mark.parametrize("read", [read_image, image_names])
def test_lack_of_memory_is_the_machines(image, failing, read):
    failing(MemoryError())
    with pytest.raises(MemoryError):
        read(str(image))


@pytest.mark.parametrize(
    ("read", "hdu"), [(read_image, ""), (read_image, "[SCI]"), (image_names, "")]
)
def test_a_file_that_may_not_be_read_says_so(image, failing, read, hdu):
    """Or one in a folder that may not be entered."""
    failing(PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(InputError, match=r"m\.fits.*: .*Permission denied.*ask its owner for"):
        read(f"{image}{hdu}")


@pytest.mark.parametrize("error", [zipfile.BadZipFile("no zip"), lzma.LZMAError("corrupt")])
def test_a_damaged_archive_is_refused(image, failing, error):
    failing(error)
    with pytest.raises(InputError, match=rf"m\.fits: .*{error}.*copied whole"):
        read_image(str(image))
