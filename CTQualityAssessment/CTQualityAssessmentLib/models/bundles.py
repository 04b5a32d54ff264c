"""Model bundles: list them, verify them, load them.

A bundle is a MONAI bundle folder whose weights are safetensors. The engine builds the network from an allow-list and
reads JSON only; it never evaluates an expression and never opens a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from CTQualityAssessmentLib.errors import is_out_of_memory
from CTQualityAssessmentLib.models.claims import LARGEST_BUNDLE, LARGEST_METADATA, UNFIT, no_larger_than, read_plain
from CTQualityAssessmentLib.models.errors import (
    DamagedBundle,
    DeviceUnavailable,
    UnknownBundle,
    UnsafeBundle,
    WrongTask,
)
from CTQualityAssessmentLib.models.folders import added_bundles_folder
from CTQualityAssessmentLib.networks.names import DENOISERS, SLICE_SCORERS, VOLUME_SCORERS
from CTQualityAssessmentLib.results import ModelIdentity
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.windows import WINDOWS, Window

if TYPE_CHECKING:
    import torch

    from CTQualityAssessmentLib.models.novelty import NoveltyModel
    from CTQualityAssessmentLib.networks.cmmiqa import VolumeScorer
    from CTQualityAssessmentLib.networks.slice_scorer import SliceScorer

_ = marks_of(__file__)

DEFAULT_BUNDLE = "clinreadnet-small-simulated"
_WEIGHTS = Path("models") / "model.safetensors"
_METADATA = Path("configs") / "metadata.json"
_NOVELTY_PREFIX = "novelty."
_INPUT_SIZES = range(32, 4097)
#: What of a slice a network was trained on, see assessment/picture.py.
PICTURES = ("whole", "patient")
#: What a network may be shown: slices of anything, or axial slices of adult trunks alone, see assessment/scope.py.
ANYTHING, AXIAL_TRUNK = SCOPES = ("any", "axial-trunk")
_PICKLE_SUFFIXES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"}
_ADVICE = _("Install the bundle again.")


@dataclass(frozen=True)
class BundleInfo:
    """What the metadata of an installed bundle says; nothing of it is trusted before :func:`verify_bundle`."""

    folder: Path
    name: str
    version: str
    description: str
    network: str
    sha256: str
    window: str
    input_size: int
    simulated_labels: bool
    statement: str
    metadata: dict[str, Any]

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it reads: CT, and MR where it is a scorer of whole volumes."""
        return ("CT", "MR") if self.network in VOLUME_SCORERS else ("CT",)

    @property
    def task(self) -> str:
        """What the bundle is for: "score" or "denoise"."""
        tasks = {"score": SLICE_SCORERS + VOLUME_SCORERS, "denoise": DENOISERS}
        return next((task for task, networks in tasks.items() if self.network in networks), "unknown")


@dataclass(frozen=True)
class LoadedModel:
    """A scorer of slices or of volumes with weights, in evaluation mode on its device, and what is needed to use it.

    ``picture`` says what of a slice it was trained on: all of it ("whole"), or the patient alone ("patient");
    ``scope`` which slices it judges at all, see assessment/scope.py.
    """

    scorer: SliceScorer | VolumeScorer
    identity: ModelIdentity
    window: Window
    input_size: int
    device: torch.device
    novelty: NoveltyModel | None
    picture: str = "whole"
    scope: str = ANYTHING

    @property
    def network(self) -> torch.nn.Module:
        """The scorer's network."""
        return self.scorer.network

    @property
    def reads_volumes(self) -> bool:
        """Whether the scorer reads whole volumes, CT and MR, rather than slices of CT."""
        return self.identity.network in VOLUME_SCORERS


def bundle_folders() -> tuple[Path, ...]:
    """Where bundles are looked for: ``$CTQA_MODELS`` first, then the ones shipped beside the library, then added."""
    shipped = Path(__file__).resolve().parents[2] / "Resources" / "Models"
    extra = os.environ.get("CTQA_MODELS")
    folders = (shipped, added_bundles_folder())
    return (Path(extra), *folders) if extra else folders


