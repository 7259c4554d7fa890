"""The dashboard, or a page to drop an image on: ``python scripts/web.py [run=<folder>]``."""

import signal
from pathlib import Path
from typing import Annotated

from annotated_types import Interval
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_own
from cifarlab.base.schema import Key


@cli.app(Path(__file__).parents[1] / "conf", "web")
def main(cfg: DictConfig) -> None:
    Key("port", cfg.port, Annotated[int, Interval(ge=0, lt=65536)]).check()
    if cfg.run is None:
        check_own(cfg.host)
    from cifarlab.use.web import serve

    if cfg.run is None:
        from cifarlab.dashboard.page import dashboard
        from cifarlab.dashboard.watching import Watch

        page = dashboard(Watch(Path(cfg.path)), cfg.device)
    else:
        from cifarlab.use.predictor import load
        from cifarlab.use.web import image_page

        page = image_page(load(*cli.several(cfg.run), device=cfg.device))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended so, it cleans up, too
    blocks, address = serve(page, cfg.host, cfg.port)
    print(f"{address}  (Ctrl-C ends it)", flush=True)
    blocks.block_thread()


if __name__ == "__main__":
    main()
