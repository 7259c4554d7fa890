"""Runs and sweeps as they train, on a page of this machine."""
