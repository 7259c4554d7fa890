"""Imported by the process that cells are forked from, once, and by nothing else.

What asks a sweep to stop often goes to all its processes; the cells answer it, and end when this
process does, so this one must not.
"""

import signal

from cifarlab.base.slurm import SIGNALS

for _signum in SIGNALS:
    signal.signal(_signum, signal.SIG_IGN)

import cifarlab.run.runner  # noqa: E402, F401  seconds, for all cells together
