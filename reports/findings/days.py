"""The words of another day than that of the film, and of today beside it. Data, no logic."""

from __future__ import annotations

from typing import Final

# Of today, also beyond a colon or a "was seen": "effusion: previously small, now none".
NONE_NOW: Final = "/is/are now/today/currently none"
ABSENT_NOW: Final = "/is/are now/today/currently absent/nil, today/now there is/are none"

# They deny where nothing parts them from a finding and nothing follows: "nodules: there are none".
THERE_IS_NONE: Final = "there is/are /now none /now/today"
NONE_OF_IT: Final = "/today/now there is/are /now none of"
NONE_OF: Final = "none of, /is/are now/today/currently none of"  # "is new" behind them is said of what is there

# It was there.
GONE_AWAY: Final = """
    is/are/was/were/has/have/remain/remains /now/completely/entirely/all gone /away,
    now/completely/entirely/all/finally gone /away, went away
"""

# Of another day. Alone they leave open what is there today.
PAST: Final = """
    previously/formerly absent, previously/formerly not seen/present/identified/visualized/visible/noted,
    : none/absent/nil/no before/previously/earlier/yesterday, : none on/in /the prior/previous
"""

# It was not there before.
NOW_ONE: Final = "now/today there is/are /a/an /new /tiny/trace/small/moderate/large one/some/two/several"

# It was gone.
RECURS: Final = """
    has/have/had /now/since/again recurred/returned/reaccumulated/reappeared, then recurred/returned, /is/are now back,
    recurred/reaccumulated
"""

# It was there; what is denied behind it is of another finding.
SEEN_BEFORE: Final = """
    /was/were /previously seen/present/noted/identified/visible/visualized/demonstrated
    yesterday/earlier/previously/before/then, /was/were seen/present/noted/identified/visible/visualized/demonstrated
    on /the /most /recent prior/previous/earlier/older
"""

# Of a tube they say where it ends.
NOT_BEYOND: Final = "/is/are not /clearly seen/visualized/visible/identified beyond/below/past/distal"
