"""Buffers, threads, plans and the disk cache. Knows nothing above level 0."""
