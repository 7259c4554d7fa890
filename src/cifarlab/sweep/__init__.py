"""The cells of a sweep: each is trained in a process of its own, which is watched from outside."""
