"""The pages: what happens to every study, in plain words. Read-only, rendered here, nothing loaded from elsewhere."""

from reports.web.app import Premises, make_app

__all__ = ["Premises", "make_app"]
