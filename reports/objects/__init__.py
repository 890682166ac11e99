"""DICOM objects that carry a report: the narrative (Basic Text SR) is the master, all others are made from it."""
