"""Which SOP classes and transfer syntaxes are taken, and in which order."""

from __future__ import annotations

from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import AllStoragePresentationContexts, build_context

from dicom_node import contexts


def test_every_storage_class_is_taken_once_with_radiographs_first() -> None:
    everything = contexts.storage_classes(only_radiographs=False)
    assert everything[:4] == contexts.RADIOGRAPHS
    assert len(set(everything)) == len(everything)
    assert {str(context.abstract_syntax) for context in AllStoragePresentationContexts} <= set(everything)
    assert contexts.storage_classes(only_radiographs=True) == contexts.RADIOGRAPHS


def test_compressed_comes_before_plain_and_big_endian_last() -> None:
    plain = contexts.TRANSFER_SYNTAXES.index(ExplicitVRLittleEndian)
    assert contexts.TRANSFER_SYNTAXES.index(JPEGLSLossless) == 0
    assert plain == len(contexts.TRANSFER_SYNTAXES) - 3
    assert contexts.TRANSFER_SYNTAXES[-1].endswith("1.2.2")


def test_every_transfer_syntax_that_pydicom_knows_is_taken_once() -> None:
    streams = {syntax for syntax in AllTransferSyntaxes if "SMPTE" in syntax.name}
    assert set(AllTransferSyntaxes) - set(contexts.TRANSFER_SYNTAXES) == streams
    assert len(set(contexts.TRANSFER_SYNTAXES)) == len(contexts.TRANSFER_SYNTAXES)


def test_proposal_is_put_into_our_order() -> None:
    proposed = build_context("1.2.3", [ImplicitVRLittleEndian, "1.2.3.4", JPEGLSLossless])
    contexts.by_preference(proposed)
    assert proposed.transfer_syntax == [JPEGLSLossless, ImplicitVRLittleEndian]


def test_proposal_of_unknown_syntaxes_is_left_alone() -> None:
    proposed = build_context("1.2.3", ["1.2.3.4"])
    contexts.by_preference(proposed)
    assert proposed.transfer_syntax == ["1.2.3.4"]
