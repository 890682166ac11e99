"""Presentation contexts: which SOP classes in which transfer syntaxes, in our order of preference.

Compressed first: an acceptor chooses from what is proposed, and a sender that may keep its compression does not spend
seconds on undoing it (36 to 45 times slower with dcmtk's dcmsend and JPEG-LS, measured).
"""

from __future__ import annotations

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import PYNETDICOM_UID_PREFIX, AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext

_COMPRESSED: tuple[str, ...] = (
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLossless,
    RLELossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGLSNearLossless,
    JPEG2000,
    HTJ2K,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)
_CARRIED: tuple[str, ...] = (  # kept as they come, of what is no radiograph; nothing that is installed decodes them
    "1.2.840.10008.1.2.4.52",  # JPEG Extended, processes 3 and 5, retired
    "1.2.840.10008.1.2.4.92",  # JPEG 2000 part 2, multi-component
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.110",  # JPEG XL
    "1.2.840.10008.1.2.4.111",
    "1.2.840.10008.1.2.4.112",
    "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
)
_PLAIN: tuple[str, ...] = (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
IMPLEMENTATION_PREFIX = str(PYNETDICOM_UID_PREFIX)  # of the Implementation Class UID (PS3.7 D.3.3.2)
READABLE: tuple[str, ...] = (*_COMPRESSED, *_PLAIN)
"""What a radiograph may be coded in: what `agent.imaging.stored` decodes. A context with films in nothing else is
refused: only there can the sender still code them anew, or see that nobody took them."""
UNTRIED: tuple[str, ...] = (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
"""Of these, what no test codes, since no encoder is at hand; the others come the whole way in
tests/integration/test_every_coding.py."""
AS_STORED: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, *_COMPRESSED, ExplicitVRBigEndian)
"""What a radiograph that lies in an archive may be coded in; each gets a presentation context of its own, so that
whoever gives it need not code it anew. The plain ones first: some archives look no further."""
_REAL_TIME = "1.2.840.10008.1.2.7."  # SMPTE ST 2110 streams: never on an association (PS3.22)

TRANSFER_SYNTAXES: tuple[str, ...] = (
    *_COMPRESSED,
    *_CARRIED,
    *(  # videos and the like are excluded, not refused
        syntax
        for syntax in AllTransferSyntaxes
        if syntax not in _COMPRESSED + _CARRIED + _PLAIN and not syntax.startswith(_REAL_TIME)
    ),
    *_PLAIN,
)

# What a chest radiograph comes as; with node.refuse_other_sop_classes nothing else is accepted.
RADIOGRAPHS: tuple[str, ...] = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image Storage - For Processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
)


def storage_classes(*, only_radiographs: bool) -> tuple[str, ...]:
    """SOP Class UIDs that the listener names in its conformance; all current storage classes unless told otherwise."""
    if only_radiographs:
        return RADIOGRAPHS
    others = (str(context.abstract_syntax) for context in AllStoragePresentationContexts)
    return RADIOGRAPHS + tuple(uid for uid in others if uid not in RADIOGRAPHS)


def syntaxes_of(sop_class_uid: str) -> tuple[str, ...]:
    """The transfer syntaxes in which objects of a storage class are taken, in our order."""
    return READABLE if sop_class_uid in RADIOGRAPHS else TRANSFER_SYNTAXES


def by_preference(proposed: PresentationContext) -> None:
    """Put the proposed transfer syntaxes of one context into our order; leave a context without a known one alone."""
    known = [syntax for syntax in syntaxes_of(str(proposed.abstract_syntax)) if syntax in proposed.transfer_syntax]
    if known:
        proposed.transfer_syntax = known  # type: ignore[assignment]


def is_unreadable(proposed: PresentationContext) -> bool:
    """Whether films that come in this context could not be decoded, whichever of its transfer syntaxes is taken."""
    return str(proposed.abstract_syntax) in RADIOGRAPHS and not any(one in READABLE for one in proposed.transfer_syntax)
