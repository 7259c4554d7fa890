"""A page to drop an image on: ``python scripts/web.py run=<folder>``."""

import signal
from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError


@cli.app(Path(__file__).parents[1] / "conf", "web")
def main(cfg: DictConfig) -> None:
    if not isinstance(cfg.port, int) or not 0 <= cfg.port < 65536:
        raise UserError(f"port={cfg.port}: must be a whole number from 0 to 65535")
    from cifarlab.use.predictor import load
    from cifarlab.use.web import serve

    model = load(*cli.several(cfg.run), device=cfg.device)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended so, it cleans up, too
    page, address = serve(model, cfg.host, cfg.port)
    print(f"{address}  (Ctrl-C ends it)", flush=True)
    page.block_thread()


if __name__ == "__main__":
    main()