def installed_bundles(task: str | None = None) -> dict[str, Path]:
    """Folders of all installed bundles by name, which is the folder's.

    One in ``$CTQA_MODELS`` hides a shipped one, and a shipped one hides one that a user added.

    Args:
        task: "score" or "denoise" leaves out those that are known to be for something else; damaged ones stay, so that
            somebody hears of them.
    """
    found: dict[str, Path] = {}
    for parent in bundle_folders():
        for folder in parent.iterdir() if parent.is_dir() else ():
            if not folder.name.startswith(".") and (folder / _METADATA).is_file():
                found.setdefault(folder.name, folder)
    return {name: folder for name, folder in sorted(found.items()) if task is None or _may_be_for(folder, task)}


def _may_be_for(folder: Path, task: str) -> bool:
    try:
        return read_bundle(folder).task in (task, "unknown")
    except DamagedBundle:
        return True


def read_bundle(folder: Path) -> BundleInfo:
    """The metadata of one bundle folder.

    Raises:
        DamagedBundle: the metadata is missing, no JSON, or lacks a field.
    """
    try:
        metadata = json.loads(read_plain(folder / _METADATA, LARGEST_METADATA).decode("utf-8"))
        ours = metadata["ctqa"]
        info = BundleInfo(
            folder=folder,
            name=metadata["name"],
            version=metadata["version"],
            description=metadata["description"],
            network=ours["network"],
            sha256=ours["sha256"],
            window=WINDOWS[ours["window"]].name,
            input_size=ours["input_size"],
            simulated_labels=ours["simulated_labels"],
            statement=ours["statement"],
            metadata=metadata,
        )
        words = (info.name, info.version, info.description, info.network, info.sha256, info.statement)
        if not all(isinstance(word, str) and word for word in words) or not isinstance(info.simulated_labels, bool):
            raise TypeError("a field has another type than its meaning")
        if ours.get("picture", "whole") not in PICTURES:
            raise ValueError("a picture that this version does not know")
        if ours.get("scope", ANYTHING) not in SCOPES:
            raise ValueError("a scope that this version does not know")
        if type(info.input_size) is not int or info.input_size not in _INPUT_SIZES:
            raise ValueError("no size that a slice can have")
        return info
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedBundle(
            _("The metadata of the model bundle '{name}' cannot be read.").format(name=folder.name), _ADVICE
        ) from error


def verify_bundle(info: BundleInfo) -> bytes:
    """Checks the weights against the SHA-256 of the metadata and returns them, so that what was checked is loaded.

    Raises:
        UnsafeBundle: the folder holds a pickle.
        DamagedBundle: the weights are missing or differ.
    """
    for path in info.folder.rglob("*"):
        if path.suffix.lower() in _PICKLE_SUFFIXES:
            raise UnsafeBundle(
                _("The model bundle '{name}' holds a '{suffix}' file, which can run code when it is opened.").format(
                    name=info.name, suffix=path.suffix
                ),
                _("Use a bundle whose weights are safetensors only."),
            )
    try:
        content = read_plain(info.folder / _WEIGHTS, LARGEST_BUNDLE)
    except OSError as error:
        raise DamagedBundle(
            _("The weights of the model bundle '{name}' cannot be read.").format(name=info.name), _ADVICE
        ) from error
    if hashlib.sha256(content).hexdigest() != info.sha256:
        raise DamagedBundle(
            _("The weights of the model bundle '{name}' differ from their checksum.").format(name=info.name), _ADVICE
        )
    return content


