"""Every number in the tables of docs/results.md, computed again from the published records.

By other code than wrote them: files are read as JSON, CSV and YAML, means and intervals are NumPy's
and SciPy's.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import yaml
from scipy import stats

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"[+−-]?\d[\d,]*\.?\d*")


@dataclass
class Run:
    """A published run: its record, and its epochs as columns."""

    record: dict
    epochs: dict[str, np.ndarray]

    def measure(self, label: str) -> float:
        acc = {split: values["acc"] for split, values in self.record["metrics"].items()}
        loss = {split: values["loss"] for split, values in self.record["metrics"].items()}
        val = self.epochs["val_acc"]
        level = re.fullmatch(r"epochs until (\S+) % validation accuracy", label)
        if level:
            there = np.flatnonzero(val >= float(level[1]) / 100)
            return there[0] + 1 if len(there) else len(val) + 1
        peak, losses = int(val.argmax()), self.epochs["val_loss"]
        found: dict[str, Callable[[], float]] = {
            "training accuracy": lambda: acc["train"],
            "validation accuracy": lambda: acc["val"],
            "test accuracy": lambda: acc["test"],
            "training loss": lambda: loss["train"],
            "validation loss": lambda: loss["val"],
            "test loss": lambda: loss["test"],
            "gap: training minus test accuracy": lambda: acc["train"] - acc["test"],
            "gap: training minus validation accuracy": lambda: acc["train"] - acc["val"],
            "validation minus test accuracy": lambda: acc["val"] - acc["test"],
            "epoch of lowest validation loss": lambda: losses.argmin() + 1,
            "epochs trained": lambda: len(val),
            "validation accuracy, best epoch": lambda: val[peak],
            "validation loss at the highest accuracy": lambda: losses[peak],
            "rise of validation loss from its lowest": lambda: losses[-1] - losses.min(),
            "parameters": lambda: self.record["num_params"],
        }
        return float(found[label]())


def read_runs() -> dict[str, dict[str, dict[int, Run]]]:
    """By title of the study, row and seed."""
    found: dict[str, dict[str, dict[int, Run]]] = {}
    studies = {
        path.parent: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / "docs" / "results").glob("*/study.yaml")
        if "__" not in path.parent.name  # the appendix
    }
    for path in sorted((ROOT / "docs" / "results").glob("*/*/result.json")):
        if path.parents[1] not in studies:
            continue
        study = studies[path.parents[1]]
        record = json.loads(path.read_text(encoding="utf-8"))
        with (path.parent / "metrics.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
        name = path.parent.name.split(f"_{record['seed']}_")[0]
        runs = found.setdefault(study["title"], {})
        for row in study["rows"]:
            if name in (row["id"], row.get("like")):
                runs.setdefault(row["id"], {})[record["seed"]] = Run(record, columns)
                runs.setdefault(row["id"].partition(".")[2] or row["id"], runs[row["id"]])
    return found


RUNS = read_runs()


def sections() -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """Title of the study, heading of the table and its lines, by column."""
    for text in PAGE.split("\n## ")[1:]:
        title = text.partition("\n")[0]
        for part in text.split("\n### ")[1:]:
            heading = part.partition("\n")[0]
            lines = [line for line in part.splitlines() if line.startswith("|")]
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            rows = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]] if cells else []
            yield title, heading, rows


def agrees(shown: str, values: list[float], unit: float) -> None:
    """What is shown is the mean with Student's interval, of fewer than three the values."""
    numbers = [float(n.replace("−", "-").replace(",", "")) for n in NUMBER.findall(shown)]
    if len(values) < 3:
        assert numbers == pytest.approx([unit * v for v in values], abs=digits(shown)), shown
        return
    mean, half = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    assert numbers[0] == pytest.approx(unit * mean, abs=digits(shown)), shown
    assert len(numbers) == 1 or numbers[1] == pytest.approx(unit * half, abs=digits(shown)), shown


def digits(shown: str) -> float:
    """Half a unit of the last digit that is shown, and a little for halves."""
    after = max(len(n.partition(".")[2]) for n in NUMBER.findall(shown))
    return 0.501 * 10.0**-after


def per_cent(label: str) -> float:
    is_rate = ("accuracy" in label or "gap" in label) and "epochs" not in label
    return 100.0 if is_rate and "loss" not in label else 1.0


TITLES = [title for title in RUNS if f"\n## {title}\n" in PAGE]


def test_every_study_with_whole_runs_is_on_the_page() -> None:
    assert list(RUNS) == TITLES and len(TITLES) > 5


@pytest.mark.parametrize("title", TITLES)
def test_rows_are_means_over_their_seeds(title: str) -> None:
    (table,) = (rows for t, heading, rows in sections() if (t, heading) == (title, "All rows"))
    columns = {
        "val acc %": "validation accuracy", "test acc %": "test accuracy",
        "train acc %": "training accuracy", "gap": "gap: training minus test accuracy",
        "best epoch": "epoch of lowest validation loss", "epochs": "epochs trained",
        "parameters": "parameters",
    }  # fmt: skip
    counted = 0
    for line in table:
        runs = RUNS[title].get(line["row"], {})
        assert line["n"] == str(len(runs))
        for column, label in columns.items():
            if runs:
                values = [run.measure(label) for run in runs.values()]
                if column == "parameters":
                    values = sorted(set(values))
                agrees(line[column], values, per_cent(label))
                counted += 1
    assert counted >= 7


