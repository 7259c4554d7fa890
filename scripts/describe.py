"""What a run is made of: ``python scripts/describe.py model=<m>``, ``aug=<policy>`` or
``data=<source>``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count

Config = dict[str, Any]


class DescribeConfig(RunConfig):
    """Of ``python scripts/describe.py``."""

    num_classes: Count
    image_size: Count
    rounds: Count
    per_class: Count


@cli.app(Path(__file__).parents[1] / "conf", "describe")
def main(cfg: DictConfig) -> None:
    config: Config = {**check_config(plain(cfg), DescribeConfig)}
    asked = [kind for kind in ("model", "aug", "data") if typed(config, kind)]
    if not asked:
        raise UserError(
            "nothing to describe: ask for model=<m> (its layers), aug=<policy> (before and after) "
            "or data=<source> (its images); --help has examples"
        )
    with cli.quick_imports():
        data = read(config) if asked != ["model"] else None
        if "model" in asked:
            describe_model(config, data)
        if "aug" in asked:
            describe_augmentation(config, data)
        if asked == ["data"]:
            describe_data(config, data)


def typed(config: Config, group: str) -> list[str]:
    """The overrides of a group."""
    return [word for word in config["overrides"] if re.match(rf"\+*{group}[.=]", word)]


def place(config: Config, group: str) -> Path:
    """Where a sheet of a group goes, without suffix: named after what was typed."""
    words = [re.sub(rf"^\+*{group}[.=]", "", word) for word in typed(config, group)]
    bare = (re.sub(r"[][{}'\"]", "", word) for word in words)
    name = "_".join(re.sub(r"[^\w.=-]+", "-", word) for word in bare)
    return Path(config["output_root"]) / "sheets" / group / name[:100]


def read(config: Config) -> Any:
    """The data module, set up."""
    from hydra.utils import instantiate

    data = instantiate(config["data"], _convert_="all")
    data.setup()
    return data


def describe_model(config: Config, data: Any) -> None:
    """Layer by layer, formulas beside what is counted; on the screen, as CSV and as Markdown."""
    from cifarlab.report.tables import as_markdown, markdown_table
    from cifarlab.store.checkpoint import build_net
    from cifarlab.store.tables import write_csv
    from cifarlab.theory.sheet import trace
    from cifarlab.theory.table import as_records, table, text

    classes = len(data.classes) if data else config["num_classes"]
    size = data.image_size if data else config["image_size"]
    channels = config["data"]["channels"] if data else 3
    net = build_net(config["model"], classes, size, pretrained=False, channels=channels)
    sheet = trace(net, (3, size, size))
    words = " ".join(typed(config, "model") + typed(config, "dropout"))
    title = f"{words}: {channels}x{size}x{size} pixels to {classes} classes"
    print(title, "", text(sheet.rows), "", *sheet.remarks, "", sep="\n")
    path = place(config, "model")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path.with_name(f"{path.name}.csv"), as_records(sheet.rows))
    parts = [f"# {as_markdown(title)}", markdown_table(table(sheet.rows, formulas=True))]
    parts += map(as_markdown, sheet.remarks)
    path.with_name(f"{path.name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"{path}.md, .csv")
    if sheet.mistakes:
        raise RuntimeError(f"formulas and net disagree: {'; '.join(sheet.mistakes)}")


def describe_augmentation(config: Config, data: Any) -> None:
    """Images of up to ten classes above what a policy makes of them."""
    import torch

    from cifarlab.base.seeding import derive
    from cifarlab.data.loader import Normalize, Policy, channels_first
    from cifarlab.figures.curves import save
    from cifarlab.figures.sheet import before_and_after
    from cifarlab.figures.style import class_labels

    names = class_labels(data.classes)
    labels = torch.from_numpy(data.images.train_labels)
    first = torch.tensor([labels.tolist().index(i) for i in range(min(10, len(data.classes)))])
    originals = torch.from_numpy(data.images.train_images)[first]
    as_shown = Normalize((0.0,) * 3, (1.0,) * 3, torch.device("cpu"))  # to [0, 1] and no further
    policy = Policy(data.augment, as_shown, len(data.classes))
    rounds, captions = [], []
    for number in range(config["rounds"]):
        generator = torch.Generator().manual_seed(derive("describe", config["seed"], number))
        images, targets = policy(channels_first(originals), labels[first], generator)
        rounds.append((images * 255).round().byte().permute(0, 2, 3, 1))
        if policy.mix_ops:
            captions.append([shares(row, names) for row in targets.tolist()])
    figure = before_and_after(
        originals.numpy(),
        torch.stack(rounds).numpy(),
        [names[label] for label in labels[first]],
        " ".join(typed(config, "aug")),
        captions or None,
    )
    path = place(config, "aug")
    path = path.with_name(f"{path.name}.png")
    save(figure, path)
    print(path)


def shares(target: list[float], classes: Sequence[str]) -> str:
    """A line for each class that has a hundredth or more of a mixed label, the largest first."""
    parts = sorted(zip(target, classes, strict=True), reverse=True)
    return "\n".join(f"{name} {share:.2f}" for share, name in parts if share >= 0.01)


def describe_data(config: Config, data: Any) -> None:
    """Images of each class, how many there are in each split, mean and standard deviation."""
    from cifarlab.data.summary import class_counts, some_of_each
    from cifarlab.figures.curves import save
    from cifarlab.figures.sheet import MOST, bars_by_class, images_by_class
    from cifarlab.report.tables import as_markdown, markdown_table
    from cifarlab.store.tables import write_csv
    from cifarlab.theory.table import aligned

    counts = class_counts(data)
    rows = [
        dict(zip(("class", *counts), row, strict=True))
        for row in zip(data.classes, *counts.values(), strict=True)
    ]
    sums = ["all", *(f"{sum(column):,}" for column in counts.values())]
    words = [[row["class"], *(f"{row[part]:,}" for part in counts)] for row in rows]
    table = [["class", *counts], *words, sums]
    size = f"{data.image_size}x{data.image_size}"
    title = f"{data.name}: {len(data.classes)} classes, {size} pixels"
    title += f"; {data.layout}" if data.layout else ""
    print(title, "", aligned(table, 1), "", aligned(statistics(data), 3), "", sep="\n")

    path = Path(config["output_root"]) / "sheets" / "data" / data.name
    count = config["per_class"]
    drawn = data.classes[:MOST]
    images = some_of_each(data, count, config["seed"], len(drawn))
    across = 1 if len(drawn) <= 25 else max(2, 40 // count)
    of = "" if drawn == data.classes else f" of the first {MOST} of {len(data.classes):,} classes"
    named = f"{data.name}: training images{of}, seed {config['seed']}"
    save(images_by_class(images, drawn, across, named), Path(f"{path}_images.png"))
    save(
        bars_by_class(counts, data.classes, f"{title}, images of each"), Path(f"{path}_counts.png")
    )
    write_csv(Path(f"{path}_counts.csv"), rows)
    parts = [f"# {as_markdown(title)}", *map(markdown_table, (statistics(data), table))]
    parts += [f"![{kind}]({quote(data.name)}_{kind}.png)" for kind in ("images", "counts")]
    Path(f"{path}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"{path}.md, _images.png, _counts.png, _counts.csv")


def statistics(data: Any) -> list[list[str]]:
    """Mean and standard deviation by channel: as measured, as stored with the source, as used."""
    from cifarlab.data.datamodule import measure

    measured = measure(data.images.train_images, data.train_indices)
    number = f"{len(data.train_indices):,}"
    lines = [["of pixels in [0, 1], by channel", "mean", "standard deviation"]]
    for name, values in (
        (f"measured on the {number} training images", measured),
        ("published, kept with the source", data.source.statistics),
        (f"used: data.normalize={data.normalize}", (data.mean, data.std)),
    ):
        parts = [" ".join(f"{value:.4f}" for value in part) for part in values or ()]
        lines.append([name, *(parts or ["none", "none"])])
    return lines


if __name__ == "__main__":
    main()
