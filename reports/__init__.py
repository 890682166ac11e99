"""From model text to a DICOM Structured Report: sections, codes, the SR document and the checks before it leaves.

Knows highdicom and the web framework; no torch, no Celery. May import `dicom_node`.
"""
