"""A real Orthanc with its DICOMweb plugin, on loopback, for one test session."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import requests

USER, PASSWORD = "tester", "Sesame-4711-not-to-be-printed"
#: As the archive calls itself, and as it knows us.
AET, OUR_AET = "ORTHANC", "CTQA"
#: As it knows us where it allows no C-GET.
MOVE_AET = "CTQA-MOVE"
_PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def missing() -> str | None:
    """Why the tests cannot run here; None where they can."""
    if shutil.which("Orthanc") is None:
        return "Orthanc is not installed (Debian package orthanc)"
    return None if _PLUGINS.exists() else "Orthanc has no DICOMweb plugin (Debian package orthanc-dicomweb)"


def free_port() -> int:
    """A port of this computer that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Orthanc:
    """An archive that can be stopped and started with what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http, self.dicom, self.move_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}/dicom-web"
        self.root = f"http://127.0.0.1:{self.http}"
        settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(_PLUGINS)],
            "HttpPort": self.http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAet": AET,
            "DicomPort": self.dicom,
            "DicomServerEnabled": True,
            "DicomModalities": {
                "us": [OUR_AET, "127.0.0.1", free_port()],
                "without-get": {
                    "AET": MOVE_AET,
                    "Host": "127.0.0.1",
                    "Port": self.move_port,
                    "AllowGet": False,
                    "AllowMove": True,
                    "AllowFind": True,
                    "AllowEcho": True,
                },
            },
            "DicomCheckCalledAet": False,
            "ConcurrentJobs": 1,
            "OverwriteInstances": False,
            "MaximumStorageCacheSize": 0,  # a test damages what is stored
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        folder.mkdir(parents=True)
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Orthanc:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            try:
                if requests.get(f"{self.root}/system", auth=(USER, PASSWORD), timeout=20).ok:
                    return self
            except requests.ConnectionError:
                assert time.monotonic() < end, "Orthanc did not start"
                time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, by default in good order."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, how)
            self.process.wait(60)

    def clear(self) -> None:
        """Forget all patients."""
        for patient in self.ask("patients"):
            requests.delete(f"{self.root}/patients/{patient}", auth=(USER, PASSWORD), timeout=60).raise_for_status()

    def ask(self, path: str) -> list:
        """What Orthanc's own interface tells, beside DICOMweb."""
        answer = requests.get(f"{self.root}/{path}", auth=(USER, PASSWORD), timeout=60)
        answer.raise_for_status()
        return answer.json()
