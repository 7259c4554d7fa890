"""Pictures of what a net has learnt: filters, activations, maps, Grad-CAM."""

from cifarlab.use.visualize.look import Options, visualize
from cifarlab.use.visualize.subject import Subject, of_model, of_run

__all__ = ["Options", "Subject", "of_model", "of_run", "visualize"]
