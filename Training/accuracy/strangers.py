"""What no scorer of body CT should score, and what it must not refuse; slices in HU, 512 x 512 or as they are.

No head CT is among the development data: Shepp and Logan's phantom of a head stands for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray
from scipy import ndimage

from Training.data.sources import PATIENTS, data_folder
from Training.evaluate_phantom import DOSES, read_images

Slices = list[NDArray[np.float32]]
_SIZE = 512
REFORMAT = "coronal and sagittal reformat"
_PHOTOGRAPHS = ("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "page",
                "text", "rocket", "retina")  # fmt: skip
#: Series that no weights of this project are trained on, beside the held-out patients.
_UNSEEN = ("siemens_abdomen_kits00072", "siemens_abdomen_jpeg2000", "siemens_chest_lungdxA0002")


def strangers(count: int = 16) -> Iterator[tuple[str, Slices]]:
    """Kinds of what should be refused, at most ``count`` slices each; kinds whose data are absent are left out."""
    yield "head (Shepp-Logan)", _heads(count)
    volumes = sorted((data_folder() / "mr").glob("*.nii.gz"))
    if volumes:
        mr = [_evenly(_stored(path), max(1, count // len(volumes))) for path in volumes]
        slices = [hu for some in mr for hu in some][:count]
        yield "MR as it is", slices
        yield "MR scaled to HU", [_stretched(hu) for hu in slices]
    phantom = data_folder() / "phantom" / "fda_lcd_three_doses"
    if phantom.is_dir():
        each = -(-count // len(DOSES))
        scans = [_evenly(read_images(phantom, dose, "signal_absent"), each) for dose in DOSES]
        yield "phantom of discs", [hu for some in scans for hu in some][:count]
    yield "photograph", _photographs()[:count]
    if (data_folder() / "ct" / "volumes").is_dir():
        yield REFORMAT, _reformats(count)
    yield "noise", _noises(count)


def held_out_ct(held_out: tuple[str, ...], count: int = 8) -> Iterator[tuple[str, Slices]]:
    """Untouched slices of real CT that no weights were trained on, ``count`` of each series."""
    root = data_folder() / "ct"
    for path in sorted((root / "volumes").glob("*.nii.gz")):
        patient = PATIENTS.get(path.name.removesuffix(".nii.gz"), "lungdxA0001" if "lungdxA0001" in path.name else "")
        if patient in held_out:
            yield path.name.removesuffix(".nii.gz"), _evenly(read_volume(path).canonical_slices().hu, count)
    for name in _UNSEEN:
        if (root / "dicom" / name).is_dir():
            yield name, _evenly(read_volume(root / "dicom" / name).canonical_slices().hu, count)


def single_slices() -> Slices:
    """The single DICOM slices with natural artefacts of the development data."""
    files = sorted((data_folder() / "ct" / "dicom" / "ge_toshiba_single_slices_covidny").glob("*.dcm"))
    return [read_volume(file).canonical_slices().hu[0].astype(np.float32) for file in files]


def kernel_pair(count: int = 16) -> tuple[Slices, Slices] | None:
    """The same slices of one scan with the soft and with the sharp kernel."""
    paths: list[Path] = [
        data_folder() / "ct" / "volumes" / f"philips_chest_{kernel}_lungdxA0001.nii.gz" for kernel in ("soft", "sharp")
    ]
    if not all(path.is_file() for path in paths):
        return None
    soft, sharp = (_evenly(read_volume(path).canonical_slices().hu, count) for path in paths)
    return soft, sharp


def _evenly(hu: NDArray[np.generic], count: int) -> Slices:
    chosen = np.linspace(0, len(hu) - 1, count + 2).round().astype(int)[1:-1]
    return [hu[k].astype(np.float32) for k in np.unique(chosen)]


def _stored(path: Path) -> NDArray[np.generic]:
    """The values of a file ``(slices, rows, columns)`` that the reader would refuse as no HU."""
    import nibabel

    return np.asarray(nibabel.load(path).dataobj).T


def _stretched(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Dark to -1050 HU, bright to 350 HU, on 512 pixels: a picture that takes itself for CT."""
    low, high = np.percentile(image, [0.5, 99.5])
    scaled = np.clip((image - low) / max(float(high - low), 1e-9), 0, 1)
    factors = [_SIZE / n for n in scaled.shape]
    return WINDOWS["ldctiqa"].invert(np.clip(ndimage.zoom(scaled, factors, order=1), 0, 1)).astype(np.float32)


def _photographs() -> Slices:
    from skimage import color, data

    images = [getattr(data, name)() for name in _PHOTOGRAPHS]
    return [_stretched(color.rgb2gray(image[..., :3]) if image.ndim == 3 else image) for image in images]


def _heads(count: int) -> Slices:
    from skimage.data import shepp_logan_phantom

    phantom = np.pad(ndimage.zoom(shepp_logan_phantom(), 0.8, order=1), 96)
    phantom = ndimage.zoom(phantom, _SIZE / len(phantom), order=1)[:_SIZE, :_SIZE]
    hu = np.interp(phantom, [0.0, 0.1, 0.2, 0.3, 0.4, 1.0], [-1000.0, 5.0, 30.0, 38.0, 60.0, 1200.0])
    rng = np.random.default_rng(0)
    turned = [ndimage.rotate(hu, rng.uniform(-20, 20), reshape=False, order=1, cval=-1000.0) for _ in range(count)]
    return [
        (one + ndimage.gaussian_filter(rng.normal(0, 1, hu.shape), 0.8) * rng.uniform(10, 60)).astype(np.float32)
        for one in turned
    ]


def _reformats(count: int) -> Slices:
    """Slices across the patient's length, on square pixels, where the volume is long enough to show an organ."""
    found: Slices = []
    for path in sorted((data_folder() / "ct" / "volumes").glob("*.nii.gz")):
        slices = read_volume(path).canonical_slices()
        columns, rows, through = np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0)
        if through * len(slices.hu) < 150:
            continue
        middle = [n // 2 for n in slices.hu.shape]
        for image, width in ((slices.hu[:, middle[1], :], columns), (slices.hu[:, :, middle[2]], rows)):
            square = ndimage.zoom(image[::-1].astype(np.float32), (through / width, 1.0), order=1)[:_SIZE]
            framed = np.full((_SIZE, _SIZE), -1024.0, dtype=np.float32)
            top = (_SIZE - len(square)) // 2
            framed[top : top + len(square), : square.shape[1]] = square[:, :_SIZE]
            found.append(framed)
    return found[:count]


def _noises(count: int) -> Slices:
    rng = np.random.default_rng(0)
    found = []
    for n in range(count):
        noise = rng.normal(0, 1, (_SIZE, _SIZE))
        if n % 2:
            noise = ndimage.gaussian_filter(noise, 1.5)
        found.append((noise / noise.std() * rng.uniform(50, 400) - rng.uniform(0, 300)).astype(np.float32))
    return found
