"""The words that turn a mention: negation, uncertainty, resolution, and where their reach ends. Data, no logic."""

from __future__ import annotations

from typing import Final

from reports.findings.days import (
    ABSENT_NOW,
    GONE_AWAY,
    NONE_NOW,
    NONE_OF,
    NONE_OF_IT,
    NOT_BEYOND,
    THERE_IS_NONE,
)
from reports.findings.doubts import (
    NONE_SUCH,
    PERHAPS,
    SILENT_AFTER,
    SILENT_BRIEFLY,
    UNASSESSED,
    UNCERTAIN_ABOUT,
    UNCERTAIN_AFTER,
    UNCERTAIN_BEFORE,
    UNEXCLUDED,
)
from reports.findings.lexicon import COMPLAINTS
from reports.findings.stops import CONTRASTS, EXCEPTIONS, INSIDE, STATEMENTS, STOPS, THIS_IS

# Reach forward, to the end of the clause.
ABSENT_AFTER: Final = """
    no longer seen/present/identified/visualized/visible is/are, not seen/present/identified/visualized/visible
    is/are, without, no /definite/convincing/radiographic/significant/visible/gross/obvious/apparent/acute
    /radiographic evidence/signs/sign/indication/suggestion/finding/findings of/for/to, without evidence /of,
    negative for, free of/from /any, isn/aren/wasn/weren/doesn/don/didn/hasn t, none of the following :,
    /pertinent negatives :, absence of, denies/never, clear of, rather than, instead of, lungs /are/appear/remain
    /grossly/otherwise clear of, lack of, no longer, no longer /any evidence of, devoid of, void of, lacks/lacking,
    nothing to suggest/indicate/explain, w o, noevidence of, neg/-ve for,
    fails/failed to show/demonstrate/reveal, ruled out, no findings to suggest, never had, in place of, replacing
"""

# The same; a "due to" ends it: "cannot see the left base due to effusion".
CANNOT_SEE: Final = """
    unable to /clearly identify/see/visualize/appreciate/detect, cannot /clearly
    identify/see/visualize/appreciate/detect, can t /clearly identify/see/visualize/appreciate/detect
"""

# The same. Behind "neither" an "excluded" leaves open; "not pneumonia, atelectasis" may be a contrast.
NEITHER: Final = "neither/nor"
NOT: Final = "not"

# The same; behind a colon they need nothing behind them: "pneumothorax: no evidence".
NO_EVIDENCE: Final = """
    no /definite/convincing/radiographic/significant/visible/gross/obvious/apparent/acute
    /radiographic evidence/signs/sign/indication/suggestion/finding/findings, no definite/convincing
"""

# The same; behind a denial they leave open: "no finding excludes pneumonia".
EXCLUDES: Final = "excludes, rules out"

# Reach forward too: it was there. Denied in turn, it is there still.
GONE_AFTER: Final = """
    /interval resolution of, resolved, clearing of, interval removal of, removal of, cleared, drainage of,
    disappearance of, vanished, /interval clearance of, cessation of, complete/total regression of
"""

# Denied, they deny nothing: "without improvement of the effusion".
CHANGES: Final = """
    improvement/worsening/progression/growth/decrease/reduction/regression/evacuation
    of/in/since, increase in, change/changes in/of,
    malposition/malpositioning/migration/displacement/kinking of, interval
    change/changes/improvement/worsening/progression/growth/decrease/reduction/regression/evacuation
    /of/in/to/from/since
"""

# Reach backward, to the start of the clause.
ABSENT_BEFORE: Final = """
    did/does/do not develop/recur/persist/reaccumulate/redevelop/occur, didn/doesn/don t
    develop/recur/persist/reaccumulate/redevelop/occur, fails/failed to recur/redevelop/reaccumulate/persist,
    is/are/was/were/has/have /been not /definitely/clearly /been
    seen/identified/present/demonstrated/visualized/noted/evident/appreciated/observed/detected/apparent/visible/found,
    not /definitely/clearly
    seen/identified/present/demonstrated/visualized/noted/evident/appreciated/observed/detected/apparent/visible/found,
    is/are /again/completely/entirely absent, no longer /clearly
    seen/identified/present/demonstrated/visualized/noted/evident/appreciated/observed/detected/apparent/visible,
    isn/aren/wasn/weren/ain t /clearly/definitely seen/identified/present/visualized/noted/evident/visible, cannot
    be /clearly seen/identified/visualized/appreciated/detected, can/could not/no /longer be /clearly
    seen/identified/visualized/appreciated/detected, has/have not
    recurred/reaccumulated/redeveloped/developed/occurred, /is/are/was/were not confirmed, does/do not appear /to be
    present, not felt to be present, none, /is/are/was/were not there/here /anymore, not anymore, /was/were never
    seen/identified/present/detected/demonstrated/visualized,
    on/at/in neither side/lung/hemithorax/base, not any more/longer, none /on /the left or/and /on /the right,
    none /on /the right or/and /on /the left
"""

