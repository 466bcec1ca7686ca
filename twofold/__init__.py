"""Twofold: write it dynamic, run it static."""
