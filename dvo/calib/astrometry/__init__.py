"""Astrometric calibration: places and motions of objects."""
