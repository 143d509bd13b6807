"""What the networks are asked, and what they say; import-light, for Keras is in `pipeline.nets`.

Every module here that `NETWORKS` names answers one question about a stamp, with the same functions:

``KIND``
    of the scenes it learns from: "blends" or "lenses";
``inputs(cutouts, networks, companions)``, ``target(stamps, truth, light)``
    what the network sees (``stamps``), and what it should say of it;
``see(scenes, networks, normal)``
    as ``inputs``, of scenes as `pipeline.scenes` draws them, whose arrays may lie on a GPU;
``WITH_COMPANIONS``
    whether it is told of the stamps of other sources;
``calibrate(network, stamps, truth, light)``
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
