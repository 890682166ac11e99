"""The pages: what happens to every study, in plain words. Rendered here, nothing loaded from elsewhere."""

from reports.web.app import make_app
from reports.web.site import Equipment, Premises

__all__ = ["Equipment", "Premises", "make_app"]
