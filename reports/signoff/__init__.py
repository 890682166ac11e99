"""Sign-off: from an open draft to a signed document on its way to the PACS. deploy/docs/signoff.md has its rules."""
