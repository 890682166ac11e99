"""What to type into the software on the other side, with this node's own values."""

from __future__ import annotations

import json

from agent.papers.facts import Facts
from reports.handout import Block, Prose, Section, Table, Typed

MODALITIES = ("CR", "DX")
_SHADOW = (
    "Mode shadow sends nothing there. Once the site has decided what may leave: wetread ae edit TITLE --mode draft "
    "(unverified drafts at once) or --mode hold (only what was signed)."
)
_MERCURE_FILES = "the files there: its own key, its certificate, and who signed ours"
_MERCURE_NOTES = (
    "Tried with mercure 0.4.1 (commit 3b27722, without containers): these very fields. It takes letters, digits, _ "
    "and - in AE titles, nothing else.",
    "It sends a series on when series_complete_trigger (60 s) have passed without another image. Completed Study waits "
    "study_complete_trigger (900 s) more, for what is decided here anyway.",
    "It wants films sent to it uncompressed unless accept_compressed_images is set; then a target of type DICOM brings "
    "them as they came, and one of type DICOM+TLS fails with every compressed film.",
    "It gives up a film after retry_max (5) attempts, retry_delay (900 s) apart: when wetread was away for an hour. "
    "Set retry_max to 500 for five days. What it gave up: Queue, Failure, Restart job.",
    "Send no drafts to mercure: it answers success, and discards what no rule of its own wants (peers.md).",
)


def recipes(facts: Facts) -> tuple[Section, ...]:
    """A section for each product."""
    return (*_orthanc(facts), *_dcm4chee(facts), *_mercure(facts), *_generic(facts))


def orthanc_json(facts: Facts) -> str:
    """The part of orthanc.json that makes this node known and routes to it."""
    known: dict[str, object] = {
        "AET": facts.ae_titles[0],
        "Host": facts.host,
        "Port": facts.best_port,
        "AllowStorageCommitment": True,
    }
    config: dict[str, object] = {"DicomModalities": {"wetread": known}, "LuaScripts": ["/etc/orthanc/wetread.lua"]}
    if facts.port is None:
        known["UseDicomTls"] = True
        config |= {
            "DicomTlsCertificate": "/etc/orthanc/orthanc.pem",
            "DicomTlsPrivateKey": "/etc/orthanc/orthanc.key",
            "DicomTlsTrustedCertificates": "/etc/orthanc/hospital-ca.pem",
        }
    return json.dumps(config, indent=2)


def orthanc_lua(facts: Facts) -> str:
    """The script that sends each chest-capable film as it arrives, but nothing that came from us."""
    own = " and ".join(f"origin['RemoteAet'] ~= '{title}'" for title in facts.ae_titles)
    wanted = " or ".join(f"tags['Modality'] == '{modality}'" for modality in MODALITIES)
    return "\n".join(
        [
            "function OnStoredInstance(instanceId, tags, metadata, origin)",
            f"  if ({wanted})",
            f"      and origin['RequestOrigin'] ~= 'Lua' and {own} then",
            "    SendToModality(instanceId, 'wetread')",
            "  end",
            "end",
        ]
    )


def _here(title: str, port: int) -> Typed:
    return Typed(f"wetread ae add {title}@HOST:{port} --may-send --send-to --mode shadow\nwetread ae echo {title}")


def _orthanc(facts: Facts) -> tuple[Section, ...]:
    blocks: list[Block] = [
        Prose("In orthanc.json (merge it with what is there), then start Orthanc again:"),
        Typed(orthanc_json(facts)),
        Prose("The file /etc/orthanc/wetread.lua, which routes every film as it arrives:"),
        Typed(orthanc_lua(facts)),
        Prose("Here, with Orthanc's own AE title (DicomAet, often ORTHANC), host and DICOM port (often 4242):"),
        _here("ORTHANC", 4242),
        Prose(_SHADOW),
        *_orthanc_once(),
        Prose("Tried with Orthanc 1.10.1 by the tests of this version: these very lines."),
    ]
    return (Section("Orthanc", tuple(blocks), 3),)


def _orthanc_once() -> tuple[Block, ...]:
    return (
        Prose(
            "Orthanc tries each film once. One that comes while this node is down, or takes nothing for now (0xA700), "
            'stands in the log of Orthanc as "Unable to send instance", and Orthanc never sends it again. So let this '
            "node ask Orthanc each night for what never came, in wetread.toml (by default it asks nobody):"
        ),
        Typed('[node]\nreconcile_peers = ["ORTHANC"]'),
        Prose("wetread check tells what is missing; this brings it, also as soon as this node is back:"),
        Typed("wetread reconcile --date YYYY-MM-DD --peer ORTHANC --retrieve"),
    )