# The same; behind "neither" they leave open.
EXCLUDED: Final = """
    is/are/was/were excluded, has/have been excluded, ruled out, can/could be /confidently/reliably/safely
    excluded/discounted/dismissed, can/could be /confidently/reliably/safely ruled out
"""

# Of the finding right before alone: "effusion-free", "pneumothorax excluded".
ABSENT_NEXT: Final = """
    free, /is/are/was/were/has/have/remain/remains /now/completely/entirely/all undetected/undetectable/nonexistent
"""
# The same, also behind a comma: "effusion, gone".
GONE: Final = "gone /away /now/today"

# The same, behind a heading: "pneumothorax: none".
ANSWERS: Final = """
    : none/absent/negative/nil/neg/(n)/nad/zero/false/(-)/(–)/(−)/-/–/−/-ve, : not /definitely/clearly
    seen/identified/present/demonstrated/visualized/noted/evident/appreciated/observed/detected/apparent/visible/found,
    : no on/at/in
"""

GONE_BEFORE: Final = """
    has/have /since/now/completely/subsequently resolved/cleared/disappeared/vanished/subsided/reabsorbed,
    disappeared/vanished/subsided/reabsorbed, has/have been removed, is/are resolved, interval resolution, has/have
    resolved, removed, resolved, cleared
"""

GONE_ANSWERS: Final = ": resolved/removed/gone/cleared"

# Denied, they compare: "no larger effusion than before".
COMPARATIVES: Final = "more/less/fewer/greater/larger/bigger/smaller/worse"

# Behind a denied finding they leave open whether the next one is there.
COMPANIONS: Final = """
    with /an/a/any associated/accompanying/concomitant/concurrent/coexisting/adjacent/secondary/resulting/underlying
"""

# Behind a finding they say that it is there: "no fracture, effusion unchanged".
GOES_ON: Final = """
    unchanged/stable/better/less/same/confirmed/growing/shrinking/increasing/decreasing/increases/decreases/bigger/persists/persist/persisting/remains/remain/redemonstrated/improved/improving/worse/worsened,
    worsening/larger/smaller/increased/decreased/resolving/similar/stays/continues, again seen/noted/identified
    /demonstrated, in place/situ, as before/previously, as on /the prior/previous, like before, up/down, still
    there/present, in /good/stable/satisfactory/unchanged/standard/appropriate/expected/similar position,
    /its/the/with tip /projects/projecting/terminates/terminating/is in/at/over/overlying/above/near, cm
    above/below/from /the
"""
# They end what is said of a denied finding: "no pneumothorax seen, effusion noted".
PARTICIPLES: Final = "seen/identified/noted/visualized/demonstrated/detected/appreciated/observed/evident/visible/found"
IS_THERE: Final = "is/are/present/appears/appear/has/have/was/were"

# Where a comma follows them, a denial ends: "no interval intubation, large effusion".
PROCEDURES: Final = """
    placement/insertion/removal/repositioning/advancement/withdrawal/exchange/retraction/intubation/extubation
    /thoracentesis/thoracostomy/drainage/surgery/biopsy/procedure/intervention /of
"""

# Backward where a finding stands right before, else forward.
ABSENT_ABOUT: Final = f"absent/nil/zero, /is/are no more {PARTICIPLES}/present/apparent"
NO_MORE: Final = "/is/are no more"
ABSENT_SIGNS: Final = "(n)/[n]/(-)/[-]/(–)/(−)/-ve/–ve/−ve/neg/negative"
LEADING_MINUS: Final = "(-"  # "- PTX, + effusion"
LEADING_BULLET: Final = "(-?"  # the same, where it may be a bullet
DASHES: Final = "-/–/−"

# They end what a denial reaches: "no PTX, + effusion". Behind a finding they say that it is there.
PRESENT_SIGNS: Final = "positive/pos/+ve for, (+)/[+]/+/+ve/(y)/[y]"
POSITIVE: Final = "positive/pos"

# A normal heart is denied by them as by a negation; anything else stays open.
NOT_CALLED: Final = """
    hardly/scarcely/barely,
    not really/quite/yet/convincingly/clearly/sure/obviously/certainly/surely/necessarily/always/every/both/much,
    cannot/not be called/considered/termed/deemed, cannot/not be described/regarded /as, cannot/not be said to be,
    can/could not be called/considered/termed/deemed, can t be called/considered/termed/deemed, not /entirely/quite
    /completely called/considered, no longer considered
"""

