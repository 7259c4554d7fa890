"""What may be installed."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

MALWARE = ("2.6.2", "2.6.3")  # of lightning and pytorch-lightning, April 2026: GHSA-w37p-236h-pfx3


def test_no_release_with_malware_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (lightning,) = [r for r in map(Requirement, project["dependencies"]) if r.name == "lightning"]
    assert not any(lightning.specifier.contains(version) for version in MALWARE)
    assert lightning.specifier.contains("2.6.1") and lightning.specifier.contains("2.6.6")
    locked = (ROOT / "requirements.lock").read_text()
    for package in ("lightning", "pytorch-lightning"):
        (version,) = re.findall(rf"^{package}==(\S+)", locked, re.MULTILINE)
        assert version not in MALWARE and lightning.specifier.contains(version)


@pytest.mark.parametrize("package", ["lightning", "pytorch-lightning"])
def test_none_is_installed_here(package: str) -> None:
    from importlib.metadata import version

    assert version(package) not in MALWARE