def _dcm4chee(facts: Facts) -> tuple[Section, ...]:
    title = facts.ae_titles[0]
    steps = (
        ("Configuration, AE list, New AET", "name of the device", "wetread"),
        ("", "AE title", title),
        ("", "host, port", f"{facts.host}, {facts.best_port}"),
        ("Configuration, Devices, More functions, Create exporter", "Exporter ID", "wetread"),
        ("", "URI", f"dicom:{title}"),
        ("", "queue", "Export1"),
        ("", "AE title", "that of the archive, such as DCM4CHEE"),
        ("Devices, dcm4chee-arc, Device Extension, Archive Device, Add a new Export Rule", "name", "films to wetread"),
        ("", "attribute entity", "Study"),
        ("", "exporter ID", "wetread"),
        ("", "conditions (dcmProperty)", f"Modality={'|'.join(MODALITIES)}"),
        ("", "delay (dcmDuration)", "PT10S"),
    )
    return (
        Section(
            "dcm4chee-arc",
            (
                Table(("where", "field", "type"), steps),
                Prose("Here, with the archive's AE title, host and DICOM port (often 11112):"),
                _here("DCM4CHEE", 11112),
                Prose(_SHADOW),
                Prose("After its documentation (DICOM Exporter, Export Rule, Conditions); not tried by us."),
            ),
            3,
        ),
    )


def _mercure(facts: Facts) -> tuple[Section, ...]:
    title = facts.ae_titles[0]
    secured = facts.port is None
    steps = [
        ("Settings, Targets, Add", "name", "wetread"),
        ("", "Type", "DICOM+TLS" if secured else "DICOM"),
        *([] if secured else [("", "Capability", "Store")]),
        ("", "Host/IP, Port", f"{facts.host}, {facts.best_port}"),
        ("", "AET Target", title),
        ("", "AET Source", "MERCURE, or another that is registered here; not Pass Incoming Value"),
        *([("", "TLS Key, TLS Certificate, CA Certificate", _MERCURE_FILES)] if secured else []),
        ("Settings, Rules, Add", "name", "films_to_wetread"),
        ("", "Selection Rule", " or ".join(f"(tags.Modality == '{one}')" for one in MODALITIES)),
        ("", "Action", "Routing"),
        ("", "Trigger", "Completed Series"),
        ("", "Target(s), on the tab Routing", "wetread"),
        ("Settings, Targets, wetread, Test", "shows", "Responded to C-Echo"),
    ]
    return (
        Section(
            "mercure",
            (
                Table(("where", "field", "type"), tuple(steps)),
                Prose("Here: mercure only sends; the drafts go to the PACS, which is registered by itself."),
                Typed("wetread ae add MERCURE --may-send"),
                *(Prose(words) for words in _MERCURE_NOTES),
            ),
            3,
        ),
    )


def _generic(facts: Facts) -> tuple[Section, ...]:
    fields = [
        ("AE title (called, remote, SCP)", facts.ae_titles[0] + ", in exactly this case"),
        ("host or IP address", " or ".join(facts.hosts)),
        ("port", _ports(facts)),
        (
            "its services",
            "C-ECHO, C-STORE; it sends C-STORE, C-FIND and C-ECHO to the PACS, C-MOVE or C-GET for missing films",
        ),
        ("transfer syntax", "as stored: nothing need be decompressed"),
        ("route when", f"a study with Modality {' or '.join(MODALITIES)} arrives; all images of the study at once"),
        ("do not route", "what comes from " + " or ".join(facts.ae_titles) + ": its own drafts"),
        ("if it does not answer", "keep and send again; 0xA700 means later, 0xA900 and 0xC000 mean never"),
    ]
    return (
        Section(
            "Any other PACS",
            (
                Table(("field", "type"), tuple(fields)),
                Prose("Here, with the PACS's own AE title, host and port:"),
                _here("PACS", 104),
                Prose(_SHADOW),
            ),
            3,
        ),
    )


def _ports(facts: Facts) -> str:
    plain = "" if facts.port is None else f"{facts.port}"
    secured = "" if facts.tls_port is None else f"{facts.tls_port} with TLS"
    return " or ".join(port for port in (plain, secured) if port)
