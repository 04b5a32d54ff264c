"""What Slicer builds and lists is what the tree holds."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from Testing.packaging import shipped_files

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_of_the_module_is_listed_in_cmake():
    """A file that is not listed is silently missing from the installed extension; a listed one that is gone stops the
    build. Run `python -m Testing.packaging.shipped_files` to bring the lists up to date."""
    assert shipped_files.in_cmake() == shipped_files.in_tree()


def test_extension_values_can_be_read_by_the_extensions_index():
    """The index takes these values with a regular expression and refuses an entry that lacks one or wraps a line."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"\n]+)"\)$', text, re.MULTILINE))
    assert {"HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"} <= set(
        values
    )
    assert text.count("set(EXTENSION_") == len(values)
    assert re.search(r"^project\((\w+)\)", text, re.MULTILINE)[1] == "CTQualityAssessment"


def test_index_entry_agrees_with_cmake():
    """A catalogue entry with another category or without PyTorch would install an extension that cannot run."""
    entry = json.loads((ROOT / "CTQualityAssessment.json").read_text(encoding="utf-8"))
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert entry["$schema"].endswith("schema-v1.0.2.json#")
    assert f'set(EXTENSION_CATEGORY "{entry["category"]}")' in text
    assert f'set(EXTENSION_DEPENDS "{" ".join(entry["build_dependencies"])}")' in text
    assert f'set(EXTENSION_HOMEPAGE "{entry["scm_url"]}")' in text
    assert entry["dicom_support_rule"] == "Modality == 'CT'"


def test_pictures_of_the_index_are_in_the_repository_and_of_a_kind_it_takes():
    """The catalogue shows a broken picture, and the review stops, where an address leads nowhere or to an SVG."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"\n]+)"\)$', text, re.MULTILINE))
    urls = [values["ICONURL"], *values["SCREENSHOTURLS"].split()]
    for url in urls:
        assert url.startswith("https://raw.githubusercontent.com/") and url.endswith((".png", ".jpeg", ".gif"))
        path = ROOT / url.split("/main/", 1)[1]
        assert path.read_bytes().startswith((b"\x89PNG", b"\xff\xd8", b"GIF8"))


def test_index_entry_keeps_the_rules_of_the_index():
    """Each of these stops the entry in review: name, category, licence, address."""
    entry = json.loads((ROOT / "CTQualityAssessment.json").read_text(encoding="utf-8"))
    assert not (ROOT / "CTQualityAssessment.json").stem.startswith("Slicer")
    assert entry["scm_url"].startswith("https://") and entry["scm_url"].rsplit("/", 1)[1].startswith("Slicer")
    assert entry["category"] == "Quantification"
    assert entry["tier"] in (1, 3, 5)
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for needed in ("not a medical device", "How to cite", "Troubleshooting", "Apache-2.0"):
        assert needed in readme


def test_screenshots_of_the_readme_are_there_and_small():
    """A page that loads for seconds is closed; one with broken pictures is not believed."""
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert "Resources/Screenshots/panel.png" in pictures
    assert [p for p in pictures if not (ROOT / p).is_file()] == []
    assert (ROOT / "Resources" / "Screenshots" / "panel.png").stat().st_size <= 300_000


def test_repository_can_be_cloned_by_the_index():
    """The index refuses repositories over 100 MB, and files with Windows line ends break its shell checks."""
    files = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [n for n in inner if n not in (".git", ".venv", "__pycache__", "out", "runs", "build")]
        files += [Path(folder) / name for name in names]
    assert sum(path.stat().st_size for path in files) < 100e6
    text = {".py", ".md", ".txt", ".json", ".toml", ".yml", ".yaml", ".cff"}
    assert not [path.name for path in files if path.suffix in text and b"\r\n" in path.read_bytes()]
