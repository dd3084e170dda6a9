"""Satellite tables filled: GalPhot, Lensing and StarPar rows linked to their objects."""
