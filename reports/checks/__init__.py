"""Nothing leaves the house unchecked: what validators cannot know about a document, and what must hold of its bytes.

Problems are named in words that hold no value of the patient.
"""

from reports.checks.document import DocumentRefused, check_document, check_draft, check_payload, problems_of

__all__ = ["DocumentRefused", "check_document", "check_draft", "check_payload", "problems_of"]
