"""The DICOM conformance statement in the order of PS3.2 Annex N, made from what the code offers and asks for."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from agent.config import Config
from agent.papers import statuses
from agent.papers.facts import name_of, rights_in_words
from dicom_node import contexts, dimse, probe, reconcile, retrieval, tls
from dicom_node.access import VERIFICATION
from dicom_node.peer import PLAIN, USUAL_PDU
from dicom_node.services import Offer
from reports.handout import Handout, Prose, Section, Table

_UIDS: Final = ("name", "UID")

# What each further service does with a request, by its SOP class; a class without words fails the test of this paper.
SERVICES: Final = MappingProxyType(
    {
        "1.2.840.10008.1.20.1": (
            "As SCP: N-ACTION is booked and answered; the N-EVENT-REPORT promises objects whose row is committed and "
            "whose file was forced to the disk, on the same association or a new one. Films are deleted "
            "node.keep_days after their study ended: this node is no archive. As SCU it hears N-EVENT-REPORT here, "
            "where the peer proposes the SCP role for itself."
        ),
        "1.2.840.10008.3.1.2.3.3": (
            "N-CREATE and N-SET are taken; a step that becomes COMPLETED while no other step of its study goes on may "
            "say that the study is whole. One that becomes DISCONTINUED says nothing: the quiet time does. "
            "Nothing else of it is kept."
        ),
        "1.2.840.10008.5.1.4.33": (
            "N-CREATE is taken; a notification that an archive has the instances of a study may say that it is whole. "
            "Nothing else of it is kept."
        ),
    }
)


def statement(config: Config, offers: tuple[Offer, ...]) -> Handout:
    """`offers`: of the further services at the port."""
    return Handout(
        "DICOM conformance statement of wetread",
        (
            _overview(offers),
            _introduction(),
            _model(config),
            _acceptor(config),
            _accepted(config, offers),
            *_storage(config),
            *_further(offers),
            _requestor(config),
            _requested(),
            _sent(),
            _interfaces(config),
            _configuration(config),
            _media(),
            _charsets(),
            _security(config),
            _annexes(),
        ),
    )


def _overview(offers: tuple[Offer, ...]) -> Section:
    rows = [
        ("Verification", VERIFICATION, "yes", "yes"),
        ("Storage of images", "section 4.2.1.3", "no", "yes"),
        *((name_of(uid), uid, "yes", "no") for uid in dimse.STORED),
        (name_of(reconcile.FIND), reconcile.FIND, "yes", "no"),
        (name_of(reconcile.MOVE), reconcile.MOVE, "yes", "no"),
        (name_of(retrieval.GET), retrieval.GET, "yes", "no"),
        *((name_of(one.sop_class_uid), one.sop_class_uid, "yes" if one.scp_role else "no", "yes") for one in offers),
    ]
    return Section(
        "1 Overview",
        (
            Prose(
                "This node receives radiographs, drafts a chest report with a model, and sends the draft back as a "
                "Structured Report that no person has verified. It supports these services over the network, and no "
                "media."
            ),
            Table(("service", "SOP class", "user (SCU)", "provider (SCP)"), tuple(rows)),
        ),
    )


def _introduction() -> Section:
    return Section(
        "2 and 3 Introduction",
        (
            Prose(
                "For those who connect wetread to an imaging system. Conformance alone does not guarantee "
                "interoperability: try it with `wetread ae probe`. Terms are those of PS3.1 to PS3.20. Made from the "
                "code by `wetread sheet --conformance`; a version made from a site's own configuration has its values "
                "in the place of the defaults."
            ),
        ),
    )


def _model(config: Config) -> Section:
    node = config.node
    return Section(
        "4.1 Implementation model",
        (
            Prose(
                "Two application entities. LISTEN accepts associations and stores what it receives before it answers. "
                "SEND asks for associations to deliver documents and to have their delivery proven, and to find "
                "studies that never came. Both use the same AE title unless a peer knows us by another."
            ),
            Table(
                ("application entity", "AE title", "port"),
                (
                    ("LISTEN", ", ".join(node.own_ae_titles), f"{node.port}; with TLS {node.tls_port}"),
                    ("SEND", f"{node.ae_title}, or one for each peer", "-"),
                ),
            ),
        ),
    )


def _acceptor(config: Config) -> Section:
    node = config.node
    rows = (
        ("application context", "1.2.840.10008.3.1.1.1"),
        ("associations at once", f"{node.maximum_associations} (node.maximum_associations), and a limit for each peer"),
        ("longest PDU received", f"{node.maximum_pdu_size} bytes (node.maximum_pdu_size), or one for each peer"),
        ("asynchronous operations", "not supported; one request at a time on an association"),
        ("idle time-out", f"{node.idle_timeout_seconds:g} s (node.idle_timeout_seconds), or one for each peer"),
        (
            "DIMSE and ACSE time-out",
            f"{node.dimse_timeout_seconds:g} s (node.dimse_timeout_seconds), or one for each peer once it has said who "
            "it is",
        ),
        ("implementation class UID", f"{contexts.IMPLEMENTATION_PREFIX} and the version of pynetdicom"),
        ("implementation version name", "PYNETDICOM_ and the version of that library"),
        ("role selection", "answered for the services of section 4.2.1.5 whose classes say so"),
        ("extended negotiation", "none; user identity is not looked at"),
    )
    return Section(
        "4.2.1.1 LISTEN: association policies",
        (
            Table(("policy", "value"), rows),
            Prose("Who may call is decided before presentation contexts are negotiated:"),
            Table(("result", "source", "diagnostic", "code in the log", "when"), statuses.rejections(config)),
        ),
    )


def _accepted(config: Config, offers: tuple[Offer, ...]) -> Section:
    storage = contexts.storage_classes(only_radiographs=config.node.refuse_other_sop_classes)
    others = len(storage) - len(contexts.RADIOGRAPHS)
    rows = (
        ("Verification", "Implicit VR Little Endian, Explicit VR Little and Big Endian, Deflated", "SCP"),
        (f"the {len(contexts.RADIOGRAPHS)} classes of films, first in section 4.2.1.3", "marked so there", "SCP"),
        *(
            [(f"the other {others} storage classes of section 4.2.1.3", "all of section 4.2.1.3", "SCP")]
            if others
            else []
        ),
        *(
            (
                name_of(one.sop_class_uid),
                ", ".join(name_of(syntax) for syntax in one.transfer_syntaxes),
                "SCP, SCU" if one.scp_role else "SCP",
            )
            for one in offers
        ),
    )
    return Section(
        "4.2.1.2 LISTEN: accepted presentation contexts",
        (
            Table(("abstract syntax", "transfer syntaxes", "role"), rows),
            Prose(
                "For storage the first of section 4.2.1.3 that was proposed is taken, whatever the order of the "
                "proposal: compressed ones first. A context for films that proposes none of theirs is refused (4, "
                "transfer syntaxes not supported), and the log says so: what cannot be decoded gets no draft."
            ),
        ),
    )


def _of_films(syntax: str) -> str:
    if syntax not in contexts.READABLE:
        return "refused"
    return "yes, untried" if syntax in contexts.UNTRIED else "yes"


def _storage(config: Config) -> tuple[Section, ...]:
    node = config.node
    taken = contexts.READABLE if node.refuse_other_sop_classes else contexts.TRANSFER_SYNTAXES
    others = (
        "With node.refuse_other_sop_classes nothing else is accepted."
        if node.refuse_other_sop_classes
        else "Every other storage class, also private and future ones, is accepted as well in any transfer syntax that "
        "is proposed: it is stored, booked and not read (node.refuse_other_sop_classes)."
    )
    return (
        Section(
            "4.2.1.3 LISTEN: storage classes and transfer syntaxes",
            (
                Prose(others),
                Table(
                    _UIDS,
                    tuple(
                        (name_of(uid), uid)
                        for uid in contexts.storage_classes(only_radiographs=node.refuse_other_sop_classes)
                    ),
                ),
                Prose(
                    "Transfer syntaxes, in the order of preference. Films: the values are decoded; what is marked as "
                    "untried is coded by no test, since no encoder was at hand; the others come in tests from an "
                    "encoder by C-STORE to the picture that is shown."
                ),
                Table((*_UIDS, "films"), tuple((name_of(uid), uid, _of_films(uid)) for uid in taken)),
            ),
        ),
        Section(
            "4.2.1.4 LISTEN: conformance to the Storage SOP classes",
            (
                Prose(
                    "Level 2 (full): every element is kept as it came, also private ones, and the bytes of pixel data "
                    "are not changed. Success is answered after the file was forced to the disk and its row was "
                    "committed. Digital signatures are kept and not checked. Stored films are not offered to anybody, "
                    f"and deleted {node.keep_days:g} days (node.keep_days) after their study ended. An object of our "
                    "own making that comes back is answered with success and dropped."
                ),
                Table(("status", "meaning", "when"), statuses.of_storage()),
            ),
        ),
    )


def _further(offers: tuple[Offer, ...]) -> tuple[Section, ...]:
    rows = tuple(
        (name_of(one.sop_class_uid), rights_in_words(one.rights), SERVICES[one.sop_class_uid]) for one in offers
    )
    return (
        Section(
            "4.2.1.5 LISTEN: further services",
            (Table(("SOP class", "for peers that", "what is done"), rows),) if rows else (Prose("None."),),
        ),
    )


def _requestor(config: Config) -> Section:
    waits = ", ".join(f"{seconds:g}" for seconds in config.node.retry_seconds)
    rows = (
        ("associations at once", "two to one peer"),
        (
            "longest PDU received",
            f"{USUAL_PDU} bytes, for C-GET {config.node.maximum_pdu_size}, or one for each peer; what is sent "
            "follows the peer's limit",
        ),
        ("asynchronous operations", "not supported"),
        (
            "time-outs",
            f"{config.node.dimse_timeout_seconds:g} s for an answer, 10 s for a connection; a peer may have its own "
            "for an answer, for the association, and for silence; a retrieval may take 600 s unless it has",
        ),
        ("kept open", "3 s after the last object, at most 500 objects"),
        ("tried again", f"after {waits} s, then the last again, for {config.node.give_up_hours:g} h"),
    )
    return Section("4.2.2.1 SEND: association policies", (Table(("policy", "value"), rows),))


def _requested() -> Section:
    plain = ", ".join(name_of(str(syntax)) for syntax in PLAIN)
    asked = dict.fromkeys((*probe.ASKED, *dimse.STORED, reconcile.FIND, reconcile.MOVE, retrieval.GET))
    coded = ", ".join(name_of(str(syntax)) for syntax in contexts.AS_STORED)
    rows = (
        *((name_of(uid), uid, plain, "SCU") for uid in asked),
        *((name_of(uid), uid, f"with C-GET: {coded}", "SCP, by role selection") for uid in contexts.RADIOGRAPHS),
    )
    return Section(
        "4.2.2.2 SEND: proposed presentation contexts",
        (
            Table(("abstract syntax", "UID", "transfer syntaxes", "role"), rows),
            Prose(
                "Objects are sent in one of the two, transcoded without loss where only the other is taken. For "
                "storage commitment the report is also taken on the association that asked. With C-GET each transfer "
                "syntax of a class of films has a presentation context of its own, so that it is given as it is stored."
            ),
        ),
    )


def _sent() -> Section:
    return Section(
        "4.2.2.3 SEND: what is sent, and what answers mean",
        (
            Table(("the peer answers", "then"), statuses.OF_PEERS),
            Prose(
                "Delivered is what the peer has proven: by storage commitment, by C-FIND at IMAGE level for the SOP "
                "Instance UID (Study Root, with the unique keys of study and series), or by its C-STORE answer alone, "
                "as configured for each peer. C-FIND at STUDY level asks before and after each object whose study it "
                "is (Patient ID, issuer, date of birth, accession number), unless that is switched off; what differs "
                "is not sent, or is a dead letter. Nor is anything sent to a peer that has named the study before and "
                "answers five times, with waits between, that it has none. Before a draft a peer whose proof is C-FIND "
                "is asked by C-FIND at IMAGE level for the one or two films that it was written from. Before an HL7, "
                "FHIR or outcome message of a draft, who has named its study is asked for it by C-FIND or QIDO-RS. "
                "C-FIND at STUDY and SERIES level asks once a day for films that never came; on a person's command "
                "C-MOVE has them sent to our AE title, or, for a peer that is set so, C-GET has them given on the same "
                "association: each C-STORE is answered as at our port (section 4.2.1.4). C-GET also gets one of our "
                "own objects back for comparison. Where a C-STORE is answered 0xB000 the study is asked for at once."
            ),
        ),
    )


def _interfaces(config: Config) -> Section:
    node = config.node
    return Section(
        "4.3 Network interfaces",
        (
            Prose(
                f"TCP/IP. Connections are taken on {node.bind_address} (node.bind_address): 0.0.0.0 is every IPv4 "
                "address of the machine, :: every one of both IPv4 and IPv6. Host names are looked up by the operating "
                "system for each association; those with several addresses are called at each until one takes the "
                "connection, IPv4 before IPv6."
            ),
        ),
    )


def _configuration(config: Config) -> Section:
    return Section(
        "4.4 Configuration",
        (
            Prose(
                "Own AE titles, ports and limits stand in a commented file, wetread.toml. Peers (AE title, host, port, "
                "rights, addresses, limits, TLS, which objects they get, how delivery is proven) are changed by "
                "`wetread ae`, or by `wetread apply` from a file. AE titles have 1 to 16 characters and are "
                "case-sensitive."
            ),
            Table(
                ("parameter", "value"),
                (
                    ("AE title", config.node.ae_title),
                    ("further AE titles", ", ".join(config.node.further_ae_titles) or "none"),
                    ("port", str(config.node.port)),
                    ("called AE title checked", "yes" if config.node.require_called_ae_title else "no"),
                    ("C-ECHO from strangers", "answered" if config.node.strangers_may_verify else "refused"),
                ),
            ),
        ),
    )


def _media() -> Section:
    return Section("5 Media interchange", (Prose("None."),))


def _charsets() -> Section:
    return Section(
        "6 Character sets",
        (
            Prose(
                "The Specific Character Sets of PS3.3 C.12.1.1.2 are read, with code extensions; a film whose bytes "
                "do not fit what it declares is excluded rather than guessed. Documents are written in ISO_IR 192 "
                "(UTF-8), or in the character set of the film where reports.charset_mode is `source`."
            ),
        ),
    )


def _security(config: Config) -> Section:
    needs = (
        "a certificate of the caller is wanted" if config.node.tls_require_client_certificate else "callers need none"
    )
    return Section(
        "7 Security",
        (
            Prose(
                "BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12), as acceptor and as "
                f"requestor: TLS 1.2 and 1.3, on port {config.node.tls_port}; {needs}. Keys and certificates are PEM "
                "files. Cipher suites of TLS 1.2:"
            ),
            Table(("OpenSSL's name",), tuple((suite,) for suite in tls.CIPHERS)),
            Prose(
                "Without TLS an AE title, and the addresses that it may call from, are all that is checked. No other "
                "security profile is claimed; every change and delivery is in an audit trail of its own form."
            ),
        ),
    )


def _annexes() -> Section:
    return Section(
        "8 Annexes",
        (
            Prose(
                "Contents of the objects that are made, element by element: objects.md and the golden files beside the "
                "tests. Coded terms: codes.md. No private elements and no private SOP classes are written. Data "
                "dictionaries of DICOM are used unchanged."
            ),
        ),
    )
