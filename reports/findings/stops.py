"""The words that end a clause, or what a denial reaches. Data, no logic."""

from __future__ import annotations

from typing import Final

# They end a clause.
STOPS: Final = """
    otherwise, nevertheless, which, ;, as well as, likely related to, and there, besides, in this/the patient with,
    following, after, superimposed on/upon, in a patient with, in the setting of, in a/the background of, on a
    background of, given, because, based on, despite, in spite of, notwithstanding, in addition to, now
    with/has/have/presents/presenting, period/semicolon, full stop
"""

# They end a clause as well, and may say of the other side what was denied of one.
CONTRASTS: Final = "but/however/although/though/yet/while/whereas"

# They end a clause as well, but not right behind a cue: "no evidence that there is an effusion".
STATEMENTS: Final = "/that there is/are/has/was"

# They end a denial where a finding follows at once: "no cavitation within the consolidation".
INSIDE: Final = "within/in/inside/around the/this/these"

# They end a denial behind a comma, or that of a complaint: "without fever this is atelectasis".
THIS_IS: Final = "this/these is/are/represents/represent"

# They end a clause as well; where no finding follows they take back what it denied: "no effusion except on the left".
EXCEPTIONS: Final = """
    except /for, other than, aside from, apart from, with the exception of, save for, excepting, outside of, beyond
"""
