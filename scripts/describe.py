"""A contact sheet of an augmentation policy: ``python scripts/describe.py aug=crop_flip``."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cifarlab import cli
from cifarlab.checks import check_config


@cli.app(Path(__file__).parents[1] / "conf", "describe")
def main(cfg: DictConfig) -> None:
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    check_config(config)
    import torch
    from hydra.utils import instantiate

    from cifarlab.figures.curves import save
    from cifarlab.figures.sheet import before_and_after
    from cifarlab.seeding import derive

    data = instantiate(config["data"], _convert_="all")
    data.setup()
    first = [list(data.images.train_labels).index(i) for i in range(min(10, len(data.classes)))]
    originals = torch.from_numpy(data.images.train_images[first]).permute(0, 3, 1, 2)
    rounds = []
    for number in range(config["rounds"]):
        images = originals
        generator = torch.Generator().manual_seed(derive("describe", config["seed"], number))
        for operation in data.augment:
            images = operation(images, generator)
        rounds.append(images)
    name = config["choices"]["aug"] or "-".join(config["aug"])  # Hydra has no name for a list
    figure = before_and_after(
        originals.permute(0, 2, 3, 1).numpy(),
        torch.stack(rounds).permute(0, 1, 3, 4, 2).numpy(),
        [data.classes[data.images.train_labels[i]] for i in first],
        f"aug={name}",
    )
    path = Path(config["output_root"]) / "sheets" / f"{name}.png"
    save(figure, path)
    print(path)


if __name__ == "__main__":
    main()
