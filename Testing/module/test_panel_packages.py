"""Packages: what is missing is found without importing it, asked for once, and every failure is told."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
import slicer.util


@pytest.fixture
def packages(module):
    from CTQualityAssessmentLib.panel import packages

    return packages


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that comes first on the search path, and nothing else that is called torch."""
    kept = [p for p in sys.path if "site-packages" not in p]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *kept])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return tmp_path


@pytest.fixture
def questions(monkeypatch):
    """Questions that were asked; the answer is yes unless the test says otherwise."""
    asked = types.SimpleNamespace(texts=[], answer=True)

    def ask(text, *args, **kwargs):
        asked.texts.append(text)
        return asked.answer

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", ask)
    return asked


def put_torch(site, files=True, record=True):
    if files:
        (site / "torch").mkdir()
        (site / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
        (site / "torch" / "version.py").write_text("")
    if record:
        (site / "torch-2.5.0.dist-info").mkdir()
        (site / "torch-2.5.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.5.0\n")


def test_torch_is_found_without_being_imported(packages, site):
    """Importing a bad torch can end the whole application."""
    assert packages.torch_state() is packages.TorchState.MISSING
    put_torch(site)
    assert packages.torch_state() is packages.TorchState.PRESENT


@pytest.mark.parametrize(("files", "record"), [(True, False), (False, True)])
def test_a_torch_that_was_installed_in_part_is_told_with_its_cure(packages, site, questions, files, record):
    """The best-known dead end: pip was stopped, and nothing heals it."""
    put_torch(site, files, record)
    assert packages.torch_state() is packages.TorchState.BROKEN
    with pytest.raises(packages.PackagesError, match=r"only in part.*uninstall"):
        packages.ensure_packages(requirements(site))
    assert questions.texts == []


def test_a_folder_that_pip_left_behind_empty_is_broken_too(packages, site):
    put_torch(site, files=False)
    (site / "torch").mkdir()
    (site / "torch" / "lib").mkdir()
    assert packages.torch_state() is packages.TorchState.BROKEN


def requirements(folder, text="monai>=1.3\n# a comment\nnumpy>=1.0  # there\n"):
    path = folder / "requirements.txt"
    path.write_text(text)
    return path


def test_without_the_pytorch_extension_one_question_leads_to_it(packages, site, questions, monkeypatch):
    installed = []

    class Manager:
        interactive = True

        def installExtensionFromServer(self, name, restart):
            installed.append((name, restart, self.interactive))
            return True

    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(extensionsManagerModel=Manager), raising=False)
    assert packages.ensure_packages(requirements(site)) is False
    assert installed == [("PyTorch", True, False)]
    assert len(questions.texts) == 1 and "restart" in questions.texts[0]
    questions.answer = False
    assert packages.ensure_packages(requirements(site)) is False
    assert len(installed) == 1


def test_torch_comes_from_the_pytorch_extension_and_one_question_names_all(packages, site, questions, monkeypatch):
    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, **wishes):
            calls.append(wishes)
            put_torch(site)

    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))
    installed = []
    monkeypatch.setattr(slicer.util, "pip_install", installed.append)
    path = requirements(site, "no-such-package>=1\n")
    questions.answer = False
    assert packages.ensure_packages(path) is False and calls == [] and installed == []
    questions.answer = True
    questions.texts.clear()
    packages.ensure_packages(path)
    assert calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.2"}]
    assert installed == ["no-such-package>=1"]
    assert len(questions.texts) == 1 and "PyTorch, no-such-package>=1" in questions.texts[0]


def test_slicer_packaging_installs_the_rest_where_it_is(packages, site, questions, monkeypatch):
    put_torch(site)
    seen = []
    fake = types.ModuleType("slicer.packaging")
    fake.load_requirements = lambda path: ["loaded", path]
    fake.pip_ensure = lambda wanted, prompt_install, requester: seen.append((wanted, prompt_install, requester))
    monkeypatch.setitem(sys.modules, "slicer.packaging", fake)
    path = requirements(site, "no-such-package>=1\n")
    assert packages.ensure_packages(path) is False
    assert seen == [(["loaded", str(path)], False, "CTQualityAssessment")]
    assert len(questions.texts) == 1 and "no-such-package" in questions.texts[0]


def test_slicer_5_10_asks_once_and_names_only_what_is_missing(packages, site, questions, monkeypatch):
    put_torch(site)
    (site / "einops-0.8.0.dist-info").mkdir()
    (site / "einops-0.8.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: einops\nVersion: 0.8.0\n")
    lines = []
    monkeypatch.setattr(slicer.util, "pip_install", lines.append)
    path = requirements(site, "einops>=0.7\nno-such-package>=1\neinops>=0.9\n")
    assert packages.missing_requirements(path) == ["no-such-package>=1", "einops>=0.9"]
    packages.ensure_packages(path)
    assert lines == ["no-such-package>=1 einops>=0.9"]
    assert len(questions.texts) == 1 and "no-such-package" in questions.texts[0]


def test_a_failed_installation_is_told_in_one_sentence(packages, site, questions, monkeypatch):
    put_torch(site)

    def fail(line):
        raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(slicer.util, "pip_install", fail)
    with pytest.raises(packages.PackagesError, match=r"could not be installed.*network"):
        packages.ensure_packages(requirements(site, "no-such-package>=1\n"))


def test_a_long_windows_path_is_told_before_it_breaks_torch(packages):
    deep = "C:\\Users\\somebody\\AppData\\Local\\slicer.org\\3D Slicer 5.12.3 for work\\lib\\Python\\Lib\\site-packages"
    assert len(deep) > 90
    assert "C:\\Slicer" in packages.path_warning(deep, "win32")
    assert packages.path_warning("C:\\Slicer\\lib\\Python\\Lib\\site-packages", "win32") == ""
    assert packages.path_warning(deep, "linux") == ""


def test_our_requirements_hold_neither_torch_nor_anything_exotic(packages, module):
    """torch by pip would take the wrong build; and lines other than 'name>=bound' are not understood on 5.10."""
    import re
    from pathlib import Path

    text = (Path(module.__file__).parent / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[a-z0-9-]+>=[\d.]+", line) for line in lines)
    assert not [line for line in lines if line.startswith(("torch", "numpy", "SimpleITK"))]


def test_packages_that_are_missing_stop_a_run_before_it_starts(window, packages, monkeypatch):
    from Testing.assessment_factory import make_volume

    window.add_volume(make_volume())
    monkeypatch.setattr("CTQualityAssessmentLib.panel.assess_section.ensure_packages", lambda path: False)
    window.ui.assessButton.click()
    assert not window.panel.assess.run.busy
    assert "not installed yet" in window.ui.statusLabel.text
