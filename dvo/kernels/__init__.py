"""Compiled maths that several parts of dvo share; each has a checked wrapper above."""
