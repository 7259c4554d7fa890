"""A contact sheet of an augmentation policy: ``python scripts/describe.py aug=crop_flip``."""

from collections.abc import Sequence
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

    from cifarlab.data.loader import Normalize, Policy
    from cifarlab.figures.curves import save
    from cifarlab.figures.sheet import before_and_after
    from cifarlab.seeding import derive

    data = instantiate(config["data"], _convert_="all")
    data.setup()
    labels = torch.from_numpy(data.images.train_labels)
    first = torch.tensor([labels.tolist().index(i) for i in range(min(10, len(data.classes)))])
    originals = torch.from_numpy(data.images.train_images)[first]
    as_shown = Normalize((0.0,) * 3, (1.0,) * 3, torch.device("cpu"))  # to [0, 1] and no further
    policy = Policy(data.augment, as_shown, len(data.classes))
    rounds, captions = [], []
    for number in range(config["rounds"]):
        generator = torch.Generator().manual_seed(derive("describe", config["seed"], number))
        images, targets = policy(originals.permute(0, 3, 1, 2), labels[first], generator)
        rounds.append((images * 255).round().byte().permute(0, 2, 3, 1))
        if policy.mix_ops:
            captions.append([shares(row, data.classes) for row in targets.tolist()])
    name = config["choices"]["aug"] or "-".join(config["aug"])  # Hydra has no name for a list
    figure = before_and_after(
        originals.numpy(),
        torch.stack(rounds).numpy(),
        [data.classes[label] for label in labels[first]],
        f"aug={name}",
        captions or None,
    )
    path = Path(config["output_root"]) / "sheets" / f"{name}.png"
    save(figure, path)
    print(path)


def shares(target: list[float], classes: Sequence[str]) -> str:
    """A line for each class that has a hundredth or more of a mixed label, the largest first."""
    parts = sorted(zip(target, classes, strict=True), reverse=True)
    return "\n".join(f"{name} {share:.2f}" for share, name in parts if share >= 0.01)


if __name__ == "__main__":
    main()
