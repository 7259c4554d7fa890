"""The results of a sweep folder: ``results.csv``, ``summary.csv`` and ``results.md``."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cifarlab.record import FAILURE, RunRecord, is_finished
from cifarlab.report.stats import mean_interval

Row = dict[str, Any]


def collect(folder: Path) -> tuple[list[str], list[Row]]:
    """Swept keys, and a row for each finished cell below ``folder``, best validation first.

    A swept key is an override whose value is not the same in all cells.
    """
    records = {
        path.name: RunRecord.load(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and is_finished(path)
    }
    given = {cell: _overrides(record) for cell, record in records.items()}
    keys = list(dict.fromkeys(key for values in given.values() for key in values))
    swept = [key for key in keys if len({values.get(key) for values in given.values()}) > 1]
    with_views = any(record.tta for record in records.values())
    rows = []
    for cell, record in records.items():
        row = {key: given[cell].get(key, "") for key in swept} | {
            "val_loss": record.metrics["val"]["loss"],
            "val_acc": record.metrics["val"]["acc"],
            "train_acc": record.metrics["train"]["acc"],
            "test_loss": record.metrics["test"]["loss"],
            "test_acc": record.metrics["test"]["acc"],
            **(_tta(record) if with_views else {}),
            "best_epoch": record.best_epoch,
            "epochs_run": record.epochs_run,
            "status": record.status,
            "num_params": record.num_params,
            "fit_s": round(record.time["fit_s"], 1),
            "cell": cell,
        }
        rows.append(row)
    return swept, sorted(rows, key=lambda row: -row["val_acc"])


def summarize(swept: list[str], rows: list[Row]) -> list[Row]:
    """Rows that differ only in ``seed`` as one: n, mean, std, half width of the 95 % interval."""
    groups: dict[tuple, list[Row]] = defaultdict(list)
    keys = [key for key in swept if key != "seed"]
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    summary = []
    for values, members in groups.items():
        line: Row = dict(zip(keys, values, strict=True)) | {"n": len(members)}
        for metric in ("val_acc", "test_acc", "train_acc", "val_loss", "test_loss"):
            mean, std, half = mean_interval([row[metric] for row in members])
            line |= {f"{metric}_mean": mean, f"{metric}_std": std, f"{metric}_ci95": half}
        summary.append(line)
    return sorted(summary, key=lambda line: -line["val_acc_mean"])


def write_tables(folder: Path) -> str:
    """Write the three files and return the table to show, ranked by validation accuracy."""
    swept, rows = collect(folder)
    if not rows:
        return f"{folder}: no finished cell yet"
    summary = summarize(swept, rows)
    _write_csv(folder / "results.csv", rows)
    _write_csv(folder / "summary.csv", summary)
    table = markdown_table(summary_table(summary))
    failures = sorted(path.parent.name for path in folder.glob(f"*/{FAILURE}"))
    text = f"# {folder.name}\n\n{table}\n\nRanked by validation accuracy; ± is the 95 % interval.\n"
    if failures:
        text += "\nFailed: " + ", ".join(failures) + "\n"
    (folder / "results.md").write_text(text)
    return f"{table}\n{folder / 'results.csv'}"


def _tta(record: RunRecord) -> Row:
    """Accuracies with test-time augmentation, empty for a cell without."""
    tta = record.tta or {"val": {"acc": ""}, "test": {"acc": ""}}
    return {"tta_val_acc": tta["val"]["acc"], "tta_test_acc": tta["test"]["acc"]}


def _overrides(record: RunRecord) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in record.overrides)


def summary_table(summary: list[Row]) -> list[list[str]]:
    """Header and rows to show: swept keys, n, and the accuracies with their intervals."""
    keys = [key for key in summary[0] if not key.endswith(("_mean", "_std", "_ci95"))]
    table = [[*keys, "val acc", "test acc", "train acc"]]
    for line in summary:
        shown = [
            f"{line[f'{m}_mean']:.2%}" + (f" ± {line[f'{m}_ci95']:.2%}" if line["n"] > 1 else "")
            for m in ("val_acc", "test_acc", "train_acc")
        ]
        table.append([str(line[key]) for key in keys] + shown)
    return table


def markdown_table(table: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also easy to read as plain text."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