@pytest.mark.parametrize("title", TITLES)
def test_figures_beside_the_reports(title: str) -> None:
    """Ours, the difference, half the interval for one more run, and the verdict that follows."""
    tables = [
        rows for t, heading, rows in sections() if (t, heading) == (title, "Reported and ours")
    ]
    name = ""
    for line in [line for rows in tables for line in rows]:
        name = line["row"] or name
        runs = RUNS[title].get(name, {})
        if not runs:
            assert line["verdict"] == "not measured"
            continue
        values, unit = [run.measure(line["quantity"]) for run in runs.values()], 1.0
        unit = 100.0 if line["unit"] == "%" else 1.0
        agrees(line["ours"], values, unit)
        if not line["difference"]:  # a range
            continue
        reported = float(NUMBER.findall(line["reported"])[0])
        away = unit * np.mean(values) - reported
        rounded = digits(line["difference"]) + 0.0005 * (line["unit"] == "nats")  # the report's
        assert float(line["difference"].replace("−", "-")) == pytest.approx(away, abs=rounded)
        if len(values) < 3 or np.ptp(values) == 0:
            assert line["verdict"] == "undecided"
            continue
        half = unit * stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1)
        half *= math.sqrt(1 + 1 / len(values))
        shown = float(NUMBER.findall(line["one run"])[0])
        if line["quantity"].startswith("validation accuracy"):  # and of other images than theirs
            assert shown >= 0.6 * half
            half = shown
        assert shown == pytest.approx(half, abs=digits(line["one run"]))
        if abs(abs(away) - half) > 0.01:
            beyond = "report is lower" if away > 0 else "report is higher"
            widest = {"%": 2, "nats": 0.1}.get(line["unit"], math.inf)
            inside = "uninformative" if half > widest else "compatible"
            assert line["verdict"] == (beyond if abs(away) > half else inside)


@pytest.mark.parametrize("title", TITLES)
def test_what_is_claimed_is_measured_as_shown(title: str) -> None:
    """Means and differences with their intervals, paired over shared seeds, and ratios."""
    tables = [
        rows
        for t, heading, rows in sections()
        if (t, heading) in ((title, "What the source claims"), (title, "What is asked"))
    ]
    label = ""
    for line in [line for rows in tables for line in rows]:
        label = line["quantity"] or label
        if line["ours"] == "-":
            continue
        checked = re.match(r"(\S+)(?: ([−/]) (\S+))? (?:[≥≤>]|in )", line["checked"])
        assert checked is not None, line["checked"]
        a, sign, b = checked.groups()
        left = {seed: run.measure(label) for seed, run in RUNS[title][a].items()}
        unit = per_cent(label)
        if b is None:
            agrees(
                line["ours"],
                [*left.values()][:1] if label == "parameters" else [*left.values()],
                unit,
            )
            continue
        right = {seed: run.measure(label) for seed, run in RUNS[title][b].items()}
        shared = sorted(left.keys() & right.keys())
        if sign == "/":
            ratio = np.mean([*left.values()]) / np.mean([*right.values()])
            first = float(NUMBER.findall(line["ours"])[0])
            assert first == pytest.approx(ratio, abs=digits(line["ours"]))
            continue
        assert len(shared) == int(line["n"]), "paired"
        gaps = [left[seed] - right[seed] for seed in shared]
        numbers = [float(n.replace("−", "-")) for n in NUMBER.findall(line["ours"])]
        assert numbers[0] == pytest.approx(unit * np.mean(gaps), abs=digits(line["ours"]))
        if len(gaps) >= 3 and np.ptp(gaps) == 0:
            assert len(numbers) == 1, "no spread, no interval"
        elif len(gaps) >= 3:
            half = unit * stats.t.ppf(0.975, len(gaps) - 1) * stats.sem(gaps)
            assert numbers[1] == pytest.approx(half, abs=digits(line["ours"]))


def test_the_first_table_has_the_numbers_of_the_studies() -> None:
    """Reported, ours, n and verdict of each whole row are those of its study's table."""
    first = PAGE.partition("\n## By study")[0]
    whole = [line for line in first.splitlines() if re.match(r"\| \[\S+\]\(#.* ± ", line)]
    tables = [
        row for _, heading, rows in sections() if heading == "Reported and ours" for row in rows
    ]
    assert len(whole) > 10
    for line in whole:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        _, reported, ours, n, one, verdict, quantity, _ = cells
        reported = reported.removesuffix(" %")
        assert any(
            (
                row["quantity"],
                row["reported"],
                row["ours"],
                row["n"],
                row["one run"],
                row["verdict"],
            )
            == (quantity, reported, ours, n, one, verdict)
            for row in tables
        ), line


