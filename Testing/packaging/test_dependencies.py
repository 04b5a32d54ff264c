"""What the code imports is what an installation brings."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import metadata, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
OWN = {"CTQualityAssessment", "CTQualityAssessmentLib", "Testing", "Training", "slicer_widgets"}
#: What 3D Slicer and its extension PyTorch bring; the tests have stand-ins.
OF_SLICER = {"qt", "ctk", "PyTorchUtils", "SampleData"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def declared() -> set[str]:
    """Distributions that pyproject.toml names (read by hand: tomllib is not in Python 3.10)."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("[project]") : text.index("[project.scripts]")]
    lists = re.findall(r"^(?!dynamic)\w+ = (\[.*?\])$", project, re.MULTILINE)
    return {canonical(requirement) for found in lists for requirement in ast.literal_eval(found)}


def imported() -> dict[str, str]:
    """Top-level packages that our code imports anywhere, with one file that does."""
    found = {}
    for folder in ("CTQualityAssessment", "Training", "Testing"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                found |= {name.split(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in found.items() if name not in OWN | OF_SLICER | sys.stdlib_module_names}


def test_every_imported_package_is_declared():
    """A package that only happens to be installed here is missing on a fresh computer, and the command fails there."""
    known, providers = declared(), packages_distributions()
    missing = {
        name: path
        for name, path in imported().items()
        if not known & {canonical(provider) for provider in providers.get(name, [name])}
    }
    assert missing == {}


def test_every_declared_package_is_pinned_as_it_runs_here():
    """The constraints are the versions that these tests ran on; a forgotten pin is a version nobody tested."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    pins = {r.name: str(r.specifier)[2:] for r in requirements if r.marker is None or r.marker.evaluate()}
    wanted = declared() - {"ctqualityassessment", "setuptools"}
    assert wanted <= set(pins)
    differing = {name: (pins[name], metadata(name)["Version"]) for name in wanted}
    assert {name: pair for name, pair in differing.items() if pair[0] != pair[1].split("+")[0]} == {}
