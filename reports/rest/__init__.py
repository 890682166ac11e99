"""Reports over HTTP: FHIR REST, and webhooks for outcomes."""
