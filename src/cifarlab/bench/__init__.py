"""How fast cifarlab is beside what one would write without it; ``scripts/benchmark.py``."""
