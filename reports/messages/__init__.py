"""The report in words that are not DICOM: HL7 v2 ORU^R01, FHIR R4 DiagnosticReport, and outcomes as JSON and CSV.

Pure builders: a master document in, bytes out; the same master gives the same bytes.
"""
