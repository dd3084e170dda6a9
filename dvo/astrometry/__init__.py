"""Astrometry of images: chip -> focal plane -> tangent plane -> sky, and the ways to write it."""
