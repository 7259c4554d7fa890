"""Images: sources and their cache, splits, augmentation, the loader and the data module."""
