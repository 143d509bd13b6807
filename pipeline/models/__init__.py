"""What the networks are asked, and what they say; import-light, for Keras is in `pipeline.nets`.

Every module here that `NETWORKS` names answers one question about a stamp, with the same functions:

``inputs(cutouts, networks)``, ``target(stamps, truth, light)``
    what the network sees (``stamps``), and what it should say of it;
``see(flux, ivar, binning)``
    as ``inputs``, of bare arrays, NumPy's or another library's that lie on a GPU; networks that
    learn from what others say have none;
``calibrate(network, stamps, truth)``
    what validation stamps add to the model card;
``apply(network, cutouts, ...)``
    what the trained network says, with one row or one map a stamp;
``score(network, stamps, truth, light)``
    how well it does, as a mapping of numbers.

Networks that build on others find these in ``networks``, by name.
"""

from pipeline.models import anomaly, lens, photometry, punet, unet

NETWORKS = {
    "lens": lens,
    "unet": unet,
    "punet": punet,
    "photometry": photometry,
    "anomaly": anomaly,
}
