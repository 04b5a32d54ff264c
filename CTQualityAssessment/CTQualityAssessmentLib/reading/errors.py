"""One error for each way in which an input can be unfit to be read as CT.

No sentence here holds a path, a UID, a date or a patient tag. Errors raised because of a third party's message are
raised ``from None`` where that message could quote a path or a header.
"""

from __future__ import annotations

from CTQualityAssessmentLib.errors import NO_MEMORY, CTQAError


class ReadingError(CTQAError):
    """Base of every error that :func:`~CTQualityAssessmentLib.reading.read_volume` raises on purpose."""

    exit_code = 3


class PathNotFoundError(ReadingError):
    """There is nothing at the path."""

    def __init__(self) -> None:
        super().__init__(
            "There is no file or folder at this path.", "Check the spelling and whether the disk is there."
        )


class NotReadableError(ReadingError):
    """The operating system refuses to open a file or folder."""

    def __init__(self) -> None:
        super().__init__(
            "The system does not allow this file or folder, or a part of it, to be opened.",
            "Ask for the right to read it, or copy it to a place of your own.",
        )


class EmptyFolderError(ReadingError):
    """A folder or archive without a file."""

    def __init__(self) -> None:
        super().__init__("There is no file in it.", "Choose the folder that holds the images.")


class NotAnImageError(ReadingError):
    """No file is an image of a known format, or the one file is damaged beyond its header."""

    def __init__(self) -> None:
        super().__init__(
            "This is no image that can be read.",
            "Give a DICOM file, folder or zip, a NIfTI, NRRD, MHA or MHD file, or a TIFF of the challenge's format.",
        )


class SeveralImagesError(ReadingError):
    """A folder holds several image files that are volumes of their own."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The folder holds {count} image files.", "Give the path of one of them.")


class NotAVolumeError(ReadingError):
    """The image has a time axis, colours or several values at each voxel."""

    def __init__(self) -> None:
        super().__init__(
            "The image holds more than one value at each voxel or more than three axes.",
            "Save one scalar volume of it and read that.",
        )


class UnsupportedGeometryError(ReadingError):
    """The grid of an image file cannot be: a zero, huge or non-finite spacing, or parallel axes."""

    def __init__(self) -> None:
        super().__init__(
            "The grid of this image has no extent in some direction, or one that no scanner has.",
            "Convert the original DICOM series again.",
        )


class TooLargeError(ReadingError):
    """The image claims more voxels than a CT has."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"The input is larger than the limit of {limit}.", "Check the file, or read a part of it.")


class NotEnoughMemoryError(ReadingError):
    """The computer's memory, or the share of it that this process may have, does not hold the volume."""

    def __init__(self) -> None:
        super().__init__(*NO_MEMORY)


class DataElsewhereError(ReadingError):
    """A header names a data file outside its own folder, such as a file of the system."""

    def __init__(self) -> None:
        super().__init__(
            "The header names a data file outside its own folder, which is not read.",
            "Put the data file beside its header and name it without a folder above.",
        )


class UnsafeArchiveError(ReadingError):
    """The zip tries to write outside its folder, is a bomb, encrypted or holds links."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The archive is refused: {reason}.", "Unpack it by hand if you trust it, then give the folder."
        )


class DamagedArchiveError(ReadingError):
    """The zip cannot be unpacked."""

    def __init__(self) -> None:
        super().__init__("The archive is damaged.", "Copy or download it again.")


class NoSuchSeriesError(ReadingError):
    """The series that was asked for is not in the input."""

    def __init__(self, available: int) -> None:
        super().__init__(
            f"The series asked for is not among the {available} found.",
            "List the series and choose one by its number.",
        )


class WrongModalityError(ReadingError):
    """The images are not CT."""

    def __init__(self, modality: str | None) -> None:
        found = f"The images are {modality}, not CT." if modality else "The images do not say that they are CT."
        super().__init__(found, "Choose a CT series.")


class ScoutOnlyError(ReadingError):
    """Nothing but scout (localiser) images."""

    def __init__(self) -> None:
        super().__init__("These are scout images, not CT slices.", "Choose the series that was planned on them.")


class SecondaryCaptureError(ReadingError):
    """A screenshot, dose page or other secondary capture under CT."""

    def __init__(self) -> None:
        super().__init__(
            "These are screenshots or report pages, not CT slices.", "Choose a series of reconstructed slices."
        )


class MissingGeometryError(ReadingError):
    """Position, orientation or pixel size is absent or impossible."""

    def __init__(self) -> None:
        super().__init__(
            "The headers lack a valid position, orientation or pixel size.",
            "Export the series again from the archive with its full headers.",
        )


class DuplicatePositionsError(ReadingError):
    """Different slices at the same position that nothing in the headers tells apart."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} slices lie where another slice lies, and the headers do not tell which belong together.",
            "Export the series again with one reconstruction or time point in each series.",
        )


