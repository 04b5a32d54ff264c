"""The packages that scoring needs: found without importing them, installed on request and once asked for."""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError

_REQUESTER = "CTQualityAssessment"
_TORCH_REQUIREMENT = ">=2.2"
#: Paths inside torch are up to about 170 characters long, and Windows ends paths at 260.
_LONGEST_SITE_PACKAGES = 90


class TorchState(enum.Enum):
    """What is installed under the name of torch."""

    PRESENT = "present"
    MISSING = "missing"
    BROKEN = "broken"


class PackagesError(CTQAError):
    """A package that is needed is not there and could not be installed."""


def torch_state() -> TorchState:
    """Look for torch without importing it, which can end the whole application.

    An installation that was broken off leaves a folder without its own files, or files without their record.
    """
    try:
        importlib.metadata.version("torch")
        recorded = True
    except importlib.metadata.PackageNotFoundError:
        recorded = False
    spec = importlib.util.find_spec("torch")
    if spec is None and not recorded:
        return TorchState.MISSING
    if not recorded or spec is None or spec.origin is None:
        return TorchState.BROKEN
    return TorchState.PRESENT if (Path(spec.origin).parent / "version.py").is_file() else TorchState.BROKEN


def missing_requirements(requirements: Path) -> list[str]:
    """Lines of a requirements file whose package is not installed or too old, in its order."""
    lines = (line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not _satisfied(line)]


def packages_present(requirements: Path) -> bool:
    """Whether everything that scoring needs is installed."""
    return torch_state() is TorchState.PRESENT and not missing_requirements(requirements)


def path_warning(site_packages: str | None = None, platform: str = sys.platform) -> str:
    """A sentence where Slicer lies too deep on a Windows disk for torch to be unpacked; else empty."""
    folder = site_packages or sysconfig.get_paths()["purelib"]
    if platform != "win32" or len(folder) <= _LONGEST_SITE_PACKAGES:
        return ""
    return _(
        "3D Slicer is installed in a folder with a long path ({count} characters), in which Windows cannot unpack "
        "PyTorch. Install 3D Slicer in a short folder such as C:\\Slicer."
    ).format(count=len(folder))


def ensure_packages(requirements: Path) -> bool:
    """Install what is missing after one question; call on the main thread, just before the first use.

    Returns:
        True when everything is there; False when the user declined or a restart is needed first.

    Raises:
        PackagesError: torch is broken, or an installation failed.
    """
    state = torch_state()
    if state is TorchState.BROKEN:
        raise PackagesError(
            _("PyTorch is installed only in part."),
            path_warning() or _("Open the module 'PyTorch Utils', uninstall PyTorch, restart 3D Slicer and try again."),
        )
    wanted = missing_requirements(requirements)
    if state is TorchState.MISSING:
        if path_warning():
            raise PackagesError(_("PyTorch cannot be installed here."), path_warning())
        if not _pytorch_extension():
            _install_pytorch_extension()
            return False
        wanted = ["PyTorch", *wanted]
    question = _("Scoring needs these Python packages: {names}. Install them now? This may take minutes.")
    if not wanted or not slicer.util.confirmOkCancelDisplay(question.format(names=", ".join(wanted))):
        return not wanted
    if state is TorchState.MISSING and not _install_torch():
        return False
    if missing_requirements(requirements):
        _install(requirements)
    return packages_present(requirements)


def _pytorch_extension() -> bool:
    try:
        import PyTorchUtils  # noqa: F401
    except ImportError:
        return False
    return True


def _install_torch() -> bool:
    """Through the PyTorch extension, which knows the build for this computer; True when torch is there afterwards."""
    try:
        import PyTorchUtils

        PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=_TORCH_REQUIREMENT)
    except Exception as error:  # of any kind: that module raises what pip and its own probes raise
        raise PackagesError(
            _("PyTorch could not be installed."), _("The log in the Python console says why; try 'PyTorch Utils'.")
        ) from error
    return torch_state() is TorchState.PRESENT


def _install_pytorch_extension() -> None:
    question = _(
        "Scoring needs PyTorch, which the extension 'PyTorch' installs. Install that extension now and restart 3D "
        "Slicer? Save your work first."
    )
    if not slicer.util.confirmOkCancelDisplay(question):
        return
    manager = slicer.app.extensionsManagerModel()
    manager.interactive = False  # it would ask a second time
    if not manager.installExtensionFromServer("PyTorch", True):
        raise PackagesError(
            _("The extension 'PyTorch' could not be installed."),
            _("Check the network, then install it with the Extensions Manager."),
        )


def _install(requirements: Path) -> None:
    try:
        try:
            from slicer.packaging import load_requirements, pip_ensure
        except ImportError:  # 3D Slicer 5.10
            _install_with_pip(missing_requirements(requirements))
        else:
            pip_ensure(load_requirements(str(requirements)), prompt_install=False, requester=_REQUESTER)
    except (subprocess.CalledProcessError, RuntimeError) as error:
        raise PackagesError(
            _("The Python packages could not be installed."),
            _("Check the network and the free space; the log in the Python console says more."),
        ) from error


def _install_with_pip(missing: list[str]) -> None:
    slicer.util.pip_install(" ".join(f'"{line}"' if " " in line else line for line in missing))


def _satisfied(requirement: str) -> bool:
    """Name and lower bound only: what our requirements file uses, without needing the package 'packaging'."""
    name, _sep, bound = requirement.partition(">=")
    try:
        installed = importlib.metadata.version(name.strip())
    except importlib.metadata.PackageNotFoundError:
        return False
    return _numbers(installed) >= _numbers(bound)


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3]]
    return tuple(parts + [0] * (3 - len(parts)))
