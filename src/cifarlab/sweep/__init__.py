"""The cells of a sweep: each a process of its own, watched, preloaded, searched."""
