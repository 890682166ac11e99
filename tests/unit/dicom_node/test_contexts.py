"""Which SOP classes and transfer syntaxes are taken, and in which order."""

from __future__ import annotations

from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import AllStoragePresentationContexts, build_context

from dicom_node import contexts

JPEG_XL, MR = "1.2.840.10008.1.2.4.110", "1.2.840.10008.5.1.4.1.1.4"


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


def test_films_are_taken_in_what_can_be_decoded_and_all_else_in_everything() -> None:
    for film in contexts.RADIOGRAPHS:
        assert contexts.syntaxes_of(film) == contexts.READABLE
    assert contexts.syntaxes_of(MR) == contexts.TRANSFER_SYNTAXES
    assert set(contexts.READABLE) < set(contexts.TRANSFER_SYNTAXES)
    assert set(contexts.AS_STORED) < set(contexts.READABLE), "what is asked for by C-GET can be decoded as well"


def test_a_film_is_taken_in_a_syntax_that_can_be_decoded_where_there_is_one() -> None:
    proposed = build_context(contexts.RADIOGRAPHS[0], [JPEG_XL, ImplicitVRLittleEndian])
    assert not contexts.is_unreadable(proposed)
    contexts.by_preference(proposed)
    assert proposed.transfer_syntax == [ImplicitVRLittleEndian]
    assert contexts.is_unreadable(build_context(contexts.RADIOGRAPHS[0], [JPEG_XL, "1.2.3.4"]))
    assert not contexts.is_unreadable(build_context(MR, [JPEG_XL]))


def test_proposal_is_put_into_our_order() -> None:
    proposed = build_context("1.2.3", [ImplicitVRLittleEndian, "1.2.3.4", JPEGLSLossless])
    contexts.by_preference(proposed)
    assert proposed.transfer_syntax == [JPEGLSLossless, ImplicitVRLittleEndian]


def test_proposal_of_unknown_syntaxes_is_left_alone() -> None:
    proposed = build_context("1.2.3", ["1.2.3.4"])
    contexts.by_preference(proposed)
    assert proposed.transfer_syntax == ["1.2.3.4"]
