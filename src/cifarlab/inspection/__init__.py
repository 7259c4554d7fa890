"""Looking into a net: its layers in the order in which they run, what they answer, Grad-CAM, dead
filters. Nets in, tensors out; ``cifarlab.figures`` draws them."""

from cifarlab.inspection.dead import DeadFilters
from cifarlab.inspection.gradcam import grad_cam
from cifarlab.inspection.layers import (
    Call,
    as_pictures,
    calls,
    capture,
    count_macs,
    counted_operations,
    evaluating,
    first_layer,
    last_maps,
    maps_of,
)

__all__ = [
    "Call",
    "DeadFilters",
    "as_pictures",
    "calls",
    "capture",
    "count_macs",
    "counted_operations",
    "evaluating",
    "first_layer",
    "grad_cam",
    "last_maps",
    "maps_of",
]