# "No tension pneumothorax" does not deny a pneumothorax, "no new effusion" no old one.
RESTRICTIONS: Final = (
    ("kind", "tension"),
    ("change", "new/enlarging/worsening/increasing/progressive/additional/further"),
    (
        "size",
        "large/sizable/sizeable/significant/substantial/big/massive/moderate/major/larger/bigger/measurable",
    ),
    (
        "behind",
        """
            under tension, of /any significant/large/appreciable/measurable/substantial size, on/in /the
            prior/previous/earlier/older, yesterday
        """,
    ),
)

# After a comma or "and" they open a new statement, which a negation does not reach.
RESTARTS: Final = """
    mild/mildly/minimal/stable/unchanged/persistent/chronic/bibasilar/scattered/again/old/healed/increased/decreased/low/calcified/small/improved/moderate/patchy/streaky/linear/improving/worsening/left/right/bilateral/redemonstrated/tortuous/status/with/w/rather/presence/interval/residual/remaining/underlying/several/numerous/development/persistence/appearance/emergence/still/increase/only/just/instead/healed/widened/thickened/new/enlarging/enlarged
"""

RESTARTS_OF_ALL: Final = "the/this/these/it/there"

# They do the same behind a comma or "and" that follows a denied finding, not between adjectives ("no acute, displaced
# fracture"): nobody denies the severe or the many after denying another thing.
BEGINNINGS: Final = """
    severe/severely/marked/markedly/extensive/massive/diffuse/diffusely/widespread/florid,
    multiple/multifocal/multilobar/innumerable/countless/many/few/two/three/four/spiculated,
    loculated/layering/worse/present/has/have/shows/show/demonstrates/reveals,
    larger/smaller/bigger/decreasing/resolving/evolving/developing/ongoing/continued/continuing/some,
    huge/pronounced
"""
LENGTHS: Final = "mm/cm, at /the base/apex"
# Some deny them in a row ("no consolidation, large effusion"), some begin with them: what follows stays open.
PERHAPS_BEGINNINGS: Final = (
    *("acute", "large", "confluent", "gross", "obvious", "recurrent", "big", "bulky", "considerable", "significant"),
    *("frank", "dense", "displaced", "comminuted", "known", "definite", "clear", "also", "a", "an"),
    *(str(number) for number in range(2, 10)),
    *(f"{spine}{number}" for spine, last in (("c", 7), ("t", 12), ("l", 5)) for number in range(1, last + 1)),
    *(f"{number}th" for number in range(4, 13)),
)

SEVERITIES: Final = (
    ("minimal", "minimal/minimally/tiny/trace/subtle/slight/slightly/minor"),
    ("mild", "mild/mildly/small, low grade"),
    ("moderate", "moderate/moderately, mild to moderate"),
    (
        "severe",
        """
            severe/severely, moderate to severe, large/massive/marked/markedly/extensive/huge/gross/grossly/complete
        """,
    ),
)

SIDES: Final = (
    ("left", "left/lingula/lingular/leftsided/lul/lll/l/lt"),
    ("right", "right/rightsided/rml/rll/rul/r/rt"),
    (
        "bilateral",
        """
            bilateral/bilaterally/bilat/bibasilar/bibasal/biapical/both/bases, b l, left and right, right and left
        """,
    ),
)

# They end what a negation before them reaches, and what a cue after them reaches back to.
AFFIRMS: Final = """
    has/have increased/decreased/improved/worsened/developed/enlarged/progressed, is/are
    unchanged/stable/increased/decreased/improved/worse/larger/smaller, persists/persist, is/are again
"""

SEEN: Final = """
    is/are/was/were /again /also seen/present/identified/noted/demonstrated/visualized/evident/appreciated/observed,
    there is, there are
"""

# Uncertain, and denied where a negation stands before: "no opacity to suggest pneumonia".
SUGGESTED_AFTER: Final = """
    to suggest/indicate/represent/explain, suspicious for, concerning for, worrisome for, suggesting/suggests/suggest,
    suggestive of, that would suggest
"""

ASIDES: Final = "\u2014"  # each dash, arrow and the like: words.py
JOINS: Final = "and/&"
PLUS: Final = "plus"  # and a "+" between two words
COMPANY: Final = "with/w"
LISTS: Final = "or/nor"

# Boxes of a form, before and behind what they are of; forms.py makes these words, which no text holds.
TICKED_BEFORE, EMPTY_BEFORE, OPEN_BEFORE = "[x]_", "[]_", "[?]_"
TICKED_BEHIND, EMPTY_BEHIND, OPEN_BEHIND = "_[x]", "_[]", "_[?]"
OPEN_BOX: Final = "_[?]_"

