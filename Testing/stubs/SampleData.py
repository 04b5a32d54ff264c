"""The module ``SampleData`` of 3D Slicer, as far as a module that registers a file of its own can notice it.

It compares the checksum and says no more of a wrong one than an empty list, as the real one does.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import slicer

SOURCES = {}


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileType=None,
        loadFiles=None,
        loadFileProperties={},
        checksums=None,
    ):
        assert urllib.parse.urlparse(uris).scheme, "a bare path is not taken"
        source = SimpleNamespace(
            category=category,
            sampleName=sampleName,
            uri=uris,
            fileName=fileNames,
            nodeName=nodeNames,
            checksum=checksums,
            thumbnailFileName=thumbnailFileName,
        )
        found = SOURCES.setdefault(category, [])
        if source not in found:
            found.append(source)

    def sourceForSampleName(self, sampleName):
        return next((s for found in SOURCES.values() for s in found if s.sampleName == sampleName), None)

    def downloadFromSource(self, source):
        cached = Path(tempfile.mkdtemp(prefix="sample-")) / source.fileName
        with urllib.request.urlopen(source.uri) as file, cached.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        algorithm, _, digest = source.checksum.partition(":")
        if hashlib.new(algorithm, cached.read_bytes()).hexdigest() != digest:
            cached.unlink()
            return []
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", source.nodeName)
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(cached))
        return [node] if storage.ReadData(node) else []
