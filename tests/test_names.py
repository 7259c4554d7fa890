"""Names that users give to runs, sweeps and folders: odd signs, too many bytes."""

import json
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cifarlab.base.compose import as_override, to_type
from cifarlab.store.record import short_name
from tests.conftest import TINY

ODD = ["it's", "a b", "x=1,2", "[a]{b}", "a$b", "back\\", "\\'", "caf\u00e9", "-x", "a:b;c#d%e*f?"]


@pytest.mark.parametrize("value", [*ODD, "outputs/runs/baseline/2026-01-01"])
def test_a_value_survives_hydra_and_the_shell(value: str) -> None:
    parser = OverridesParser.create()
    (typed,) = shlex.split(to_type("key", value))
    for line in (as_override("key", value), typed):
        assert parser.parse_override(line).value() in (value, getattr(value, "text", value))
    assert to_type("key", "a/b-1.0") == "key=a/b-1.0", "no quotes without need"


def test_a_sweep_of_an_odd_name_in_an_odd_place(train, cache, tmp_path) -> None:
    """Its cells start, and are found again."""
    odd = "it's [a] $1 = {b}, \u732b"
    typed = ["-m", *TINY, f"data.cache_dir={cache}", "max_epochs=1", "seed=0,1"]
    typed += [as_override("output_root", odd), as_override("sweep", f"x/{odd}")]
    done = train(*typed)
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / odd / "sweeps" / "x" / odd / "cells.json").read_text())
    assert len(cells) == 2
    assert all((tmp_path / odd / "sweeps" / "x" / odd / c / "result.json").exists() for c in cells)
    assert "2 cells, 0 to run" in train(*typed).stdout


@pytest.mark.parametrize("typed", ["name=", "-m sweep=", "output_root=", "-m output_root="])
def test_a_name_that_is_too_long(train, cache, typed: str) -> None:
    *mode, key = typed.split()
    done = train(*mode, *TINY, f"data.cache_dir={cache}", as_override(key[:-1], "\u732b" * 100))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith(": file name too long\n")


def test_the_name_of_a_sweeps_folder_must_not_be_a_key(train) -> None:
    done = train("-m", *TINY, "sweep='a\\${b'")
    assert done.returncode == 2
    assert done.stderr == (
        "error: outputs/sweeps/a${b: cannot be a sweep's folder; choose a name without ${\n"
    )


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u732b", "\U0001f431"])
def test_long_names_are_cut_by_bytes(letter: str) -> None:
    """What is cut has a hash of the whole; what was short enough keeps its name."""
    for count in (1, 50, 99, 100, 101, 300):
        name = short_name(letter * count)
        assert len(name) <= 100 and len(name.encode()) <= 200
        assert (name == letter * count) == (count <= 100 and count * len(letter.encode()) <= 200)
        assert name.startswith(letter)
    assert short_name(letter * 299) != short_name(letter * 300)
    assert short_name("x" * 101) == "x" * 91 + "_" + short_name("x" * 101)[-8:], "as ever"
