"""Imported only by the process that cells are forked from, once for a sweep.

A signal that asks a sweep to stop often goes to all its processes. The cells answer it. This
process must ignore it, since the cells end as soon as it ends.
"""

import signal

from cifarlab.base.slurm import SIGNALS

for _signum in SIGNALS:
    signal.signal(_signum, signal.SIG_IGN)

import cifarlab.run.runner  # noqa: E402, F401  seconds, for all cells together