class UnevenSpacingError(ReadingError):
    """The distance between slices changes so often that no even stack holds half of them."""

    def __init__(self) -> None:
        super().__init__(
            "The slices lie at irregular distances.", "Export the complete series, or give single slices one by one."
        )


class MissingRescaleError(ReadingError):
    """No rescale slope and intercept, and the stored values are not HU."""

    def __init__(self) -> None:
        super().__init__(
            "The headers do not say how stored values become Hounsfield units.",
            "Export the series again with its rescale slope and intercept.",
        )


class NotHounsfieldError(ReadingError):
    """The values cannot be Hounsfield units."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The values cannot be Hounsfield units: {reason}.",
            "Give an unprocessed CT in HU; images scaled to 0 ... 1 are read as TIFF only.",
        )


class UnknownModalityError(ReadingError):
    """A file that does not name its modality, and whose values are no HU."""

    def __init__(self) -> None:
        super().__init__(
            "The file does not say whether it is CT or MR, and its values cannot be Hounsfield units.",
            "Say what it is, with --modality MR on the command line.",
        )


class NonFiniteValuesError(ReadingError):
    """Most voxels are NaN or infinite."""

    def __init__(self) -> None:
        super().__init__("More than half of the voxels are not numbers.", "Check how the file was written.")


class NotChallengeScaleError(ReadingError):
    """A TIFF that is not on the LDCTIQAG2023 scale."""

    def __init__(self) -> None:
        super().__init__(
            "TIFF images are read only as floating point numbers from 0 to 1 in one matrix size.",
            "Give the DICOM series or a NIfTI file in HU.",
        )


class UnsupportedCompressionError(ReadingError):
    """No codec here can unpack the pixel data."""

    def __init__(self) -> None:
        super().__init__(
            "The pixel data are compressed in a way that cannot be unpacked here.",
            "Export the series uncompressed or with JPEG 2000 lossless.",
        )


class DamagedPixelDataError(ReadingError):
    """Pixel data are cut short, damaged or absent."""

    def __init__(self) -> None:
        super().__init__("The pixel data are cut short or damaged.", "Copy or export the series again.")


class MultiFrameError(ReadingError):
    """A derived series can be written from single-frame images only."""

    def __init__(self) -> None:
        super().__init__(
            "The series is an Enhanced CT object, of which no derived DICOM series can be written yet.",
            "Leave out --dicom: the denoised volume itself can be written.",
        )


class NotDicomError(ReadingError):
    """A DICOM report was asked for about an image that has no DICOM headers."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__(
            "The input is no DICOM series, so that a DICOM report has no images to refer to.",
            "Give the DICOM series, or leave out --dicom.",
        )


class IncompleteHeadersError(ReadingError):
    """A DICOM report was asked for about images whose headers lack what it has to refer to."""

    exit_code = 1

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            f"A DICOM report cannot refer to these images: the headers lack {', '.join(missing)}.",
            "Export the series again with its UIDs, or leave out --dicom.",
        )


class ReadingCancelledError(ReadingError):
    """The caller's ``cancelled`` said so. Half a volume is of no use, so nothing is returned."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("Reading was cancelled.", "Start again when you are ready.")
