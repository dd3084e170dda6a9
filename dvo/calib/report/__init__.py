"""Reports of calibrations: residuals added up in bins, pictures of them, and a page."""
