"""`theano.sandbox.rng_mrg`: another name of the same source of random numbers."""

from ..tensor.shared_randomstreams import RandomStreams

MRG_RandomStreams = RandomStreams

__all__ = ["MRG_RandomStreams"]
