"""Handwritten digits: the data, the net, training, and pictures of how it went."""
