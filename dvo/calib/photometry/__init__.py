"""relphot: zero points of images, and the mean magnitudes that rest on them."""
