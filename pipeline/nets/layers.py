"""Building blocks shared by the networks."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("arclet")
class SkyUnits(keras.layers.Layer):
    """Turn flux and inverse variance into what the sky's noise makes of them.

    Takes (n, y, x, 2 * band), the bands' flux and then their ivar, in any unit of flux; gives
    (n, y, x, 3 * band): ``asinh(s)``, ``asinh(s / 20)`` and the pixel's noise over the stamp's
    typical noise (0 where a pixel is lost), where ``s`` is flux over that typical noise.  The
    unit cancels, and no neighbour's brightness enters: only `ivar` sets the scale.
    """

    def call(self, stamps):
        """Scale the stamps."""
        signal, relative = over_sky_noise(*ops.split(stamps, 2, axis=-1))
        return ops.concatenate([arcsinh(signal), arcsinh(signal / 20.0), relative], axis=-1)

    def compute_output_shape(self, shape):
        """Shape of what `call` gives."""
        return (*shape[:-1], 3 * shape[-1] // 2)


def arcsinh(x):
    """Inverse hyperbolic sine of parts that OpenVINO computes fast, of which its own is none.

    Its gradient at 0 is 0: it is meant for what a network sees.
    """
    size = ops.abs(x)
    return ops.sign(x) * ops.log(size + ops.sqrt(size * size + 1.0))


def over_sky_noise(flux, ivar):
    """Flux over the stamp's typical noise, and that over the pixel's noise; both (n, y, x, ...)."""
    usable, weight = ops.cast(ivar > 0, flux.dtype), ops.sqrt(ivar)
    n_usable = ops.maximum(ops.sum(usable, axis=(1, 2), keepdims=True), 1.0)
    typical = ops.sum(weight, axis=(1, 2), keepdims=True) / n_usable
    return flux * usable * typical, ops.minimum(weight / ops.maximum(typical, 1e-30), 3.0)


def fold(x):
    """Put each 2x2 block of pixels into the channels of one; (n, y / 2, x / 2, 4 * channel).

    Nothing is lost, and the layers that follow cost a quarter (Shi et al. 2016, arXiv:1609.05158,
    the other way round).
    """
    height, width, channels = x.shape[1:]
    blocks = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
    blocks = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
    return ops.reshape(blocks, (-1, height // 2, width // 2, 4 * channels))


def unfold(x):
    """Undo `fold`; (n, 2 * y, 2 * x, channel / 4)."""
    height, width, channels = x.shape[1:]
    blocks = ops.reshape(x, (-1, height, width, 2, 2, channels // 4))
    blocks = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
    return ops.reshape(blocks, (-1, 2 * height, 2 * width, channels // 4))


def sky_units(stamps):
    """Apply `SkyUnits`, in full precision whatever the rest computes in."""
    return SkyUnits(dtype="float32")(stamps)


def conv(x, filters, size=3, strides=1):
    """Convolve, normalise and rectify."""
    x = keras.layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


def residual(x, filters, strides=1):
    """Add what two convolutions make of `x` to `x` (He et al. 2016, arXiv:1512.03385).

    Strides pool the short cut before its 1x1 convolution, as He et al. (2019, arXiv:1812.01187)
    do; a strided 1x1 convolution, besides, crashes the training in TensorFlow 2.21 on CPUs.
    """
    short = keras.layers.AveragePooling2D(strides)(x) if strides != 1 else x
    if x.shape[-1] != filters:
        short = keras.layers.Conv2D(filters, 1, use_bias=False)(short)
        short = keras.layers.BatchNormalization()(short)
    y = conv(x, filters, strides=strides)
    y = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = keras.layers.BatchNormalization()(y)
    return keras.layers.ReLU()(keras.layers.Add()([short, y]))


def contract_and_expand(x, filters):
    """Run a light U-Net (Ronneberger et al. 2015, arXiv:1505.04597).

    Two convolutions a scale on the way down, one on the way up; channels are reduced before the
    nearest-neighbour upsampling, where that is cheap.  The layer ``coarsest`` gives the bottom's
    channels.

    Returns
    -------
    tensor, (n, y, x, filters[0])
    """
    skips = []
    for n in filters[:-1]:
        x = conv(conv(x, n), n)
        skips.append(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Identity(name="coarsest")(conv(conv(x, filters[-1]), filters[-1]))
    for n, skip in zip(filters[-2::-1], reversed(skips), strict=True):
        x = keras.layers.UpSampling2D()(conv(x, n, size=1))
        x = conv(keras.layers.Concatenate()([skip, x]), n)
    return x


def encode(x, filters):
    """Shrink a folded stamp to one vector; (n, 2 * filters[-1]).

    Two convolutions a scale; each channel's mean and maximum are kept.
    """
    for n in filters:
        x = conv(conv(x, n, strides=2), n)
    pools = keras.layers.GlobalAveragePooling2D(), keras.layers.GlobalMaxPooling2D()
    return keras.layers.Concatenate()([pool(x) for pool in pools])
