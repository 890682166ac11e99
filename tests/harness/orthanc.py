"""Debian's Orthanc as the PACS, with a rule of its own that sends everything it stores to us."""

from __future__ import annotations

import io
import json
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydicom import Dataset, dcmread

from tests.harness.node import free_port, wait_until

PROGRAM = Path("/usr/sbin/Orthanc")
DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
TITLE = "ORTHANC"

# Orthanc's own way to route: https://orthanc.uclouvain.be/book/users/lua.html
_ROUTE_EVERYTHING = """
function OnStoredInstance(instanceId, tags, metadata, origin)
  SendToModality(instanceId, 'wetread')
end
"""


class Orthanc:
    """Starts on `with`; knows us as WETREAD on `wetread_port`."""

    def __init__(self, folder: Path, *, wetread_port: int, dicom_web: bool = False, routes: bool = True) -> None:
        assert PROGRAM.exists(), "Orthanc is needed: apt-get install orthanc"
        assert not dicom_web or DICOM_WEB.exists(), "its plugin is needed: apt-get install orthanc-dicomweb"
        folder.mkdir(parents=True)
        self.port, self._http = free_port(), free_port()
        self._log = folder / "orthanc.log"
        (folder / "route.lua").write_text(_ROUTE_EVERYTHING)
        self._config = folder / "orthanc.json"
        self._config.write_text(
            json.dumps(
                {
                    "Name": "test",
                    "StorageDirectory": str(folder / "storage"),
                    "IndexDirectory": str(folder / "storage"),
                    "HttpPort": self._http,
                    "DicomPort": self.port,
                    "DicomAet": TITLE,
                    "DicomCheckCalledAet": True,
                    "DicomAlwaysAllowStore": True,
                    "DicomModalities": {"wetread": ["WETREAD", "127.0.0.1", wetread_port]},
                    "LuaScripts": [str(folder / "route.lua")] if routes else [],
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "Plugins": [str(DICOM_WEB)] if dicom_web else [],
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([str(PROGRAM), "--verbose", str(self._config)], stdout=log, stderr=log)
        wait_until(self._answers, f"Orthanc to start; log in {self._log}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    @property
    def dicom_web_url(self) -> str:
        """Base URL of DICOMweb."""
        return f"http://127.0.0.1:{self._http}/dicom-web"

    def dataset(self, number: str) -> Dataset:
        """One of its instances, by Orthanc's own identifier."""
        address = f"http://127.0.0.1:{self._http}/instances/{number}/file"
        with urllib.request.urlopen(address, timeout=60) as answer:
            return dcmread(io.BytesIO(answer.read()))

    def ask(self, path: str) -> Any:
        """GET one of its resources, such as `/studies?expand`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        """POST JSON to one of its resources."""
        address = f"http://127.0.0.1:{self._http}{path}"
        request = urllib.request.Request(address, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def delete_everything(self) -> None:
        """As if it had lost its disk."""
        self._delete("patients")

    def delete_studies(self) -> None:
        """As a person does in its pages: nobody is told by a note."""
        self._delete("studies")

    def delete_instance(self, uid: str) -> None:
        """One object alone, as a person does in its pages."""
        (number,) = self.post("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": uid}})
        self._delete_one("instances", number)

    def _delete(self, level: str) -> None:
        for one in self.ask(f"/{level}"):
            self._delete_one(level, one)

    def _delete_one(self, level: str, number: str) -> None:
        address = f"http://127.0.0.1:{self._http}/{level}/{number}"
        urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=60).close()

    def instances(self, modality: str) -> list[dict[str, str]]:
        """The main tags of all instances of a modality, those of patient, study and series included."""
        found = []
        for series in self.ask("/series?expand"):
            if series["MainDicomTags"].get("Modality") == modality:
                found += [self.ask(f"/instances/{one}/simplified-tags") for one in series["Instances"]]
        return found

    def routed(self) -> int:
        """How many of its routing jobs ended well."""
        return sum(job["State"] == "Success" for job in self.ask("/jobs?expand"))

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Orthanc ended; log in {self._log}"
        try:
            return bool(self.ask("/system"))
        except OSError:
            time.sleep(0.1)
            return False
