"""The studies and ladders that are shipped, found by glob."""

import re
from pathlib import Path

import pytest
import yaml

from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from cifarlab.store.checkpoint import build_net
from cifarlab.studies.ladder import expand
from cifarlab.studies.rows import merged, scaled
from cifarlab.studies.schema import OURS, Study, parse_study, read_studies
from tests.conftest import CONF, ROOT, options, plain


def load(name: str) -> Study:
    content = yaml.safe_load((CONF / "study" / f"{name}.yaml").read_text())
    return parse_study({"id": name} | content)


def ladder(name: str) -> Study:
    return parse_study(
        expand(name, yaml.safe_load((CONF / "ablation" / f"{name}.yaml").read_text()))
    )


ALL = [load(name) for name in options("study")] + [ladder(name) for name in options("ablation")]
IDS = [study.id for study in ALL]


@pytest.mark.parametrize("study", ALL, ids=IDS)
def test_rows_compose_and_pass_the_checks(study: Study) -> None:
    """Shortened too, and where the report counts parameters, they are ours."""
    sizes: dict[str, int] = {}
    for row in study.rows:
        overrides = merged(row.overrides)
        config = plain(*overrides)
        check_config(config)
        short = scaled(config, 0.2, [])
        assert any(change.startswith("max_epochs=") for change in short)
        if row.params:
            key = str(config["model"])
            if key not in sizes:
                net = build_net(config["model"], num_classes=10, image_size=32, pretrained=False)
                sizes[key] = sum(p.numel() for p in net.parameters())
            assert sizes[key] == row.params, row.id
    check_config(plain(*merged(overrides, short)))


@pytest.mark.parametrize("study", [s for s in ALL if s.source != OURS and s.kind == "study"])
def test_what_a_report_leaves_open_is_said(study: Study) -> None:
    assert study.assumptions
    assert all(claim.is_quote for claim in study.claims)


def test_rows_of_reports_are_fifty() -> None:
    """Each printed result of the five reports once."""
    reports = ("group14.", "elfarri.", "boelter.", "tbmi26.", "sapienza.")
    rows = [row.id for study in ALL for row in study.rows if row.id.startswith(reports)]
    assert len(rows) == len(set(rows)) == 50


def test_the_page_of_studies_counts_their_rows() -> None:
    """Each line of its table that has one number for each study that it names."""
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (`[^|]+) \| [^|]+ \| ([^|]+) \|$", text, re.M)
    rows = {study.id: len(study.rows) for study in ALL}
    counted = 0
    for names, numbers in lines:
        ids = re.findall(r"`(\w+)`", names)
        said = [int(number) for number in re.findall(r"\d+", numbers)]
        if ids and len(said) == len(ids):
            assert said == [rows[name] for name in ids], names
            counted += len(ids)
    assert counted >= 20


def test_rows_of_one_study_differ() -> None:
    """Unless they are said to be alike, two rows are two configurations."""
    for study in ALL:
        seen = [tuple(sorted(merged(row.overrides))) for row in study.rows if not row.like]
        assert len(set(seen)) == len(seen), study.id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"title: [", r"mine.yaml: not YAML \(while parsing"),
        (b"title: \xff", r"mine.yaml: not YAML \("),
        (b"- a list", "mine.yaml: not a study; it holds no keys"),
        (b"title: mine", "study mine: source is missing"),
    ],
)
def test_a_damaged_study_is_told_in_a_line(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "mine.yaml").write_bytes(text)
    with pytest.raises(UserError, match=message) as caught:
        read_studies(tmp_path)
    assert "\n" not in str(caught.value)
