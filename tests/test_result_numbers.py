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
        val, epoch = self.epochs["val_acc"], self.epochs["epoch"]  # those that were validated
        level = re.fullmatch(r"epochs until (\S+) % validation accuracy", label)
        if level:
            there = np.flatnonzero(val >= float(level[1]) / 100)
            return epoch[there[0]] if len(there) else epoch[-1] + 1
        peak, losses = int(val.argmax()), self.epochs["val_loss"]
        by_accuracy = "monitor=val/acc" in self.record["overrides"]
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
            "best epoch": lambda: epoch[peak if by_accuracy else losses.argmin()],
            "epochs trained": lambda: epoch[-1],
            "highest validation accuracy": lambda: val[peak],
            "validation loss at the highest accuracy": lambda: losses[peak],
            "epoch of highest validation accuracy": lambda: epoch[peak],
            "epochs after the highest validation accuracy": lambda: epoch[-1] - epoch[peak],
            "highest validation minus test accuracy": lambda: val[peak] - acc["test"],
            "validation accuracy after the last epoch": lambda: val[-1],
            "training accuracy in the last epoch": lambda: self.epochs["train_acc"][-1],
            "rise of validation loss from its lowest": lambda: losses[-1] - losses.min(),
            "change of validation accuracy an epoch": lambda: np.abs(
                np.diff(val[len(val) // 2 :])
            ).mean(),  # of the second half
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
        name, _, _ = path.parent.name.rsplit("_", 2)  # seed and hash
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
    is_rate = ("accuracy" in label or "gap" in label) and not label.startswith("epoch")
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
        "best epoch": "best epoch", "epochs": "epochs trained",
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


def of_other_images(values: list[float], images: int) -> float:
    """Half the interval for one more run, on as many images that are others (Satterthwaite; no
    narrower than on the same images)."""
    of_runs, p = np.var(values, ddof=1) * (1 + 1 / len(values)), np.mean(values)
    variance = of_runs + 2 * p * (1 - p) / images
    df = (len(values) - 1) * (variance / of_runs) ** 2
    alone = stats.t.ppf(0.975, len(values) - 1) * math.sqrt(of_runs)
    return float(max(alone, stats.t.ppf(0.975, df) * math.sqrt(variance)))


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
            half = unit * of_other_images(values, [*runs.values()][0].record["data"]["num_val"])
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
            first, *ends = map(float, NUMBER.findall(line["ours"]))
            assert first == pytest.approx(ratio, abs=digits(line["ours"]))
            quantile = stats.t.ppf(0.975, len(shared) - 1)
            for end in ends:  # of Fieller's: where the paired t test just tells the two apart
                tells = [
                    abs(np.mean(gaps)) / stats.sem(gaps) > quantile
                    for bound in (end - 0.00501, end + 0.00501)
                    if (gaps := [left[seed] - bound * right[seed] for seed in shared])
                ]
                assert tells == ([True, False] if end < ratio else [False, True]), line["ours"]
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


CLAIMED = ("What the source claims", "What is asked")


def claims(title: str) -> Iterator[list[dict[str, str]]]:
    """The lines of each claim of a study."""
    found: list[list[dict[str, str]]] = []
    for heading, rows in [(h, r) for t, h, r in sections() if t == title]:
        for line in rows if heading in CLAIMED else []:
            found += [[]] if line["verdict"] else []
            found[-1].append(line)
    yield from found


def bounds(checked: str) -> tuple[float, float]:
    numbers = [float(n.replace("−", "-").replace(",", "")) for n in NUMBER.findall(checked)]
    if " in [" in checked:
        return numbers[-2], numbers[-1]
    return (-math.inf, numbers[-1]) if "≤" in checked else (numbers[-1], math.inf)


def ends(line: dict[str, str]) -> tuple[float, float]:
    """The interval that is shown; NaN where there is none, but of what never varies."""
    numbers = [float(n.replace("−", "-").replace(",", "")) for n in NUMBER.findall(line["ours"])]
    if "[" in line["ours"]:
        return numbers[1], numbers[2]
    if line["quantity"] == "parameters":
        return numbers[0], numbers[0]
    return (
        (numbers[0] - numbers[1], numbers[0] + numbers[1]) if len(numbers) > 1 else (math.nan,) * 2
    )


@pytest.mark.parametrize("title", TITLES)
def test_verdicts_follow_from_the_intervals(title: str) -> None:
    """Supported where each lies within, never where one does not; contradicted only where one lies
    outside, and among words of ours."""
    for lines in claims(title):
        verdict, within, outside = lines[0]["verdict"], [], []
        label = ""
        for line in lines:
            label = line["quantity"] or label
            (low, high), (lowest, highest) = (
                ends(line | {"quantity": label}),
                bounds(line["checked"]),
            )
            within.append(lowest <= low and high <= highest)
            outside.append(high < lowest or low > highest)
        if "never get there" in lines[0]["claim"]:
            assert verdict in ("supported", "undecided")
        elif verdict == "supported":
            assert all(within), lines
        elif verdict == "contradicted":
            assert any(outside) and not lines[0]["claim"].startswith("“"), lines
        else:
            assert verdict in ("undecided", "not measured") and not all(within), lines


def test_the_paragraph_counts_what_is_below() -> None:
    first = PAGE.partition("\n## By study")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in first.splitlines()
        if re.match(r"\| (\[\S+\]\(|\S+\.\S+ )", line)
    ]
    whole, others = [c for c in cells if len(c) == 8], [c for c in cells if len(c) == 4]
    states = [state for _, _, state, _ in others]
    assert (
        f"figures for {len(cells)} rows. {len(whole)} of them are measured at full length, "
        f"{states.count('shortened')} only shortened, {states.count('not run')} not yet."
    ) in first
    numbers = [c for c in whole if not re.search("[≥≤]| to ", c[1])]
    verdicts = [
        [c[5] for c in group] for group in (numbers, [c for c in whole if c not in numbers])
    ]
    fit = verdicts[0].count("compatible")
    assert (
        f"of {len(verdicts[0])} numbers {fit} {'is' if fit == 1 else 'are'} compatible, "
        f"{sum(v.startswith('report is') for v in verdicts[0])} differ, and "
        f"{sum(v.startswith('un') for v in verdicts[0])} cannot be told with so few seeds; "
        f"of {len(verdicts[1])} bounds {verdicts[1].count('reached')} are reached, "
        f"{verdicts[1].count('not reached')} not, and {verdicts[1].count('undecided')} cannot"
    ) in first
    gaps = [float(c[2].split()[0]) - float(c[1].split()[0]) for c in numbers]
    mean, side = abs(np.mean(gaps)), "below" if np.mean(gaps) < 0 else "above"
    assert f"On average ours are {mean:.1f} points {side} the reports'" in first
    below, experiments = sum(gap < 0 for gap in gaps), len({c[2] for c in numbers})
    assert f"below in {below} of {len(gaps)} (from {experiments} experiments" in first


def test_the_index_of_studies_counts_their_tables() -> None:
    """And the paragraph the claims of the reports' studies."""
    index = PAGE.partition("\n## By study")[2].partition("\n## ")[0]
    lines = [line for line in index.splitlines() if line.startswith("| [")]
    assert len(lines) == len(TITLES)
    of_reports: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in re.split(r" +\| +", line.strip("| "))]
        title = cells[0].partition("](")[0].lstrip("[")
        figures = [
            row["verdict"]
            for t, heading, rows in sections()
            if (t, heading) == (title, "Reported and ours")
            for row in rows
        ]
        said = [of[0]["verdict"] for of in claims(title)]
        fit = sum(verdict in ("compatible", "reached") for verdict in figures)
        open_ = sum(verdict in ("undecided", "uninformative") for verdict in figures)
        expected = [fit, len(figures) - fit - open_ - figures.count("not measured"), open_]
        expected += [said.count(v) for v in ("supported", "contradicted", "undecided")]
        expected += [said.count("not measured") + said.count("not judged")]
        assert [int(cell) for cell in cells[4:]] == expected, title
        of_reports += [] if cells[1] == "ours" else said
    assert (
        f"{of_reports.count('supported')} are supported, {of_reports.count('contradicted')} "
        f"contradicted, {of_reports.count('undecided')} undecided"
    ) in PAGE


