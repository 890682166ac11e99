"""The fifty-eight ways in which a report can go wrong, each with the tests that prove what happens then.

A case names its tests as `module::test`, below `tests/` and without `test_` in front of either. `open` is what no test
proves, and why; deploy/docs/objects.md lists exactly these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One way to go wrong. broken: names of broken documents that our own checks refuse, with commas."""

    number: int
    name: str
    tests: tuple[str, ...]
    broken: str = ""
    open: str = ""


CASES = (
    # A. Source and patient
    Case(
        1,
        "no Patient ID",
        (
            "unit/reports/source::header_that_cannot_bind_a_report_is_refused",
            "unit/dicom_node/arrivals::study_without_patient_id_is_held",
        ),
    ),
    Case(
        2,
        "issuer of the Patient ID",
        ("unit/reports/source::issuers_and_time_zone_are_copied",),
        broken="other issuer, no issuer",
    ),
    Case(
        3,
        "no name, birth date or sex",
        (
            "unit/reports/source::absent_type_2_attribute_is_written_empty",
            "integration/sr_validators::no_validator_finds_an_error",
        ),
    ),
    Case(
        4,
        "sex that DICOM lacks",
        (
            "unit/reports/source::sex_is_one_that_dicom_has",
            "unit/reports/source::unknown_sex_may_be_configured_as_other",
            "unit/reports/departures::sex_that_dicom_lacks_is_left_out_logged_by_code_and_said",
            "unit/reports/departures::sex_that_is_written_as_other_is_said_too",
        ),
    ),
    Case(
        5,
        "birth date that is none",
        (
            "unit/reports/source::bad_birth_date_is_left_empty",
            "unit/reports/failure_list::what_is_left_empty_is_logged",
        ),
    ),
    Case(
        6,
        "accession number absent or too long",
        (
            "unit/reports/sr::absent_identifiers_stay_empty_and_today_is_never_invented",
            "unit/reports/source::header_that_cannot_bind_a_report_is_refused",
        ),
    ),
    Case(
        7,
        "Study ID absent",
        (
            "unit/reports/sr::absent_identifiers_stay_empty_and_today_is_never_invented",
            "unit/reports/departures::absent_study_id_may_be_configured_to_be_the_accession_number",
            "unit/reports/departures::study_id_that_is_not_the_images_is_refused_where_nobody_configured_it",
        ),
    ),
    Case(
        8,
        "no Study Date, no Study Instance UID",
        (
            "unit/reports/sr::absent_identifiers_stay_empty_and_today_is_never_invented",
            "unit/reports/source::header_that_cannot_bind_a_report_is_refused",
        ),
    ),
    Case(
        9,
        "patient changed between reading and sending",
        (
            "unit/agent/incoming::a_changed_patient_holds_the_study_and_takes_the_draft_back",
            "unit/dicom_node/arrivals::corrected_patient_under_the_same_uid_holds_the_study",
            "unit/agent/leaving::what_is_of_another_study_stays",
            "integration/life_of_a_draft::a_merged_patient_holds_the_study",
            "integration/identity::nothing_is_sent_to_a_study_of_another_patient_or_order",
            "integration/identity::study_that_the_peer_does_not_know_or_say_is_no_objection",
            "integration/identity::a_person_is_told_by_a_dead_letter_with_the_reason",
        ),
    ),
    Case(
        10,
        "other kinds of images, several views, several studies",
        (
            "unit/agent/gate::kinds_of_objects",
            "unit/agent/gate::laterals_are_excluded",
            "unit/reports/sr::evidence_holds_every_film_that_was_read_and_no_other",
            "unit/reports/source::images_of_two_patients_make_no_report",
            "unit/reports/departures::image_of_another_procedure_is_pertinent_evidence_and_one_of_the_same_is_none",
            "unit/reports/departures::all_reports_of_a_study_have_the_same_other_evidence",
            "unit/reports/departures::image_in_both_kinds_of_evidence_is_refused",
        ),
    ),
    Case(
        11,
        "CR without pixel spacing and orientation",
        ("unit/reports/measurement::image_library_lists_the_images_without_asking_for_their_attributes",),
    ),
    Case(
        12,
        "two requested procedures",
        (
            "unit/reports/sr::of_two_requested_procedures_the_first_is_named",
            "unit/reports/departures::requested_procedure_of_the_accession_number_is_named",
            "unit/reports/departures::second_requested_procedure_is_logged_and_named_where_the_draft_says_how_it_was_made",
        ),
        broken="two requests",
    ),
    # B. Character sets
    Case(
        13,
        "Korean by ISO 2022",
        (
            "unit/reports/source::name_arrives_in_unicode_whatever_the_character_set",
            "unit/reports/golden::name_in_a_golden_file_is_that_of_the_film",
            "integration/round_trip::orthanc_shows_each_name_in_its_script",
            "integration/round_trip::dcmqrscp_gives_every_object_back_by_c_get",
        ),
    ),
    Case(
        14,
        "Arabic, Chinese, Japanese, Cyrillic",
        (
            "unit/reports/source::name_arrives_in_unicode_whatever_the_character_set",
            "integration/sr_validators::no_validator_finds_an_error",
            "integration/round_trip::orthanc_shows_each_name_in_its_script",
        ),
    ),
    Case(
        15,
        "a site that needs legacy character sets",
        (
            "unit/reports/sr::lost_character_is_an_error_and_no_question_mark",
            "unit/reports/characters::character_set_of_the_film_is_kept_and_the_name_with_it",
            "unit/reports/characters::text_that_the_character_set_lacks_goes_out_in_utf_8_and_nothing_is_replaced",
            "unit/reports/characters::every_object_of_a_draft_has_its_character_set",
        ),
    ),
    Case(
        16,
        "bytes without a character set",
        (
            "unit/reports/source::undeclared_korean_bytes_are_refused_and_readable_with_the_site_setting",
            "unit/reports/source::undeclared_bytes_that_pydicom_has_read_as_latin_1_are_found_too",
            "unit/reports/source::bytes_outside_the_declared_character_set_are_refused",
        ),
    ),
    Case(
        17,
        "hostile characters in the text",
        (
            "unit/reports/text::characters_are_kept_composed_and_free_of_controls",
            "unit/reports/text::text_survives_the_document",
            "unit/reports/messages/oru::delimiters_line_ends_and_controls_in_text_break_nothing",
        ),
    ),
    Case(
        18,
        "unusual forms of names",
        (
            "unit/reports/source::unusual_names_are_kept_as_they_are",
            "unit/reports/failure_list::name_that_ends_in_an_empty_group_is_taken_for_the_same_without_it",
        ),
    ),
    # C. Document rules
    Case(19, "a flag is missing", (), broken="no CompletionFlag, no VerificationFlag, no verification flag"),
    Case(
        20,
        "verified by nobody, or partial, or preliminary",
        ("unit/reports/signed::spoiled_report_is_refused_by_name",),
        broken="verified by nobody, verified and partial, verified and preliminary",
    ),
    Case(21, "draft with a verifying observer", (), broken="unverified with observer, verifying observer"),
    Case(
        22,
        "the agent as verifying observer",
        (
            "unit/reports/signed::spoiled_report_is_refused_by_name",
            "unit/reports/failure_list::reader_cannot_be_made_a_verifying_observer",
        ),
    ),
    Case(23, "image that is not in the evidence", (), broken="image not in the evidence, unlisted image"),
    Case(24, "number in Basic Text", (), broken="number in Basic Text, number"),
    Case(
        25,
        "code that is too long",
        ("unit/reports/codes::code_can_be_written",),
        broken="long code meaning, long code value",
    ),
    Case(
        26,
        "no text, endless text",
        (
            "unit/reports/text::nothing_to_read_is_refused",
            "unit/reports/text::limit_counts_bytes_and_not_characters",
            "unit/agent/guards::loops_are_found",
            "unit/agent/reading::text_that_stays_unusable_excludes_the_study",
        ),
    ),
    Case(
        27,
        "negation in viewers that drop children",
        (
            "unit/reports/measurement::viewer_that_drops_children_says_the_same",
            "unit/reports/measurement::nothing_stands_below_what_is_absent_or_undetermined",
            "integration/sr_validators::absent_findings_read_right_in_the_page_of_dcmtk",
        ),
    ),
    Case(
        28,
        "notice",
        (
            "unit/reports/sr::notice_is_the_first_section_and_the_readers_own_stands_above_it",
            "unit/reports/signed::signed_report_holds_the_edited_words_and_no_notice",
            "unit/reports/failure_list::no_final_object_holds_the_notice",
        ),
        broken="notice not first, no notice, description",
    ),
    Case(
        29,
        "language and templates",
        ("unit/reports/failure_list::every_report_names_its_template_and_language",),
        broken="no language, no template",
    ),
    Case(
        30,
        "private elements",
        (
            "unit/reports/sr::no_private_element_no_machine_and_no_other_maker",
            "unit/reports/source::private_elements_pixels_and_names_of_machines_stay_behind",
        ),
        broken="private element without creator, private",
    ),
    Case(
        31,
        "paths and hosts among the parameters of the algorithm",
        (
            "unit/reports/sr::no_private_element_no_machine_and_no_other_maker",
            "unit/reports/failure_list::no_parameters_of_the_algorithm_are_written",
        ),
    ),
    # D. UIDs and time
    Case(
        32,
        "the same input twice",
        (
            "unit/reports/sr::two_processes_write_the_same_bytes",
            "unit/reports/golden::structured_reports_are_the_golden_ones",
            "unit/reports/outbox::the_same_report_gives_the_same_bytes",
        ),
    ),
    Case(33, "other text or model", ("unit/reports/sr::other_content_has_another_uid_in_the_same_series",)),
    Case(
        34,
        "form of UIDs",
        (
            "unit/reports/sr::uids_are_derived_and_the_file_names_the_same",
            "unit/dicom_node/uids::derived_uid_is_valid_and_repeatable",
            "unit/reports/roots::every_uid_stands_below_the_configured_root_and_every_object_passes_its_check",
            "unit/reports/roots::root_that_cannot_carry_uids_is_refused_at_start_up",
            "unit/reports/roots::documents_of_before_the_setting_changed_are_still_ours",
        ),
    ),
    Case(
        35,
        "series",
        (
            "unit/reports/failure_list::a_series_has_one_class_one_side_and_one_description",
            "integration/round_trip::each_kind_has_series_of_its_own_and_drafts_never_share_one_with_finals",
        ),
    ),
    Case(
        36,
        "file meta of another object",
        ("unit/reports/sr::uids_are_derived_and_the_file_names_the_same",),
        broken="file meta of another object",
    ),
    Case(
        37,
        "time zones",
        (
            "unit/reports/source::time_zone_of_another_form_is_not_copied",
            "unit/reports/sr::content_moment_is_in_the_sources_time_zone",
            "unit/reports/sr::content_moment_is_in_the_configured_time_zone_where_the_source_has_none",
            "unit/reports/signed::moment_of_signing_has_an_offset_whatever_the_zone",
            "unit/reports/failure_list::hour_that_is_left_out_in_spring_is_told_by_the_offset",
        ),
        broken="bad offset of a signature, bad time zone",
    ),
    Case(38, "clock skew", ("unit/reports/signed::signature_that_cannot_stand_is_refused",)),
    # E. Network
    Case(
        39,
        "Implicit Little Endian only",
        (
            "integration/sender::peer_that_takes_implicit_only_gets_the_same_data_set",
            "integration/real_peers::storescp_that_takes_implicit_only_gets_the_same_content",
        ),
    ),
    Case(
        40,
        "a class is refused",
        (
            "integration/forms::refused_class_costs_that_form_alone",
            "unit/dicom_node/destinations::refused_form_is_replaced_by_the_other_in_one_commit",
            "unit/agent/leaving::coded_findings_are_offered_as_comprehensive_sr",
        ),
    ),
    Case(41, "compressed reports", ("unit/reports/failure_list::nothing_but_little_endian_is_proposed",)),
    Case(
        42,
        "wrong AE title, empty status",
        (
            "integration/sender::rejected_association_is_told_in_words_and_tried_again",
            "unit/dicom_node/deliveries::destination_that_cannot_be_reached_is_tried_by_one_object_and_not_by_all",
            "integration/sender::trouble_that_passes_is_tried_again",
        ),
    ),
    Case(
        43,
        "status of C-STORE",
        (
            "integration/sender::success_duplicate_and_warnings_are_sent",
            "integration/sender::trouble_that_passes_is_tried_again",
            "integration/sender::what_sending_again_cannot_mend_is_a_dead_letter",
            "integration/identity::object_that_was_put_under_another_patient_is_not_proven",
            "integration/identity::peer_that_says_coerced_is_asked_at_once_even_where_asking_is_off",
            "integration/identity::a_person_is_told_by_a_dead_letter_with_the_reason",
        ),
    ),
    Case(
        44,
        "no answer",
        (
            "integration/sender::success_duplicate_and_warnings_are_sent",
            "unit/dicom_node/deliveries::what_may_be_there_when_it_is_called_off_is_asked_for",
            "integration/sender::delivered_is_what_a_query_finds",
            "integration/sender::what_a_query_never_finds_is_sent_again",
            "integration/hostile_receiver::delivery_succeeds_once_the_manners_are_better",
            "integration/commitment::report_on_the_same_association_is_the_proof",
            "integration/commitment::report_on_a_new_association_to_our_port_is_the_proof",
            "integration/commitment::without_a_report_in_time_a_query_is_the_proof",
            "integration/commitment::each_reason_of_a_failure_has_its_consequence",
            "integration/commitment::transaction_outlives_a_sender_that_is_killed",
        ),
    ),
    Case(
        45,
        "the same UID with other content",
        (
            "unit/reports/check::payload_with_one_changed_letter_is_refused",
            "unit/reports/sr::other_content_has_another_uid_in_the_same_series",
            "integration/comparing::other_content_under_the_same_uid_is_told_without_its_values",
            "integration/comparing::newest_delivered_object_is_compared_with_what_was_sent",
            "integration/comparing::nothing_is_sent_without_the_flag",
            "integration/comparing::dcmqrscp_gives_the_probe_back",
            "integration/comparing::orthanc_gives_the_probe_back_by_c_get_and_by_wado",
        ),
    ),
    Case(
        46,
        "PACS away for a day",
        (
            "unit/dicom_node/deliveries::order_is_kept_per_study_and_destination",
            "unit/dicom_node/deliveries::retry_waits_as_told",
            "unit/agent/life::a_draft_expires_when_nobody_signs_it",
            "unit/agent/life::a_draft_that_did_not_get_out_is_called_off",
        ),
    ),
    Case(
        47,
        "draft after the final report",
        (
            "unit/agent/incoming::no_draft_leaves_after_a_final_report",
            "unit/agent/incoming::a_final_report_that_came_before_its_images_counts",
            "integration/life_of_a_draft::a_final_report_by_hl7_takes_the_draft_back",
        ),
    ),
    Case(
        48,
        "late images",
        (
            "unit/agent/life::a_late_image_gives_a_draft_with_a_predecessor_and_a_note_on_the_older_one",
            "integration/life_of_a_draft::a_late_image_replaces_the_draft",
        ),
    ),
    Case(
        49,
        "every object through every archive",
        (
            "integration/round_trip::storescp_keeps_every_object_as_it_was_sent",
            "integration/round_trip::dcmqrscp_gives_every_object_back_by_c_get",
            "integration/round_trip::orthanc_gives_every_object_back_in_its_patients_study",
            "integration/round_trip::orthanc_gives_every_object_back_by_dicomweb",
        ),
    ),
    # F. Sign-off
    Case(
        50,
        "two people sign at once",
        (
            "unit/agent/signing::of_two_who_sign_at_once_one_wins_and_the_other_is_told_by_whom",
            "unit/agent/signing::what_somebody_else_has_open_is_not_signed",
            "unit/agent/working_copy::one_has_it_open_and_the_other_is_told_by_whom_since_when",
        ),
    ),
    Case(
        51,
        "the same person cosigns",
        (
            "unit/agent/signing::the_same_person_cannot_sign_second",
            "unit/agent/signing::a_trainees_signature_waits_and_the_second_one_verifies",
            "unit/reports/signed::signature_that_cannot_stand_is_refused",
        ),
    ),
    Case(
        52,
        "signing after the patient changed",
        (
            "unit/agent/signing::nothing_is_signed_after_the_patient_changed",
            "unit/agent/signing::nothing_is_signed_while_the_study_is_held",
            "unit/agent/signing::nothing_is_signed_once_an_image_came_again_with_another_name",
            "unit/agent/signing::the_pacs_must_have_said_lately_whose_study_it_is",
            "unit/agent/incoming::a_changed_patient_holds_the_study_and_takes_the_draft_back",
            "unit/reports/failure_list::what_has_ended_cannot_be_signed",
        ),
    ),
    Case(
        53,
        "rejection",
        (
            "unit/agent/taking_back_signed::a_rejected_draft_is_taken_back_and_cannot_be_signed",
            "integration/sign_off::no_validator_finds_an_error_in_what_sign_off_sends",
            "integration/sr_validators::no_validator_finds_an_error_in_any_object_of_any_film",
            "unit/reports/key_object::rejection_and_withdrawal_have_their_titles_and_series",
            "unit/reports/failure_list::what_has_ended_cannot_be_signed",
            "unit/agent/incoming::a_draft_that_was_rejected_in_the_pacs_is_rejected_here",
        ),
    ),
    Case(
        54,
        "addenda",
        (
            "unit/agent/taking_back_signed::a_draft_has_no_addendum",
            "unit/agent/taking_back_signed::addenda_are_a_chain_at_each_destination",
            "unit/agent/signed_report_command::a_chain_of_three_is_readable",
            "unit/reports/signed::signature_that_cannot_stand_is_refused",
            "unit/reports/signed::addenda_keep_what_was_signed_and_form_a_chain",
        ),
    ),
    Case(
        55,
        "crash between sending and booking",
        ("kill/kill::every_acknowledged_study_ends_with_exactly_one_draft", "kill/kill::kills_hit_every_state"),
    ),
    Case(
        56,
        "audit trail changed",
        (
            "unit/dicom_node/audit::changed_row_is_found",
            "unit/dicom_node/audit::removed_row_is_found",
            "unit/dicom_node/audit::exchanged_rows_are_found",
        ),
    ),
    Case(
        57,
        "HL7 status",
        (
            "unit/reports/messages/oru::draft_says_unverified_everywhere_and_never_preliminary",
            "unit/reports/messages/oru::signed_is_final_and_names_who_interpreted_it",
            "unit/reports/messages/oru::what_replaces_a_final_at_its_destination_is_a_correction",
            "integration/messages::draft_stays_unverified_in_an_archive_and_a_signed_report_is_verified",
        ),
    ),
    Case(
        58,
        "validators that are absent, broken or find something",
        (
            "integration/sr_validators::no_validator_finds_an_error",
            "integration/sr_validators::no_validator_finds_an_error_in_any_object_of_any_film",
            "integration/sr_validators::dciodvfy_reports_a_verified_draft_that_nobody_verified",
            "integration/sr_validators::dsrdump_reports_a_number_in_a_basic_text_report",
            "integration/sr_validators::pixelmed_reports_a_code_that_is_not_in_its_list_and_a_missing_relationship",
            "integration/sr_validators::validators_are_those_whose_ways_are_known",
        ),
    ),
)
