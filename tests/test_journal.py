"""The journal of a search: damage is told, what was cut off goes, what is lost is found again."""

import json
import random
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from cifarlab.base.errors import UserError
from cifarlab.report.sweep.search import importances
from cifarlab.store.journal import open_journal
from cifarlab.store.record import JOURNAL, RESULT
from cifarlab.store.run import write_config
from cifarlab.sweep.search import Trial, begin_study, open_study
from tests.report.folders import finished
from tests.test_search import OPTIONS, SPACE

FLIPS = 200


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Three cells: finished, failed half-way, under way."""
    begin_study(tmp_path, "s", SPACE, fresh=False)
    for number in range(3):
        cell = tmp_path / f"00{number}_s"
        cell.mkdir()
        trial = Trial.begin(cell, OPTIONS)
        write_config({"overrides": ["seed=0", *trial.overrides]}, cell)
        (cell / "metrics.csv").write_text(f"epoch,val_acc\n1,0.{number + 1}\n")
        trial.watch(last_epoch=5)
        if number == 0:
            finished(cell / "x", ["seed=0", *trial.overrides], 0.7)
            (cell / "x" / RESULT).rename(cell / RESULT)
        if number == 1:
            (cell / "failure.json").write_text("{}")
        trial.end()
    return tmp_path


def told(folder: Path) -> list[tuple]:
    """What a sampler sees of the trials."""

    def seen(trial: FrozenTrial) -> tuple:
        attributes = trial.user_attrs["cell"]
        return attributes, trial.state, trial.values, trial.params, trial.intermediate_values

    trials = optuna.load_study(study_name="s", storage=open_journal(folder)).trials
    return [seen(trial) for trial in trials if "cell" in trial.user_attrs]


def test_optuna_reads_it_by_itself(sweep: Path) -> None:
    plain = JournalStorage(JournalFileBackend(str(sweep / JOURNAL)))
    states = [trial.state for trial in optuna.load_study(study_name="s", storage=plain).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]


def test_a_journal_of_an_earlier_version(sweep: Path) -> None:
    before = told(sweep)
    lines = [json.loads(line) for line in (sweep / JOURNAL).read_text().splitlines()]
    assert all(isinstance(line.pop("crc32"), int) for line in lines)
    (sweep / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert told(sweep) == before
    open_study(sweep, "s").set_user_attr("new", 1)
    assert "crc32" in (sweep / JOURNAL).read_text().splitlines()[-1]
    assert told(sweep) == before


def test_a_flipped_byte(sweep: Path) -> None:
    """Refused, or the same; in the last line, whose end tells that it was written whole, it may
    count as cut off."""
    path, before, refused = sweep / JOURNAL, told(sweep), 0
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 1])
    cut_off = told(sweep)
    draw = random.Random(0)
    places = [0, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(FLIPS))]
    for place in places:
        content = bytearray(whole)
        content[place] ^= draw.randrange(1, 256)
        path.write_bytes(content)
        try:
            assert told(sweep) in ([cut_off] if place == len(whole) - 1 else [before])
        except UserError as error:
            line = whole[:place].count(b"\n") + 1
            assert f"{path}: damaged in line {line} (" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 0.9 * FLIPS


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_cut_off(cut: int, sweep: Path) -> None:
    """By a kill, as the last thing: it is passed over, and what is written next stands alone."""
    path = sweep / JOURNAL
    whole = path.read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    path.write_bytes(whole[:last])
    before = told(sweep)
    path.write_bytes(whole[: last + cut])
    assert told(sweep) == before
    open_study(sweep, "s").set_user_attr("new", 1)
    assert told(sweep) == before
    assert open_study(sweep, "s").user_attrs["new"] == 1


@pytest.mark.parametrize(
    "line", ["3", "[]", '{"op_code": NaN}', "{}", '{"op_code": 4, "study_id": 0}', "\x00\x00", "x"]
)
def test_lines_that_are_none(line: str, sweep: Path) -> None:
    with (sweep / JOURNAL).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"optuna.journal: damaged .*; delete it and type the") as e:
        begin_study(sweep, "s", SPACE, fresh=False)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("keep", [0, 1, 2, 5, 9])
def test_what_is_lost_is_told_anew(keep: int, sweep: Path) -> None:
    """The journal as it was after ``keep`` of its lines: the rest is found in the cells."""
    before = told(sweep)
    lines = (sweep / JOURNAL).read_text().splitlines(keepends=True)
    (sweep / JOURNAL).write_text("".join(lines[:keep]))
    begin_study(sweep, "s", SPACE, fresh=False)
    after = told(sweep)
    assert [seen[:3] for seen in after] == [seen[:3] for seen in before]
    for (*_, params, values), (*_, was, were) in zip(after, before, strict=True):
        assert params["optimizer.lr"] == pytest.approx(was["optimizer.lr"], rel=1e-11)
        assert params["model"] == was["model"] and values == were
    again = Trial.begin(sweep / "002_s", OPTIONS)
    assert float(again.overrides[0].partition("=")[2]) == pytest.approx(
        before[2][3]["optimizer.lr"], rel=1e-11
    ), "it goes on with its checkpoint, so with its values"


def test_a_damaged_cell_does_not_stop_the_search(sweep: Path) -> None:
    (sweep / "002_s" / RESULT).write_text("{")
    begin_study(sweep, "s", SPACE, fresh=False)
    assert [seen[1] for seen in told(sweep)] == [
        TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL,
    ]  # fmt: skip
    (sweep / JOURNAL).unlink()
    (sweep / "001_s" / "config.yaml").write_text("overrides: [")
    begin_study(sweep, "s", SPACE, fresh=False)
    assert [seen[0] for seen in told(sweep)] == ["000_s", "002_s"]


def test_optuna_dashboard_opens_it(sweep: Path) -> None:
    """As ``optuna-dashboard <folder>/optuna.journal`` does."""
    from optuna_dashboard import wsgi

    app = wsgi(JournalStorage(JournalFileBackend(str(sweep / JOURNAL))))

    def get(path: str) -> dict:
        environment: dict = {}
        setup_testing_defaults(environment)
        said: list[str] = []
        environment |= {"PATH_INFO": path}
        body = app(environment, lambda status, headers, error=None: said.append(status))
        assert said == ["200 OK"], path
        return json.loads(b"".join(body))

    (study,) = get("/api/studies")["study_summaries"]
    assert study["study_name"] == "s" and study["directions"] == ["maximize"]
    trials = get(f"/api/studies/{study['study_id']}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete", "Fail", "Running"]
    assert {one["name"] for one in trials[0]["params"]} == set(SPACE)


def test_a_report_does_without_it(sweep: Path, caplog) -> None:
    (sweep / JOURNAL).write_text("{}\n")
    assert importances(sweep, "s") == {}
    assert "optuna.journal: damaged" in caplog.text
    (sweep / JOURNAL).write_text("")
    assert importances(sweep, "s") == {}
