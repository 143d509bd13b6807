"""Blocks of an image's pixels."""


def in_blocks(image, side):
    """View the whole blocks of an image.

    Parameters
    ----------
    image : ndarray, (y, x)
    side : int
        Of a block [pixel]; what is left at the ends of the axes is in none.

    Returns
    -------
    ndarray, (row, side, column, side)
    """
    rows, columns = (n // side for n in image.shape)
    return image[: rows * side, : columns * side].reshape(rows, side, columns, side)