def load_bundle(name_or_folder: str | Path = DEFAULT_BUNDLE, device: str = "auto") -> LoadedModel:
    """Verifies a bundle and builds its network.

    Args:
        name_or_folder: name of an installed bundle, or a bundle folder.
        device: "auto" (CUDA where there is one, else CPU), "cpu", "cuda", "cuda:1", "mps".

    Raises:
        WrongTask: the bundle holds a denoiser.
        UnknownBundle, DamagedBundle, UnsafeBundle, DeviceUnavailable: see their classes.
    """
    import torch

    info = find_bundle(name_or_folder)
    if info.task == "denoise":
        raise WrongTask(
            _("The model '{name}' is a denoiser and gives no scores.").format(name=info.name),
            _("Choose a model that scores."),
        )
    if info.task == "unknown":
        raise DamagedBundle(
            _("The model bundle '{name}' asks for a network that this version does not know.").format(name=info.name),
            _("Update CTQualityAssessment or use another model."),
        )
    from CTQualityAssessmentLib.networks.registry import build_slice_scorer, build_volume_scorer

    tensors = bundle_tensors(info)
    try:
        build = build_volume_scorer if info.network in VOLUME_SCORERS else build_slice_scorer
        with no_larger_than(tensors, info.metadata["ctqa"].get("network_config")):
            scorer = build(info.network, info.metadata["ctqa"])
        # Counters of normalisation layers are integers and stay so.
        weights = {k: v for k, v in tensors.items() if not k.startswith(_NOVELTY_PREFIX)}
        scorer.network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("a weight is not a number")
    except UNFIT as error:
        if is_out_of_memory(error):
            raise
        raise DamagedBundle(
            _("The weights of the model bundle '{name}' do not fit its network.").format(name=info.name), _ADVICE
        ) from error

    chosen = choose_device(device)
    scorer.network.eval().requires_grad_(False).to(chosen)
    novelty = None
    parts = {k.removeprefix(_NOVELTY_PREFIX): v for k, v in tensors.items() if k.startswith(_NOVELTY_PREFIX)}
    if parts:
        from CTQualityAssessmentLib.models.novelty import NoveltyModel

        novelty = NoveltyModel(**{k: v.float().to(chosen) for k, v in parts.items()})
    return LoadedModel(
        scorer,
        identity_of(info),
        WINDOWS[info.window],
        info.input_size,
        torch.device(chosen),
        novelty,
        info.metadata["ctqa"].get("picture", "whole"),
        info.metadata["ctqa"].get("scope", ANYTHING),
    )


def bundle_tensors(info: BundleInfo) -> dict[str, torch.Tensor]:
    """The verified weights of a bundle by name, as they are stored.

    Raises:
        UnsafeBundle, DamagedBundle: see :func:`verify_bundle`; or the weights are no safetensors.
    """
    from safetensors.torch import load

    content = verify_bundle(info)
    try:
        return load(content)
    except Exception as error:
        if type(error).__name__ not in ("SafetensorError", "ValueError", "KeyError", "RuntimeError"):
            raise
        raise DamagedBundle(
            _("The weights of the model bundle '{name}' are no safetensors file.").format(name=info.name), _ADVICE
        ) from error


def identity_of(info: BundleInfo) -> ModelIdentity:
    """What results say about the bundle that they come from."""
    return ModelIdentity(
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        window=info.window,
        network=info.network,
        simulated_labels=info.simulated_labels,
        statement=info.statement,
    )


def choose_device(device: str) -> str:
    """The torch device for a request.

    Raises:
        DeviceUnavailable: the device is not there, or no such name is known to torch.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise DeviceUnavailable(
            _("There is no device called '{device}'.").format(device=device), _("Choose auto, cpu or cuda.")
        ) from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (wanted.index or 0) >= count.get(wanted.type, 0):
        raise DeviceUnavailable(
            _("The device '{device}' is not available on this computer.").format(device=device),
            _("Choose auto or cpu."),
        )
    return device


def find_bundle(name_or_folder: str | Path) -> BundleInfo:
    """The bundle of that name or folder, not yet verified.

    An installed name comes before a folder: what lies in the working folder must not take a model's place.

    Raises:
        UnknownBundle, DamagedBundle: see their classes.
    """
    installed = installed_bundles()
    if str(name_or_folder) in installed:
        return read_bundle(installed[str(name_or_folder)])
    if str(name_or_folder) and Path(name_or_folder).is_dir():
        return read_bundle(Path(name_or_folder))
    names = ", ".join(installed) or "none"
    raise UnknownBundle(
        _("There is no model of that name; installed: {names}.").format(names=names),
        _("See 'ctqa models' for the list."),
    )