# kind, value, patterns; a phrase of two kinds is taken in this order
CUES: Final = (
    ("absent_before", "", EMPTY_BEHIND),
    ("uncertain_before", "", f"{OPEN_BEHIND}, {OPEN_BOX}"),
    ("affirm", "", TICKED_BEHIND),
    *(("stop", "", box) for box in (TICKED_BEFORE, EMPTY_BEFORE, OPEN_BEFORE)),
    *(("stop", "", box) for box in (TICKED_BEHIND, EMPTY_BEHIND, OPEN_BEHIND, OPEN_BOX)),
    ("absent_after", "", EMPTY_BEFORE),
    ("uncertain_after", "", f"{OPEN_BEFORE}, {OPEN_BOX}"),
    ("absent_before", "", ABSENT_BEFORE),
    ("uncertain_about", "", UNCERTAIN_ABOUT),
    ("uncertain_before", "", UNCERTAIN_BEFORE),
    ("uncertain_before", "near", UNASSESSED),
    ("uncertain_before", "some", NONE_SUCH),
    ("absent_before", "gone", GONE_BEFORE),
    ("absent_before", "excluded", EXCLUDED),
    ("absent_before", "answer", ANSWERS),
    ("absent_before", "now", NONE_NOW),
    ("absent_before", "now_absent", ABSENT_NOW),
    ("absent_before", "there_none", THERE_IS_NONE),
    ("absent_before", "gone_away", GONE_AWAY),
    ("absent_before", "beyond", NOT_BEYOND),
    ("absent_before", "gone_answer", GONE_ANSWERS),
    ("absent_about", "", ABSENT_ABOUT),
    ("absent_about", "more", NO_MORE),
    ("absent_about", "next", ABSENT_NEXT),
    ("absent_about", "went", GONE),
    ("absent_about", "excluded", "excluded"),
    ("absent_about", "sign", ABSENT_SIGNS),
    ("absent_about", "dash", DASHES),
    ("absent_about", "leading", LEADING_MINUS),
    ("absent_about", "nought", "0"),
    ("uncertain_after", "", LEADING_BULLET),
    ("absent_after", "", f"{ABSENT_AFTER}, {NONE_OF_IT}"),
    ("absent_after", "none_of", NONE_OF),
    ("absent_after", "see", CANNOT_SEE),
    ("absent_after", "evidence", NO_EVIDENCE),
    ("absent_after", "no", "no"),
    ("absent_after", "neither", f"{NEITHER}, neither of"),
    ("absent_after", "not", NOT),
    ("absent_after", "gone", GONE_AFTER),
    ("absent_after", "excludes", EXCLUDES),
    ("change", "", CHANGES),
    ("uncertain_after", "denied", NOT_CALLED),
    ("uncertain_after", "", UNCERTAIN_AFTER),
    ("uncertain_after", "exclude", UNEXCLUDED),
    ("uncertain_after", "perhaps", PERHAPS),
    ("suggested_after", "", SUGGESTED_AFTER),
    ("silent_after", "", SILENT_AFTER),
    ("silent_after", "brief", SILENT_BRIEFLY),
    ("affirm", "", AFFIRMS),
    ("affirm", "seen", SEEN),
    ("affirm", "yes", "yes"),
    ("affirm", "sign", PRESENT_SIGNS),
    ("stop", "", STOPS),
    ("stop", "but", CONTRASTS),
    ("stop", "but also", "but also"),
    ("stop", "except", EXCEPTIONS),
    ("stop", "there", STATEMENTS),
    ("inside", "", INSIDE),
    ("inside", "this", THIS_IS),
    ("companion", "", COMPANIONS),
    ("goes_on", "", GOES_ON),
    ("goes_on", "seen", IS_THERE),
    ("goes_on", "sign", POSITIVE),
    ("procedure", "", PROCEDURES),
    ("participle", "", PARTICIPLES),
    ("complaint", "", COMPLAINTS),
    ("colon", "", ":"),
    ("than", "", "than /yesterday"),
    ("part", "", "only, one/some/most/several/half/part/parts/portion/component/much/bulk of, most, some"),
    ("than", "more", COMPARATIVES),
    ("restart", "", RESTARTS),
    ("restart", "right now", "right now/away"),
    ("restart", "the", RESTARTS_OF_ALL),
    ("restart", "now", "now"),
    ("aside", "", ASIDES),
    ("begins", "", BEGINNINGS),
    ("begins", "length", LENGTHS),
    ("begins", "degree", "more/less"),
    *(("perhaps_begins", word, word) for word in PERHAPS_BEGINNINGS),
    *(("restriction", value, patterns) for value, patterns in RESTRICTIONS),
    ("join", "", JOINS),
    ("join", ",", "comma"),  # dictated, as "period" is
    ("join", "plus", PLUS),
    ("join", "with", COMPANY),
    ("list", "", LISTS),
)
