"""Training scenes, drawn many at once by JAX: on two cores, or on a GPU a hundred times faster.

Every scene is a pure function of a key, written for one scene and mapped over many.  Inside a scene
one unit of flux is the sky's standard deviation in a pixel.
"""