def test_what_the_choice_of_the_epoch_can_explain() -> None:
    """Of the rows in the first table, each run once."""
    first = PAGE.partition("\n## By study")[0]
    names = re.findall(r"^\| \[(\S+)\]\(#.* ± ", first, re.M)
    runs = {
        run.record["config_hash"]: run
        for rows in RUNS.values()
        for name in names
        for run in rows.get(name, {}).values()
    }
    later = [
        run.measure("validation accuracy, best epoch") - run.measure("validation accuracy")
        for run in runs.values()
    ]
    said = re.search(r"validation accuracy is (\S+) points higher", first)
    assert said is not None and float(said[1]) == pytest.approx(100 * np.mean(later), abs=0.0501)


def student(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def paired(one: dict[int, Run], other: dict[int, Run]) -> list[tuple[float, float]]:
    """Test accuracies of the seeds that both have."""
    label = "test accuracy"
    return [(run.measure(label), other[s].measure(label)) for s, run in one.items() if s in other]


def test_what_jpeg_costs_over_the_networks() -> None:
    """Of those with three seeds on both sides: the mean of their differences, over networks."""
    rows = RUNS["What JPEG costs: CIFAR-10's own pixels against JPEGs of quality 75"]
    gaps = {
        name: [100 * (a - b) for a, b in paired(runs, rows[f"{name}_jpeg"])]
        for name, runs in rows.items()
        if f"{name}_jpeg" in rows
    }
    three = [values for values in gaps.values() if len(values) == 3]
    mean, half = student([float(np.mean(values)) for values in three])
    text = (ROOT / "docs" / "results" / "jpeg_cost" / "remarks.md").read_text(encoding="utf-8")
    assert len(three) == 8 and f"{mean:.2f} ± {half:.2f} points more on test" in text
    assert sum(np.mean(values) > 0 for values in three) == 7
    p = [float(stats.ttest_1samp(values, 0).pvalue) for values in three]
    assert sum(value < 0.05 for value in p) == 1
    assert f"(p = {8 * min(p):.2f})" in text, "Holm's: eight times the smallest"


def test_all_seeds_of_a_study_share_their_split_as_the_page_says() -> None:
    assert "The seeds of a study share one split" in PAGE
    for title, rows in RUNS.items():
        for name, runs in rows.items():
            assert len({run.record["data"]["split_hash"] for run in runs.values()}) == 1, (
                title,
                name,
            )


def test_only_studies_that_say_so_are_of_a_part_of_the_images() -> None:
    """What the methods say of all runs is true of each record."""
    fewer = {
        title
        for title, rows in RUNS.items()
        for runs in rows.values()
        for run in runs.values()
        if run.record["data"]["num_train"] + run.record["data"]["num_val"] < 50_000
    }
    assert fewer == {title for title in RUNS if title.startswith("EfficientNet-Lite0")}


def test_no_words_of_a_report_are_contradicted_by_a_recipe_of_ours() -> None:
    lines = [line for line in PAGE.splitlines() if re.search(r"\| contradicted +\|$", line)]
    assert not [line for line in lines if line.startswith("| “")]


def test_differences_of_accuracies_are_points() -> None:
    for _, heading, rows in sections():
        for line in rows if "checked" in (rows[0] if rows else {}) else []:
            if " − " in line["checked"] or "minus" in line["quantity"]:
                assert not line["checked"].endswith("%"), (heading, line["checked"])


def test_the_remarks_of_the_shortfall() -> None:
    """Each difference that they give, over the same seeds, and what trains in which precision."""
    rows = RUNS["Why ours is lower than Group 14's model 1"]
    for row, runs in rows.items():
        expected = "32-true" if row == "f32" else "bf16-mixed"
        assert {run.record["hardware"]["precision"] for run in runs.values()} == {expected}
    text = (ROOT / "docs" / "results" / "shortfall" / "remarks.md").read_text(encoding="utf-8")
    told = [(float(a.replace("−", "-")), float(b)) for a, b in re.findall(r"(\S+) ± (\S+)", text)]
    model1, difference = rows["model1"], {}
    for row in ("averaged", "default_init", "hflip", "half", "f32"):
        gaps = [
            100 * (run.measure("test accuracy") - model1[seed].measure("test accuracy"))
            for seed, run in rows[row].items()
        ]
        difference[row] = np.mean(gaps), stats.t.ppf(0.975, 2) * stats.sem(gaps)
    reached = [100 * run.measure("test accuracy") for run in rows["averaged"].values()]
    mean = np.mean(reached), stats.t.ppf(0.975, 2) * stats.sem(reached)
    first, *others = difference.values()
    originals, copies = (
        RUNS["What JPEG costs: CIFAR-10's own pixels against JPEGs of quality 75"][name]
        for name in ("group14_model1", "group14_model1_jpeg")
    )
    jpeg = student([100 * a - 100 * b for a, b in paired(originals, copies)])
    for said, measured in zip(told, [first, mean, *others, jpeg], strict=True):
        assert said == pytest.approx(measured, abs=0.00501)
    lacks = 78.119 - 100 * np.mean([run.measure("test accuracy") for run in model1.values()])
    assert f"the {lacks:.1f} points" in text
