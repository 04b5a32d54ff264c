"""Series into the archive, and what it holds afterwards, over DICOMweb as any other program would do it."""

from __future__ import annotations

from collections import Counter

import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread

from Testing.dicom_factory import body, write_series
from Testing.pacs.orthanc import PASSWORD, USER


def client(archive):
    session = requests.Session()
    session.auth = (USER, PASSWORD)
    session.trust_env = False
    return DICOMwebClient(archive.url, session=session, chunk_size=2**31)


def store(archive, paths):
    answer = client(archive).store_instances([dcmread(path) for path in paths])
    assert len(answer.ReferencedSOPSequence) == len(paths)


def fill(archive, folder, count, slices=2, **keywords):
    """Store so many series, no two alike, and return their UIDs."""
    for n in range(count):
        store(archive, write_series(folder / f"series {n}", body(slices, 48, 48) + n, **keywords))
    return [value(item, "0020000E") for item in client(archive).search_for_series(search_filters={"Modality": "CT"})]


def value(item, tag):
    return item[tag]["Value"][0]


def everything(archive):
    """All objects, whole."""
    web = client(archive)
    return [
        one
        for item in web.search_for_series()
        for one in web.retrieve_series(
            value(item, "0020000D"), value(item, "0020000E"), media_types=(("application/dicom", "*"),)
        )
    ]


def counted(archive):
    """How many objects of each modality; parametric maps are OT."""
    found = Counter()
    for item in client(archive).search_for_series(fields=["NumberOfSeriesRelatedInstances"]):
        found[value(item, "00080060")] += value(item, "00201209")
    return dict(found)
