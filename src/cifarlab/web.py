"""A page on this machine to drop an image on: its classes, and where in it the net sees them."""

import os
from typing import Any

from cifarlab.data.pictures import decode
from cifarlab.errors import UserError
from cifarlab.predictor import Predictor

_FONTS = ["system-ui", "sans-serif"]  # gradio's own theme has the browser fetch fonts elsewhere


def serve(model: Predictor, host: str, port: int) -> tuple[Any, str]:
    """Start the page; returns gradio's ``Blocks``, whose ``block_thread()`` waits and ``close()``
    ends it, and the page's address. Nothing is sent anywhere else.

    port: 0 takes a free one. Raises ``UserError`` for one that is in use, or without gradio.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
    try:
        import gradio
    except ModuleNotFoundError:
        raise UserError("the page needs gradio: pip install -e '.[web]'") from None
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


def _page(gradio: Any, model: Predictor) -> Any:
    record = model.runs[0].record

    def answer(path: str | None) -> tuple[dict[str, float] | None, str]:
        if path is None:
            return None, ""
        try:
            picture = decode(path, "the file")
        except UserError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return dict(model.predict(picture).probabilities)

    with gradio.Blocks(title=f"cifarlab: {record.model}", analytics_enabled=False) as blocks:
        gradio.Markdown(
            f"### {' + '.join(run.record.model for run in model.runs)} on {record.data['name']}"
        )
        with gradio.Row():
            image = gradio.Image(type="filepath", image_mode=None, label="Image", height=360)
            label = gradio.Label(num_top_classes=5, label="Classes")
        image.change(answer, image, label)
    return blocks
