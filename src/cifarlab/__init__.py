"""cifarlab: a lab for convolutional networks on CIFAR-10."""

__version__ = "0.1.0"
