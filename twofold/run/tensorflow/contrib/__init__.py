"""`tf.contrib`: cells of recurrent nets, and `layers.flatten`."""

from ....static import layers
from . import rnn

__all__ = ["layers", "rnn"]
