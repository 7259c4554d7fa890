"""The largest batch that fits into memory: ``python scripts/batch_find.py [overrides]``."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain
from cifarlab.base.config import RunConfig
from cifarlab.base.kinds import Count


class BatchFindConfig(RunConfig):
    """Of ``python scripts/batch_find.py``."""

    largest: Count


@cli.app(Path(__file__).parents[1] / "conf", "batch_find")
def main(cfg: DictConfig) -> None:
    options = plain(cfg)
    config = check_config(options, BatchFindConfig)
    with cli.quick_imports():
        from cifarlab.run.batch_find import find_batch_size

    find_batch_size(config, Path(HydraConfig.get().runtime.output_dir), options["largest"])


if __name__ == "__main__":
    main()
