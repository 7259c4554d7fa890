"""Web pages on this machine, and the one to drop an image on: its classes and Grad-CAM."""

import atexit
import io
import ipaddress
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.base.reading import in_bytes
from cifarlab.data.pictures import decode, fit
from cifarlab.figures import activations, curves
from cifarlab.figures.style import class_labels
from cifarlab.inspection import calls, grad_cam, last_maps
from cifarlab.use.predictor import Predictor

MAX_UPLOAD = 64_000_000  # bytes of a request
_KEPT = 60  # s until an uploaded image and the pictures made of it are removed
# Of Markdown: a cell stays on its line, and what is too wide for a phone moves sideways
_CSS = (
    ".prose table { display: block; overflow-x: auto; border: 0; }"
    ".prose :is(th, td) { white-space: nowrap; }"
)
_FONTS = ["system-ui", "sans-serif"]  # gradio's own theme has the browser fetch fonts elsewhere


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Page = Callable[[Any], None]


class Guard:
    """Stands in front of the page (ASGI) and refuses requests that the page must not get.

    It answers only to names and addresses of this machine, so that no other page can let its own
    name lead here (DNS rebinding), and only to requests of at most ``MAX_UPLOAD`` bytes.

    Args:
        app: the page.
        host: the name or address that the page listens at.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]], host: str) -> None:
        self.app, self.names = app, {host.lower(), "localhost", socket.gethostname().lower()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "lifespan" and not self._is_ours(headers.get(b"host", b"")):
            await _refuse(send, 421, "not a name of this page's machine")
        elif _length(headers.get(b"content-length", b"0")) > MAX_UPLOAD:
            await _refuse(send, 413, f"at most {in_bytes(MAX_UPLOAD)}")
        elif "://" in scope.get("path", ""):  # gradio would fetch it
            await _refuse(send, 403, "nothing is fetched from elsewhere")
        else:
            await self.app(scope, _bounded(receive), send)

    def _is_ours(self, host: bytes) -> bool:
        """A name of ours, or an address: only names can be made to lead elsewhere."""
        try:
            name = urlsplit(f"//{host.decode()}").hostname or ""
            return name in self.names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def serve(page: Page, host: str, port: int) -> tuple[Any, str]:
    """Start a page; returns gradio's ``Blocks`` and the address of the page.

    ``block_thread()`` of the ``Blocks`` waits, ``close()`` ends the page. Neither the page nor the
    browser contacts any other machine. Uploaded images lie in a folder of their own, for a minute
    and no longer than the page lives. Raises ``UserError`` for a port that is in use, and if gradio
    is not installed.

    page: puts the page's parts into a ``Blocks`` of the module gradio, which it is given.
    port: 0 takes a free one.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
    try:
        import gradio
        from starlette.middleware import Middleware
    except ModuleNotFoundError:
        raise UserError("the page needs gradio: pip install -e '.[web]'") from None
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks its own page, and says so
    uploads = tempfile.mkdtemp(prefix="cifarlab-web-")
    atexit.register(shutil.rmtree, uploads, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = uploads
    with gradio.Blocks(
        title="cifarlab", analytics_enabled=False, delete_cache=(_KEPT, _KEPT)
    ) as blocks:
        page(gradio)
    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port or None,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            ssr_mode=False,
            max_file_size=MAX_UPLOAD,
            app_kwargs={"middleware": [Middleware(Guard, host=host)]},
            css=_CSS,
            theme=gradio.themes.Default(font=_FONTS, font_mono=["monospace"]),
        )
    except OSError as error:
        raise UserError(f"port={port}: not free; take another, or port=0 for any") from error
    return blocks, address


def image_page(model: Predictor) -> Page:
    """A page to drop an image on: its classes on average over the nets of ``model``, and Grad-CAM
    of each."""

    def page(gradio: Any) -> None:
        def react(path: str | None) -> list[Any]:
            try:
                classes, pictures = answer(model, path)
            except UserError as error:
                raise gradio.Error(str(error), print_exception=False) from None
            return [classes, *(gradio.Image(value=p, visible=p is not None) for p in pictures)]

        names = " + ".join(run.record.model for run in model.runs)
        gradio.Markdown(f"### {names}, trained on {model.runs[0].record.data['name']}")
        with gradio.Row():
            image = upload(gradio)
            classes = gradio.Label(num_top_classes=5, label="Classes")
        pictures = [heat(gradio) for _ in model.runs]
        image.change(react, image, [classes, *pictures])

    return page


def upload(gradio: Any) -> Any:
    """The part of a page that takes an image and hands on the path of its file, as it was
    uploaded."""

    async def stay(place: str | Path | None) -> str | None:
        if "://" in str(place):
            raise gradio.Error("nothing is fetched from elsewhere", print_exception=False)
        return None if place is None else str(place)

    image = gradio.Image(type="filepath", image_mode=None, label="Image", height=330)
    # The uploaded file as it is: gradio would fetch one whose address comes instead, and
    # decode pixels that do. Not by a subclass: gradio writes a .pyi beside a file with one
    image.async_move_resource_to_block_cache = stay
    image.preprocess = lambda payload: payload and payload.path
    return image


def heat(gradio: Any) -> Any:
    """The part of a page that shows Grad-CAM, once there is any."""
    return gradio.Image(visible=False, show_label=False, buttons=[], interactive=False)


def answer(
    model: Predictor, path: str | None
) -> tuple[dict[str, float] | None, list[Image.Image | None]]:
    """The probabilities of the classes for an image file, and for each net a picture of Grad-CAM.

    There are none if ``path`` is ``None``, and no picture of a net without convolutions. Raises
    ``UserError`` for a file that is no image.
    """
    if path is None:
        return None, [None] * len(model.runs)
    picture = decode(Path(path), "the file")
    prediction = model.ranked(model(picture))[0]
    label = model.classes.index(prediction.label)
    name = class_labels(model.classes)[label]
    photo = fit(picture, model.image_size, model.resize)
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


def _length(header: bytes) -> float:
    """The length of the request's body, as its header declares it."""
    return int(header) if header.isdigit() else float("inf")


def _bounded(receive: Receive) -> Receive:
    """Ends a request whose body is longer than ``MAX_UPLOAD``, whatever its header declares."""
    left = MAX_UPLOAD

    async def receive_bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return receive_bounded


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})


def _drawn(figure: Any) -> Image.Image:
    return Image.open(io.BytesIO(curves.png(figure, dpi=130)))
