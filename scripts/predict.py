"""Classes of image files: ``python scripts/predict.py run=<folder> images=<what>``."""

import itertools
import sys
import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError, printable
from cifarlab.base.kinds import Count, Whole
from cifarlab.base.schema import Key

SHOWN = 10  # predictions on the screen
SOME_SKIPPED = 3  # exit code


@cli.app(Path(__file__).parents[1] / "conf", "predict")
def main(cfg: DictConfig) -> None:
    Key("batch_size", cfg.batch_size, Count).check()
    Key("sheet", cfg.sheet, Whole).check()
    from cifarlab.data.pictures import find

    paths = find(cli.several(cfg.images))  # before torch is imported: a slip is answered at once
    from tqdm import tqdm

    from cifarlab.data.archives import is_archive
    from cifarlab.use.files import predict_files, write_csv
    from cifarlab.use.predictor import load

    warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged files are told below
    model = load(*cli.several(cfg.run), device=cfg.device)
    skipped: list[str] = []

    def skip(error: UserError) -> None:
        skipped.append(str(error))
        tqdm.write(f"skipped: {error}", file=sys.stderr)

    total = None if any(map(is_archive, paths)) else len(paths)
    found = predict_files(model, paths, cfg.batch_size, skip)
    shown: list[Any] = []
    rows = []
    for item in tqdm(found, total=total, unit="image", disable=None, leave=False):
        rows.append((item.path, item.prediction))
        if len(shown) < cfg.sheet:
            shown.append(item)
    if not rows:
        raise UserError(f"images={cfg.images}: no image that can be read")
    folder = Path(cfg.output)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "predictions.csv", rows, len(model.classes))
    for path, prediction in itertools.islice(rows, SHOWN):
        print(f"{printable(path)}: {prediction}")
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN:,} more")
    print(f"\n{len(rows):,} predicted, {len(skipped):,} skipped")
    print(folder / "predictions.csv")
    if shown:
        print(draw(shown, len(rows), model, folder / "predictions.png"))
    if skipped:
        sys.exit(SOME_SKIPPED)


def draw(shown: list[Any], count: int, model: Any, path: Path) -> Path:
    from cifarlab.figures.curves import save
    from cifarlab.figures.predictions import contact_sheet
    from cifarlab.figures.style import class_labels

    names = ", ".join(run.record.model for run in model.runs)
    extent = f", the first {len(shown)} of {count:,} images" if count > len(shown) else ""
    labels = dict(zip(model.classes, class_labels(model.classes), strict=True))
    predictions = [(labels[p.label], p.probability) for p in (item.prediction for item in shown)]
    files = [printable(Path(item.path).name) for item in shown]
    pixels = [item.pixels for item in shown]
    save(contact_sheet(pixels, predictions, files, f"{names}{extent}"), path)
    return path


if __name__ == "__main__":
    main()
