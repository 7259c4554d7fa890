"""Networks: images ``(batch, 3, size, size)``, normalised, to logits ``(batch, classes)``."""

from torch import Tensor, nn


class MyNet(nn.Module):
    """Two convolutions and a mean over the image.

    num_classes, image_size: come from the data; all else from ``conf/model/my_lab.yaml``.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int,
        width: int = 32,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout or 0.0),
            nn.Linear(2 * width, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)
