"""dvo: a sky-catalogue database that keeps measurements, objects and images in step."""

__version__ = "0.1.0"
__all__ = ["__version__"]
