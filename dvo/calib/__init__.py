"""Calibration: zero points, flat fields and astrometry solved from the measures themselves."""
