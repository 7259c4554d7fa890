"""Sizes, parameters and convolutions by hand: ``python scripts/theory.py ask=<question>``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.compose import plain
from cifarlab.theory.questions import answer


@cli.app(Path(__file__).parents[1] / "conf", "theory")
def main(cfg: DictConfig) -> None:
    config = plain(cfg, missing=True)
    question = config.pop("ask")
    print(answer(question, {key: value for key, value in config.items() if value is not None}))


if __name__ == "__main__":
    main()
