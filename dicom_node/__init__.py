"""A DICOM node with its own store and worklist: associations, files, tables and every change of DICOM-side state.

Knows pydicom, pynetdicom and SQLAlchemy; knows no model, report or Celery. Imports neither `reports` nor `agent`.
"""
