"""A run and a sweep on disk: names of their files, records, checkpoints, predictions, locks."""
