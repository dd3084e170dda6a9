"""How much, and how, the brightness of objects changes: indices of variability, periods."""
