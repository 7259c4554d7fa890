"""cifarlab: a lab for convolutional networks on CIFAR-10.

In a notebook: ``model = cifarlab.load("outputs/runs/<name>/<time>")``, then
``model.predict("cat.png")`` for a prediction or ``model(images)`` for probabilities.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifarlab.use.predictor import Prediction, Predictor, load

__version__ = "0.1.0"
__all__ = ["Prediction", "Predictor", "load"]


def __getattr__(name: str) -> Any:
    """The names above, imported when first used: they bring torch with them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cifarlab.use import predictor

    return getattr(predictor, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
