"""Rights as the pages name them; they belong to people."""

from reports.people.rights import HELD_BY, NOBODY, WITHIN, Right, Role, Visitor, rights_of

__all__ = ["HELD_BY", "NOBODY", "WITHIN", "Right", "Role", "Visitor", "rights_of"]
