"""Readers of large surveys as reference catalogs: one module a survey."""
