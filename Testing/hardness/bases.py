"""Sound series in every encoding that is read, as the bytes of their files: what the mutations start from."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from pydicom.dataset import Dataset

from Testing.dicom_factory import body, enhanced_dataset, save, write_series

SLICES, ROWS, COLUMNS = 4, 36, 40
SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.90",
}
BASES = (*SYNTAXES, "jpeg-lossless", "enhanced")


@lru_cache(maxsize=len(BASES))
def base_files(name: str) -> tuple[bytes, ...]:
    """The files of a small series, one for each slice; a single one for the Enhanced object."""
    hu = body(SLICES, ROWS, COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        if name == "enhanced":
            return (save(enhanced_dataset(hu), where / "one.dcm").read_bytes(),)
        syntax = SYNTAXES.get(name, SYNTAXES["explicit"])
        paths = write_series(where, hu, series_uid="1.2.3.4", change=_like_a_scanner, syntax=syntax)
        if name == "jpeg-lossless":
            for path in paths:
                _to_jpeg_lossless(path)
        return tuple(path.read_bytes() for path in paths)


def _like_a_scanner(k: int, dataset: Dataset) -> None:
    """Private elements, a sequence and a padding value, as real headers have."""
    inner = Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "113691", "DCM", "IEC Body Dosimetry Phantom"
    dataset.CTDIPhantomTypeCodeSequence = [inner]
    dataset.PixelPaddingValue = 0
    dataset.SpecificCharacterSet = "ISO_IR 100"
    block = dataset.private_block(0x0053, "GEHC_CT_ADVAPP_001", create=True)
    block.add_new(0x42, "LO", "50")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k + 1}"


def _to_jpeg_lossless(path: Path) -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