@pytest.mark.parametrize("title", TITLES)
def test_the_row_that_validation_chooses(title: str) -> None:
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    said = re.search(r"Validation accuracy chooses (\S+) \((\S+)%; test (\S+)%\)", text)
    means = {
        name: [
            100 * np.mean([run.measure(f"{split} accuracy") for run in runs.values()])
            for split in ("validation", "test")
        ]
        for name, runs in RUNS[title].items()
    }
    if said is None:
        assert len({tuple(both) for both in means.values()}) == 1, "one experiment"
        return
    name, *shown = said.groups()
    assert means[name] == pytest.approx([float(number) for number in shown], abs=0.00501)
    assert means[name][0] == max(val for val, _ in means.values())
    best = max(test for _, test in means.values())
    other = re.search(r"Test disagrees: (\S+) has (\S+)% there, (\S+) points", text)
    assert ("highest test accuracy, too" in text) == (means[name][1] == best) == (other is None)
    if other is not None:
        assert float(other[2]) == pytest.approx(best, abs=0.00501)
        assert float(other[3]) == pytest.approx(best - means[name][1], abs=0.00501)


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
        run.measure("highest validation accuracy") - run.measure("validation accuracy")
        for run in runs.values()
    ]
    said = re.search(r"on average (\S+) points above that of these weights", first)
    assert said is not None and float(said[1]) == pytest.approx(100 * np.mean(later), abs=0.0501)


