"""Bundles that a user adds: copied into a folder of their own, whole or not at all, and removed again.

What ships with the program is never replaced and never removed.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from CTQualityAssessmentLib.models.bundles import BundleInfo, installed_bundles, read_bundle, verify_bundle
from CTQualityAssessmentLib.models.claims import LARGEST_BUNDLE
from CTQualityAssessmentLib.models.errors import BundleError, UnsafeBundle
from CTQualityAssessmentLib.models.folders import added_bundles_folder
from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class BundleExists(BundleError):
    """There is a bundle of that name already."""


class BundleStays(BundleError):
    """The bundle came with the program, or lies where this program removes nothing."""


class BundleFolderError(BundleError):
    """The folder of added bundles cannot be written."""


def add_bundle(source: Path) -> BundleInfo:
    """Verify a bundle folder, copy it, and verify the copy before it takes its place.

    Args:
        source: a bundle folder; the bundle is installed under the name in its metadata.

    Raises:
        DamagedBundle, UnsafeBundle: it is no bundle, or its weights are not those of its metadata.
        BundleExists: a bundle of that name is installed.
        BundleFolderError: the copy could not be written.
    """
    info = read_bundle(source)
    if not _NAME.fullmatch(info.name):
        raise UnsafeBundle(
            _("The name of the model bundle cannot be used as the name of a folder."),
            _("A name holds letters, digits, '.', '_' and '-', at most 64."),
        )
    if info.name in installed_bundles():
        raise BundleExists(
            _("A model named '{name}' is installed already.").format(name=info.name),
            _("Remove it first, or give the new one another name."),
        )
    files = _files(source, info.name)
    verify_bundle(info)
    folder = added_bundles_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=folder) as scratch:
            copy = Path(scratch) / info.name
            for file in files:
                target = copy / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            copied = read_bundle(copy)
            verify_bundle(copied)
            final = folder / info.name
            if final.exists():  # no bundle, or it would be installed: what an older version left
                shutil.rmtree(final)
            copy.replace(final)
    except OSError as error:
        raise BundleFolderError(
            _("The model could not be copied ({reason}).").format(reason=error.strerror or type(error).__name__),
            _("Free space on the disk, or check that you may write to your folder of application data."),
        ) from error
    return replace(copied, folder=final)


def why_not_removable(folder: Path) -> str:
    """The sentence that tells why :func:`remove_bundle` would refuse a bundle's folder; empty where it would not."""
    if folder.parent.resolve() != added_bundles_folder().resolve():
        return _("The model '{name}' came with the program and stays.").format(name=folder.name)
    return ""


def remove_bundle(name: str) -> None:
    """Delete a bundle that :func:`add_bundle` added.

    Raises:
        BundleStays: it was not added by a user, or is not there.
        BundleFolderError: it could not be deleted.
    """
    folder = installed_bundles().get(name)
    if folder is None:
        raise BundleStays(_("There is no model named '{name}'.").format(name=name), _("See the list of models."))
    if folder.parent.resolve() != added_bundles_folder().resolve():
        raise BundleStays(
            _("The model '{name}' came with the program and stays.").format(name=name),
            _("Only models that you added can be removed."),
        )
    try:
        # Out of sight at once: what is half deleted must not be listed.
        gone = Path(tempfile.mkdtemp(prefix=".removing-", dir=folder.parent))
        folder.replace(gone / name)
        shutil.rmtree(gone)
    except OSError as error:
        raise BundleFolderError(
            _("The model could not be removed ({reason}).").format(reason=error.strerror or type(error).__name__),
            _("Close other programs that use it, then try again."),
        ) from error


def _files(source: Path, name: str) -> list[Path]:
    """All files of a bundle folder; links are refused, because what they lead to was not verified."""
    found, size = [], 0
    for path in sorted(source.rglob("*")):
        if path.is_symlink():
            raise UnsafeBundle(
                _("The model bundle '{name}' holds a link to another place.").format(name=name),
                _("Use a bundle of plain files."),
            )
        if path.is_file():
            found.append(path)
            size += path.stat().st_size
            if size > LARGEST_BUNDLE:
                raise UnsafeBundle(
                    _("The folder of the model bundle '{name}' is larger than 4 GB.").format(name=name),
                    _("Choose the bundle's own folder."),
                )
    return found
