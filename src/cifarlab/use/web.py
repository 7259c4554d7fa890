"""A page on this machine to drop an image on: its classes, and where in it the nets see them."""

import io
import logging
import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data.pictures import decode, fit
from cifarlab.figures import activations
from cifarlab.figures.style import class_labels
from cifarlab.inspection import calls, grad_cam, last_maps
from cifarlab.use.predictor import Predictor

_FONTS = ["system-ui", "sans-serif"]  # gradio's own theme has the browser fetch fonts elsewhere


def serve(model: Predictor, host: str, port: int) -> tuple[Any, str]:
    """Start the page; returns gradio's ``Blocks``, whose ``block_thread()`` waits and ``close()``
    ends it, and the page's address. Neither it nor the browser asks any other machine.

    port: 0 takes a free one. Raises ``UserError`` for one that is in use, or without gradio.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
    try:
        import gradio
    except ModuleNotFoundError:
        raise UserError("the page needs gradio: pip install -e '.[web]'") from None
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks its own page, and says so
    blocks = _page(gradio, model)
    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port or None,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            ssr_mode=False,
            theme=gradio.themes.Default(font=_FONTS, font_mono=["monospace"]),
        )
    except OSError as error:
        raise UserError(f"port={port}: not free; take another, or port=0 for any") from error
    return blocks, address


def answer(
    model: Predictor, path: str | None
) -> tuple[dict[str, float] | None, list[Image.Image | None]]:
    """Probabilities by class of an image file, and for each run a picture of its Grad-CAM.

    Nothing where ``path`` is ``None``; no picture for a net without convolutions. Raises
    ``UserError`` for a file that is no image.
    """
    if path is None:
        return None, [None] * len(model.runs)
    picture = decode(Path(path), "the file")
    prediction = model.ranked(model(picture))[0]
    label = model.classes.index(prediction.label)
    name = class_labels(model.classes)[label]
    photo = fit(picture, model.image_size)
    pixels = torch.tensor(photo).permute(2, 0, 1)[None].to(model.device)
    pictures: list[Image.Image | None] = []
    for run, module in zip(model.runs, model.modules, strict=True):
        layer = last_maps(calls(module.net, model.image_size))
        if layer is None:
            pictures.append(None)
            continue
        heat = grad_cam(module.net, module.normalize(pixels)[0], layer.name, label)
        title = f"{run.record.model}, {layer.name}: what speaks for “{name}”"
        pictures.append(_drawn(activations.cam(photo, heat.cpu().numpy(), title)))
    return dict(prediction.probabilities), pictures


def _drawn(figure: Any) -> Image.Image:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130)
    return Image.open(file)


def _page(gradio: Any, model: Predictor) -> Any:
    def react(path: str | None) -> list[Any]:
        try:
            classes, pictures = answer(model, path)
        except UserError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return [classes, *(gradio.Image(value=p, visible=p is not None) for p in pictures)]

    names = " + ".join(run.record.model for run in model.runs)
    with gradio.Blocks(title=f"cifarlab: {names}", analytics_enabled=False) as blocks:
        gradio.Markdown(f"### {names}, trained on {model.runs[0].record.data['name']}")
        with gradio.Row():
            image = gradio.Image(type="filepath", image_mode=None, label="Image", height=330)
            classes = gradio.Label(num_top_classes=5, label="Classes")
        pictures = [
            gradio.Image(visible=False, label="Grad-CAM", buttons=[], interactive=False)
            for _ in model.runs
        ]
        image.change(react, image, [classes, *pictures])
    return blocks