def student(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def paired(one: dict[int, Run], other: dict[int, Run]) -> list[tuple[float, float]]:
    """Test accuracies of the seeds that both have."""
    label = "test accuracy"
    return [(run.measure(label), other[s].measure(label)) for s, run in one.items() if s in other]


def precision(run: Run) -> str:
    return run.record["hardware"]["precision"]


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
    in_bf16 = [
        name if len(seeds) == len(rows[name]) else f"seed {seeds[0]} of {name}"
        for name in gaps
        if (seeds := [s for s, run in rows[name].items() if precision(run) == "bf16-mixed"])
    ]
    said = re.search(r"Of the originals (.*?) were, too", text.replace("\n", " "))
    assert said is not None
    told = re.sub(r"seed 2 of (\w+) and (\w+)", r"seed 2 of \1, seed 2 of \2", said[1])
    assert set(re.split(", | and ", told)) == set(in_bf16)
    copies = [run for name in gaps for run in rows[f"{name}_jpeg"].values()]
    assert {precision(run) for run in copies} == {"bf16-mixed"}


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


def test_the_remarks_of_the_best_epoch() -> None:
    """What both epochs of the same trainings have on test, and that they are the same trainings."""
    rows = RUNS["The best epoch by validation loss, or by validation accuracy"]
    text = (ROOT / "docs" / "results" / "best_epoch" / "remarks.md").read_text(encoding="utf-8")
    names = ("tbmi26_cnn", "elfarri_model2", "baseline")
    said = re.search(r"\nweights of the highest validation accuracy: (.*) points, (.*) over", text)
    rises = re.search(r"validation accuracy rises by (\S+) points", text)
    assert said is not None and rises is not None
    several = [
        student([100 * (a - b) for a, b in paired(rows[f"{n}_acc"], rows[n])]) for n in names
    ]
    shown = re.split(r", | and ", said[1])
    assert shown == [f"{mean:+.2f} ± {width:.2f}".replace("-", "−") for mean, width in several]
    gained: dict[str, list[float]] = {"validation accuracy": [], "test accuracy": []}
    same = 0
    for name in (*names, "mlp"):
        for seed, run in rows[name].items():
            other = rows[f"{name}_acc"][seed]
            assert np.array_equal(run.epochs["val_loss"], other.epochs["val_loss"])
            if name == "mlp":
                continue
            same += run.record["best_epoch"] == other.record["best_epoch"]
            for label, each in gained.items():
                each.append(100 * (other.measure(label) - run.measure(label)))
    mean, width = student(gained["test accuracy"])
    assert f"{mean:.2f} ± {width:.2f}" == said[2].replace("−", "-")
    assert f"{np.mean(gained['validation accuracy']):.2f}" == rises[1]
    assert same == 3 and "In three of the nine" in text
    better = re.search(r"The MLP is better by (\S+) ± (\S+) points", text)
    losses = re.search(r"is higher for it, (\S+) in place of (\S+)\.", text)
    assert better is not None and losses is not None
    mean, width = student([100 * (a - b) for a, b in paired(rows["mlp_acc"], rows["mlp"])])
    assert better.groups() == (f"{mean:.2f}", f"{width:.2f}")
    for row, loss in zip(("mlp_acc", "mlp"), losses.groups(), strict=True):
        assert f"{np.mean([run.measure('test loss') for run in rows[row].values()]):.2f}" == loss


def test_the_remarks_of_the_baseline() -> None:
    """Its seeds in 32 bits and in bf16-mixed, and the same three seeds in both."""
    runs = RUNS["The course's baseline, twice"]["group14.baseline"]
    text = " ".join(
        (ROOT / "docs" / "results" / "baseline" / "remarks.md").read_text(encoding="utf-8").split()
    )
    acc: dict[str, dict[int, float]] = {"32-true": {}, "bf16-mixed": {}}
    for seed, run in runs.items():
        acc[run.record["hardware"]["precision"]][seed] = 100 * run.measure("test accuracy")
    whole, mixed = acc.values()
    assert sorted(whole) == [0, 1, 2] and sorted(mixed) == [3, 4, 5, 6, 7]
    means = tuple(f"{np.mean([*values.values()]):.2f}" for values in (whole, mixed))
    assert "({} % on test on average), 3 to 7 in bf16-mixed ({} %)".format(*means) in text
    rows = RUNS["The images that do not fill a last batch: dropped, or a batch of 8"]["dropped"]
    assert {r.record["hardware"]["precision"] for r in rows.values()} == {"bf16-mixed"}
    again = {seed: 100 * run.measure("test accuracy") for seed, run in rows.items()}
    mean, half = student([again[seed] - whole[seed] for seed in sorted(whole)])
    assert f"{mean:.2f} ± {half:.2f} points above their 32 bits" in text
    values = [*again.values(), *mixed.values()]
    mean, half = student(values)
    assert f"{mean:.2f} ± {half:.2f} %" in text
    within = half * math.sqrt(len(values) + 1)  # of one more run
    assert within < 2 and abs(mean - 73.11) < within and mean - 70.58 > within
    assert "the verdicts on test accuracy the same" in text


def test_the_remarks_of_elfarris_models() -> None:
    """Model 2's seeds in 32 bits and in bf16-mixed, and what three of them said."""
    folder = ROOT / "docs" / "results" / "elfarri_models"
    text = " ".join((folder / "remarks.md").read_text(encoding="utf-8").split())
    acc: dict[str, dict[int, float]] = {"32-true": {}, "bf16-mixed": {}}
    for seed, run in RUNS["Elfarri and Vibe's two models"]["elfarri.model2"].items():
        acc[run.record["hardware"]["precision"]][seed] = 100 * run.measure("test accuracy")
    whole, mixed = acc.values()
    assert sorted(whole) == [0, 1, 2] and sorted(mixed) == [3, 4, 5, 6, 7]
    means = tuple(f"{np.mean([*values.values()]):.2f}" for values in (whole, mixed))
    assert "({} % on test on average), 3 to 7 in bf16-mixed ({} %)".format(*means) in text
    assert f"(± {student([*whole.values()])[1] * math.sqrt(4):.2f} points)" in text
    assert abs(np.mean([*whole.values()]) - np.mean([*mixed.values()])) < 0.05


def test_the_remarks_of_small_minibatches() -> None:
    """What batches of 2 cost with batch norm, against those of 32 and against no batch norm."""
    rows = RUNS["Batch norm and small minibatches"]
    path = ROOT / "docs" / "results" / "batchnorm_batch_size" / "remarks.md"
    text = " ".join(path.read_text(encoding="utf-8").split())

    def gap(one: str, other: str, label: str) -> tuple[float, float]:
        a, b = rows[one], rows[other]
        return student([100 * (a[s].measure(label) - b[s].measure(label)) for s in a if s in b])

    compared = ("plain_2", "bn_2", "bn_32")
    assert {name: sorted(runs) for name, runs in rows.items()} == {
        name: [*range(8 if name in compared else 3)] for name in rows
    }
    cost = [gap(one, "bn_2", "validation accuracy") for one in ("bn_32", "plain_2")]
    words = "batches of 2 cost {:.2f} ± {:.2f} points of validation accuracy against batches of 32,"
    assert words.format(*cost[0]) in text
    assert "and {:.2f} ± {:.2f} against batches of 2 without batch norm".format(*cost[1]) in text
    on_test = [*gap("bn_32", "bn_2", "test accuracy"), *gap("plain_2", "bn_2", "test accuracy")]
    assert "on test {:.2f} ± {:.2f} and {:.2f} ± {:.2f}.".format(*on_test) in text
    for size in (2, 8, 32, 128):
        mean, half = gap(f"bn_{size}", f"plain_{size}", "test accuracy")
        assert mean < half, "is shown to be better with batch norm"


def test_the_remarks_of_dropout_and_momentum() -> None:
    """Boelter's rows that are trained, beside what the report prints."""
    rows = RUNS["Dropout, momentum, batch size and long training"]
    folder = ROOT / "docs" / "results" / "boelter_dropout_momentum"
    text = " ".join((folder / "remarks.md").read_text(encoding="utf-8").split())
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    printed = {row["id"]: row["reported"]["peak_val_acc"] for row in study["rows"]}
    trained = {name: rows[name][0] for name in printed if name in rows}
    assert [*trained] == [f"boelter.model{n}" for n in (1, 2, 4, 5, 7)]
    assert all(len(rows[name]) == 1 for name in trained) and "One seed a row" in text
    peak = {n: 100 * run.measure("highest validation accuracy") for n, run in trained.items()}
    assert max(abs(peak[n] - printed[n]) for n in peak) <= 1.0 + 1e-9
    errors = [100 * math.sqrt(p / 100 * (1 - p / 100) / 1000) for p in peak.values()]
    assert f"a standard error of {min(errors):.1f} to {max(errors):.1f} points" in text
    one, two, four, five, seven = trained.values()
    for name, words in (
        ("2", "7.0 points above that without dropout for 20 (model 1), in the report 7.6"),
        ("5", "with 0.2 (model 5) 5.3, in the report 5.1"),
    ):
        first, other = "boelter.model1", f"boelter.model{name}"
        ours, theirs = peak[other] - peak[first], printed[other] - printed[first]
        assert words in text and f"{ours:.1f}" in words and f"{theirs:.1f}" in words
    ended = 100 * one.measure("training accuracy in the last epoch")
    assert f"training accuracy of {ended:.1f} %" in text
    ended = 100 * one.measure("validation accuracy after the last epoch")
    assert f"and {ended:.1f} % on validation" in text
    ended = 100 * seven.measure("validation accuracy after the last epoch")
    highest = peak["boelter.model7"]
    assert seven.measure("epoch of highest validation accuracy") == 47 and "in epoch 47" in text
    assert f"{highest:.1f} % and {ended:.1f} %, six images" in text
    assert round(10 * (highest - ended)) == 6
    assert [len(run.epochs["epoch"]) for run in trained.values()] == [20, 50, 300, 50, 50]
    highest, test = peak["boelter.model4"], 100 * four.measure("test accuracy")
    assert four.measure("epoch of highest validation accuracy") == 270
    assert f"has {test:.2f} % on test after 300 epochs, in the report 83.01 %" in text
    words = (
        f"{highest:.1f} % in epoch 270, is {printed['boelter.model4'] - highest:.1f} points below"
    )
    assert words in text and f"and {highest - test:.2f} points above its own test" in text


def test_the_remarks_of_transfer() -> None:
    """The differences between rows that they give, over the same seeds."""
    (title,) = (name for name in RUNS if name.startswith("EfficientNet"))
    rows, folder = RUNS[title], ROOT / "docs" / "results" / "transfer_efficientnet"
    text = (folder / "remarks.md").read_text(encoding="utf-8")
    told = [(float(a.replace("−", "-")), float(b)) for a, b in re.findall(r"(\S+) ± (\S+\d)", text)]
    pairs = [
        ("last_block_112", "frozen_112"), ("last_block_224", "frozen_224"),
        ("finetune_224", "frozen_224"), ("finetune_224", "last_block_224"),
        ("finetune_112", "last_block_112"), ("scratch_112", "scratch_32"),
    ]  # fmt: skip
    for said, (one, other) in zip(told, pairs, strict=True):
        differences = [100 * (a - b) for a, b in paired(rows[one], rows[other])]
        assert len(differences) == 3
        assert said == pytest.approx(student(differences), abs=0.00501)
    means = {
        row: 100 * np.mean([run.measure("test accuracy") for run in runs.values()])
        for row, runs in rows.items()
    }
    assert f"comes to {means['frozen_224']:.2f} %" in text
    assert f"{means['scratch_224']:.2f} % at 224 with its one seed" in text
    assert max((r for r in means if r.endswith("_32")), key=means.__getitem__) == "finetune_32"


def test_the_table_of_what_each_part_of_the_speedrun_brings() -> None:
    """Validation accuracy and loss of each row, and the cost by its own configuration."""
    rows = RUNS["What each part of the speedrun brings"]
    text = (ROOT / "docs" / "speedrun.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| .*`(\w+)`.* \| (\S+) \| (\S+) % \| (\S+) \|$", text, re.M)
    assert sorted(name for name, *_ in told) == sorted(rows)
    accuracy: dict[str, float] = {}
    test: dict[str, float] = {}
    for name, cost, shown, loss in told:
        (run,) = rows[name].values()
        accuracy[name] = 100 * run.measure("validation accuracy")
        test[name] = 100 * run.measure("test accuracy")
        assert f"{accuracy[name]:.2f}" == shown and f"{run.measure('validation loss'):.3f}" == loss
        small = 1.0 if name == "without_progressive" else 0.46  # of seven epochs
        share = 1.0 if name == "without_hard_examples" else 0.6  # from the third epoch on
        assert f"{2 * small + 5 * small * share + 7 * share:.1f}" == cost
    less, on_test = (
        {name: of["all"] - value for name, value in of.items() if name != "all"}
        for of in (accuracy, test)
    )
    sentence = re.search(r"One seed tells two parts from none(.*?) The recipe", text, re.S)
    assert sentence is not None
    clear = ("linear", "muon", "shift", "alternating_flip")
    both = re.findall(r"(\d\.\d) and\s(\d\.\d)", sentence[1])
    for name, shown in zip(clear, both, strict=True):
        found = less[f"without_{name}"], on_test[f"without_{name}"]
        assert tuple(map(float, shown)) == pytest.approx(found, abs=0.0501)
    quick = ("without_progressive", "without_hard_examples")
    assert all(abs(less[name]) < 0.2 for name in quick) and "within 0.2 points" in text
    rest = [on_test[n] for n in less if n.removeprefix("without_") not in clear]
    assert max(map(abs, rest)) < 0.5 and text.count("(0.5 on test)") == 2
    others = [less[n] for n in less if n not in quick and n.removeprefix("without_") not in clear]
    most = re.search(r"is within (\S+) points either way", text)
    assert most is not None and max(map(abs, others)) <= float(most[1]) < 0.5
