"""The sheet for the administrator of the PACS: what this node is called, what it takes, and what to type there."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType

from agent.papers.facts import Facts, name_of, rights_in_words
from agent.papers.recipes import recipes
from dicom_node import contexts
from dicom_node.destinations import in_words
from dicom_node.hosts import with_port
from dicom_node.tables import Mode, Way
from reports.handout import Block, Handout, Prose, Section, Table, Typed

_COMES = MappingProxyType(
    {
        Mode.DRAFT: "In mode draft they come as drafts that no person has verified, with Verification Flag UNVERIFIED, "
        "in a series of their own.",
        Mode.HOLD: "In mode hold only what a radiologist has signed here comes.",
        Mode.SHADOW: "In mode shadow none of them comes: drafts stay on this node until the site chooses another mode.",
    }
)


def sheet(facts: Facts, now: datetime, *, version: str) -> Handout:
    """Everything, from what is typed first to the long lists."""
    return Handout(
        f"wetread {version} beside your PACS: {facts.ae_titles[0]}",
        (
            _node(facts, now),
            _peers(facts),
            _documents(facts),
            Section(
                "What to type",
                (Prose("Type the values into the software of the other side, the commands on this node."),),
            ),
            *recipes(facts),
            _trial(facts),
            _services(facts),
            _classes(facts),
            _syntaxes(facts),
        ),
    )


def _node(facts: Facts, now: datetime) -> Section:
    rows = [
        ("AE title", facts.ae_titles[0]),
        *([("further AE titles", ", ".join(facts.ae_titles[1:]))] if facts.ae_titles[1:] else []),
        ("address", " or ".join(facts.hosts)),
        ("DICOM port", "closed" if facts.port is None else str(facts.port)),
        ("DICOM port with TLS", "closed" if facts.tls_port is None else str(facts.tls_port)),
    ]
    if facts.certificate is not None:
        rows += [
            ("certificate", facts.certificate.subject),
            ("certificate for", ", ".join(facts.certificate.names) or "no name"),
            ("valid until", f"{facts.certificate.not_after:%Y-%m-%d} ({facts.certificate.standing(now)})"),
            ("SHA-256 fingerprint", facts.certificate.fingerprint),
            ("callers' certificate", "wanted" if facts.needs_client_certificate else "not wanted"),
        ]
    rows += [
        ("C-ECHO", "from anybody" if facts.strangers_may_verify else "from registered AE titles"),
        ("C-STORE", f"from {', '.join(facts.senders) or 'nobody yet'}"),
        ("associations at once", str(facts.maximum_associations)),
        ("longest PDU", f"{facts.maximum_pdu_size} bytes"),
        ("printed", f"{now:%Y-%m-%d %H:%M} UTC"),
    ]
    return Section("This node", (Table(("what", "value"), tuple(rows)),))


def _peers(facts: Facts) -> Section:
    if not facts.peers:
        words = "None is registered yet. Tell us the AE title, host and port of the PACS; AE titles are case-sensitive."
        return Section("AE titles that it knows", (Prose(words),))
    rows = tuple(
        (
            peer.ae_title,
            with_port(peer.host, peer.port) if peer.host else "-",
            "yes" if peer.may_send else "no",
            "yes" if peer.send_to else "no",
            peer.own_ae_title or facts.ae_titles[0],
            "yes" if peer.tls else "no",
            f"C-{peer.retrieve.name}" if peer.host else "-",
        )
        for peer in facts.peers
    )
    header = (
        "AE title",
        "address",
        "sends to us",
        "gets documents",
        "knows us as",
        "called by TLS",
        "missing films by",
    )
    return Section("AE titles that it knows", (Table(header, rows),))


def _documents(facts: Facts) -> Section:
    rows = tuple(
        (to.name, in_words(to.objects).replace(",", ", "), to.mode.value, to.proof.value)
        for to in facts.targets
        if to.way is Way.DIMSE
    )
    modes = {to.mode for to in facts.targets if to.way is Way.DIMSE}
    blocks: list[Block] = [
        Prose("The PACS must let this node store these objects, and answer its C-FIND where the proof is query."),
        *(Prose(words) for mode, words in _COMES.items() if mode in modes or (not modes and mode is Mode.DRAFT)),
    ]
    blocks.append(Table(("to", "objects", "mode", "proof"), rows) if rows else Prose("No destination is registered."))
    return Section("What it sends", tuple(blocks))


def _trial(facts: Facts) -> Section:
    title = facts.ae_titles[0]
    lines = [f"echoscu -aet YOUR_AE_TITLE -aec {title} {facts.host} {facts.best_port}"]
    if facts.port is None:
        lines = [line.replace("echoscu ", "echoscu +tls KEY.pem CERTIFICATE.pem +cf CA.pem ") for line in lines]
    return Section(
        "Try the line",
        (
            Prose("From the machine of the PACS, with dcmtk; then from this node:"),
            Typed("\n".join([*lines, "wetread ae echo PACS", "wetread ae probe PACS", "wetread ae refused"])),
            Prose("`wetread ae refused` shows who was turned away, with the likely cause."),
        ),
    )


def _services(facts: Facts) -> Section:
    rows = [
        ("Verification", "1.2.840.10008.1.1", "anybody" if facts.strangers_may_verify else "registered"),
        ("Storage", f"{len(facts.sop_classes)} classes, below", "may send to us"),
        *((name_of(one.sop_class_uid), one.sop_class_uid, rights_in_words(one.rights)) for one in facts.offers),
    ]
    return Section("Services at its port", (Table(("service", "SOP class", "for AE titles that"), tuple(rows)),))


def _classes(facts: Facts) -> Section:
    rows = tuple((name_of(uid), uid) for uid in facts.sop_classes)
    words = (
        "These and every other storage class, also private ones: what is no chest film is taken, booked and not read."
        if facts.takes_other_classes
        else "Only these (node.refuse_other_sop_classes)."
    )
    return Section("Storage SOP classes that it takes", (Prose(words), Table(("name", "UID"), rows)))


def _syntaxes(facts: Facts) -> Section:
    rows = tuple(
        (name_of(uid), uid, "yes" if uid in contexts.READABLE else "refused") for uid in facts.transfer_syntaxes
    )
    words = (
        "In this order of preference, whatever order they are proposed in: compressed ones first. Films are refused in "
        "those that cannot be decoded here."
    )
    return Section("Transfer syntaxes that it takes", (Prose(words), Table(("name", "UID", "films"), rows)))
