"""Code of my own for cifarlab."""
