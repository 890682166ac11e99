"""The words that turn a mention: negation, uncertainty, resolution, and where their reach ends. Data, no logic."""

from __future__ import annotations

from typing import Final

from reports.findings.lexicon import COMPLAINTS

# Reach forward, to the end of the clause.
ABSENT_AFTER: Final = """
    no longer seen/present/identified/visualized/visible is/are, not seen/present/identified/visualized/visible is/are,
    without, no /definite/convincing/radiographic/significant/visible/gross/obvious/apparent/acute /radiographic
    evidence/signs/sign/indication/suggestion/finding/findings of/for/to, without evidence /of, negative for, free
    of/from /any, isn/aren/wasn/weren/doesn/don/didn/hasn t, none of, none of the following :, /pertinent negatives :,
    absence of, denies/never, clear of, rather than, instead of, lungs /are/appear/remain /grossly/otherwise clear of,
    lack of, excludes, no longer, no longer /any evidence of, devoid of, void of, lacks/lacking, unable to /clearly
    identify/see/visualize/appreciate/detect, cannot /clearly identify/see/visualize/appreciate/detect, nothing to
    suggest/indicate/explain, w o, noevidence of, neg/-ve for, fails/failed to show/demonstrate/reveal, rules out,
    ruled out, no findings to suggest, never had
"""

# The same. Behind "neither" an "excluded" leaves open; "not pneumonia, atelectasis" may be a contrast.
NEITHER: Final = "neither/nor"
NOT: Final = "not"

# The same; behind a colon they need nothing behind them: "pneumothorax: no evidence".
NO_EVIDENCE: Final = """
    no /definite/convincing/radiographic/significant/visible/gross/obvious/apparent/acute
    /radiographic evidence/signs/sign/indication/suggestion/finding/findings, no definite/convincing
"""

# Reach forward too: it was there. Denied in turn, it is there still.
GONE_AFTER: Final = """
    /interval resolution of, resolved, clearing of, interval removal of, removal of, cleared, drainage of,
    disappearance of, /interval clearance of, cessation of
"""

# Denied, they deny nothing: "without improvement of the effusion".
CHANGES: Final = """
    improvement/worsening/progression/growth/decrease/reduction/regression/evacuation
    of/in/since, change/changes in/of,
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
    is/are absent, no longer /clearly
    seen/identified/present/demonstrated/visualized/noted/evident/appreciated/observed/detected/apparent/visible,
    isn/aren/wasn/weren t /clearly/definitely seen/identified/present/visualized/noted/evident/visible, cannot be
    /clearly seen/identified/visualized/appreciated/detected, can/could not/no /longer be /clearly
    seen/identified/visualized/appreciated/detected, has/have not
    recurred/reaccumulated/redeveloped/developed/occurred, is/are/was/were not confirmed, does/do not appear /to be
    present, negative, not felt to be present, none
"""

# The same; behind "neither" they leave open.
EXCLUDED: Final = """
    is/are/was/were excluded, has/have been excluded, ruled out, can/could be /confidently/reliably/safely
    excluded/discounted/dismissed, can/could be /confidently/reliably/safely ruled out
"""

# Of the finding right before alone: "effusion-free", "pneumothorax excluded".
ABSENT_NEXT: Final = """
    free, /is/are/was/were/remain/remains undetected/undetectable/nonexistent/gone
"""

# The same, behind a heading: "pneumothorax: none".
ANSWERS: Final = """
    : none/absent/negative/nil/neg/(n)/nad/zero/(-)/(–)/(−)/-/–/−/-ve, : not /definitely/clearly
    seen/identified/present/demonstrated/visualized/noted/evident/appreciated/observed/detected/apparent/visible/found,
    : no on/at/in
"""

GONE_BEFORE: Final = """
    has/have /since/now/completely/subsequently resolved/cleared/disappeared, has/have been removed, is/are resolved,
    interval resolution, has/have resolved, removed, resolved, cleared
"""

GONE_ANSWERS: Final = ": resolved/removed/gone/cleared"

UNCERTAIN_AFTER: Final = """
    not think/believe, don/doesn/didn t think/believe, almost/nearly/virtually/practically no,
    to ensure/document/verify/establish/demonstrate /complete/interval resolution/clearing /of, until /complete
    /resolution/clearing /of, unless/whether, (?, not excluded is/are, not /entirely/completely/totally/quite
    free/clear of/from, not devoid/void of, not/never negative for, never without, no absence/lack of, not all /of,
    neither can/could, no evidence against, cannot/not say/state/claim/conclude/assume/guarantee /that /there no/is/are
    /no, cannot/not /be true/certain/clear/sure /that /there no/is/are /no, little/scant/insufficient/weak
    /radiographic evidence of/for, /evidence against, query/queried,
    possibly/probably/presumably/presumed/suspect/potential/potentially, may /well /also
    /be/represent/reflect/indicate/include/suggest, might /be/represent/reflect, could /also
    /be/represent/reflect/indicate/include, concern for, question of, question, questioned, cannot/not
    /completely/entirely/definitively/definitely/fully/reliably/confidently exclude, cannot
    /completely/entirely/definitively be certain, can t /completely/entirely exclude, can t rule out, unable to
    /completely/entirely/definitively exclude, unable to rule out, exclude, to /better/further exclude, to rule out, to
    confirm, cannot /completely/entirely/definitively rule out, cannot rule out, can not exclude, can not rule out, not
    rule out, not /possible/able to /completely/entirely/definitively exclude, not /possible/able to rule out,
    suspicion of/for, suggestion of, not entirely/completely exclude, perhaps/maybe, equivocal/poss/prob, differential
    /diagnosis /diagnoses /would /includes/include/including/considerations/consideration/of /include,
    may/might/could/would be /most /due /consistent/compatible/related/secondary /with/to, could/may/might relate to,
    can/could/may/might /also be seen in/with, consider, considerations include, indeterminate, borderline, if any,
    doubt/doubtful/doubted, favored, favor, not excluding, cannot be certain, raises the possibility of, possibility
    of, favoring, correlate /clinically /for/with, correlation /clinically for/with, clinical correlation for/with,
    /clinical symptoms/signs/symptom/sign of, most consistent/compatible with, most in keeping with,
    thought/felt/believed to /most /likely be/represent/reflect, in the appropriate/right/correct/proper clinical
    setting/context, ?, argue/argues/arguing /strongly against
"""

# Forward too, but backward where nothing follows: "pneumonia likely".
PERHAPS: Final = "/most/quite likely, possible/probable/questionable/suspected"

UNCERTAIN_BEFORE: Final = """
    may/might/could have /already/since/now/completely resolved/cleared/disappeared, has/have/is/are
    probably/likely/possibly/presumably/perhaps resolved/cleared/gone, probably/likely/possibly/presumably/perhaps
    resolved/cleared/gone, cannot/not be /entirely/completely/fully discounted/dismissed, cannot/not /be
    /entirely/completely /be excluded, can not be /entirely/completely excluded, cannot be ruled out, not well
    seen/visualized/evaluated/appreciated, not /entirely/completely /be excluded, is/are not /entirely/completely
    excluded, could/may/might be present, may be obscured, not be excluded, not be ruled out, cannot
    /completely/entirely/definitively/fully/reliably be /completely/entirely/definitively/fully/reliably excluded, can
    t be /completely/entirely excluded, remains possible, is/remains uncertain/indeterminate/equivocal, should be
    considered, could/may/might /also have/give/produce/cause /this/a/the /similar appearance,
    poorly/incompletely/suboptimally seen/visualized, /is/are not /completely/entirely/definitively/fully ruled out,
    should be excluded, cannot be confirmed, is in the differential, /has/have/had not /yet /been
    /yet/entirely/completely/definitively/definitely/fully/reliably excluded/eliminated, /has/have/had not /yet been
    /entirely/completely/definitively/definitely/fully/reliably ruled out, could/can not be
    /entirely/completely/definitively/fully/reliably ruled out, could not be
    /entirely/completely/definitively/fully/reliably excluded, hasn/haven/isn/aren/wasn/weren t /yet /been
    /entirely/completely/definitively /ruled excluded/out, can/couldn t be /entirely/completely/definitively ruled out,
    couldn t be /entirely/completely/definitively excluded, never /been excluded, never been ruled out, neither
    seen/identified/confirmed/demonstrated/proven nor excluded, neither excluded nor confirmed/proven, neither
    confirmed nor ruled out, /is/are/was/were not /particularly/strongly favored, be excluded, be ruled out, is a
    consideration, a possibility, another consideration, in the appropriate/right/correct/proper clinical
    setting/context, suspected, if any, doubtful, ?, is not /entirely/completely excluded, /may/would/could/might/can
    be difficult/hard/impossible to see/detect/identify/appreciate, could/may/might be
    missed/overlooked/masked/concealed
"""

# Forward where a finding follows at once ("this is likely atelectasis"), else backward ("atelectasis is likely").
UNCERTAIN_ABOUT: Final = """
    is/are/was/were/be/remains/remain /most/more/very/also/still
    possible/probable/likely/questionable/suspected/questioned/considered/favored, /felt/thought/considered less
    likely, /felt/considered/thought /to /be unlikely/improbable, not likely, /is/are/would/may/might /be /somewhat
    difficult/hard/impossible to /completely/entirely/definitively/fully exclude, /is/are/would/may/might /be
    difficult/hard/impossible to rule out, :
    possible/possibly/probable/likely/suspected/questionable/uncertain/equivocal/indeterminate
"""

# Not about this film, or only asked: the mention says nothing.
SILENT_AFTER: Final = """
    could/may/might obscure, year/years/yr/yrs/month/months old, yo, y o, m/f o, followup/follow /up of/for, f u, dx
    with, presents/presenting /with, complains of, indication, concern on prior, recent, history of, hx of,
    evaluate for, evaluation for, assess for, rule out, r o, prior history of, known history of,
    diagnosed with, treated for, sensitivity/sensitive for/to, limits/limiting detection of
"""

# The same, up to a comma or "with": "status post thoracentesis, small effusion".
SILENT_BRIEFLY: Final = """
    limited for /the /detection/evaluation/assessment /of,
    status post, s p, simulating/simulates/simulate/mimicking/mimics/mimic
"""

# Look like negation and are none.
NO_CUES: Final = """
    /is/are/was/were no/not/nothing/none more/less/fewer/greater/larger than, /is/are no more
    seen/visible/present/noted/apparent than, is/are/was/were/has/have not /been /yet removed/withdrawn/drained, free
    flowing/fluid/air/gas/intraperitoneal/to/edge/edges/floating/layering/text/standing/on/under, gone
    up/down/from/to/back/into/through, cleared for/by, /is/are/has/have not /completely/entirely/fully/quite/yet gone,
    not gone away, nearly/almost/virtually/mostly/largely/partly/partially gone/cleared, no
    /significant/interval/definite/appreciable/substantial/acute/gross /interval/significant change/changes
    /in/of/from/since, not /significantly/appreciably/substantially changed, no increase /in, no decrease, not
    only/just/merely/simply/solely/without, not fail/failed to show/demonstrate/reveal, no question that, without /a
    question/doubt, cannot/not be denied, no further, without change /in, without /significant /interval change /in, no
    doubt, no /significant/appreciable/definite/interval /interval
    worsening/enlargement/improvement/resolution/clearing/progression/growth/increase/decrease /of/in, has/have not
    /significantly/appreciably enlarged/worsened/progressed/grown,
    incomplete/partial/near/significant/substantial/marked/some/slight/mild/further resolution/clearing /of,
    /is/are/may /be likely/probably/possibly/partly/partially accentuated/exaggerated/magnified, may be
    accentuated/exaggerated/magnified, /has/have
    largely/mostly/partly/partially/substantially/significantly/incompletely resolved/cleared, no progression of,
    without increase, not optimally, not well, no comparison/comparisons /available, no prior/previous, not available,
    not included, no other, /is/are/was/were not /clearly/definitely
    seen/identified/present/visualized/noted/evident/appreciated/visible previously/before, /is/are/was/were not
    /clearly/definitely seen/identified/present/visualized/noted/evident/appreciated/visible on/in /the /a /most
    /recent prior/previous/earlier/older/comparison, not previously
    seen/identified/present/visualized/noted/evident/appreciated/visible/described/demonstrated, age indeterminate,
    indeterminate age, of /indeterminate/uncertain/unknown/unclear/questionable
    age/chronicity/etiology/cause/significance, near /complete resolution /of, nearly/almost/virtually
    /completely/entirely resolved, partial resolution /of, partially resolved, has/have/is not /completely/fully/yet
    resolved/cleared, not /completely/fully/yet resolved/cleared, not improved/increased/decreased/changed,
    fails/failed/failing/failure/yet to clear/resolve/improve/reexpand, failure of resolution/clearing /of,
    hasn/haven/hadn/isn/aren/didn t /completely/fully/yet/significantly
    resolved/cleared/improved/changed/resolve/clear/improve/change, never /completely/fully resolved/cleared,
    does/do/did not /completely/fully resolve/clear/improve, /have/has all but resolved/cleared, without
    resolution/clearing, no /evidence /of resolution/clearing of, no cause/explanation/source /for/of /the, none /on/at
    /the left/right/r/l, which was/were
"""

STOPS: Final = """
    but, however, although, though, otherwise, nevertheless, yet, while,
    whereas, which, ;, as well as, likely related to, and there, besides,
    following, after, superimposed on/upon, in a patient with, in the setting of, in a/the background of, on a
    background of, given, because, based on, despite, in spite of, notwithstanding, in addition to, now
    with/has/have/presents/presenting
"""

# They end a clause as well, but not right behind a cue: "no evidence that there is an effusion".
STATEMENTS: Final = "/that there is/are/has/was"

# They end a clause as well; where no finding follows they take back what it denied: "no effusion except on the left".
EXCEPTIONS: Final = """
    except /for, other than, aside from, apart from, with the exception of, save for, excepting, outside of, beyond
"""

# Behind a denied finding they leave open whether the next one is there.
COMPANIONS: Final = """
    with /an/a/any associated/accompanying/concomitant/concurrent/coexisting/adjacent/secondary/resulting/underlying
"""

# Behind a finding they say that it is there: "no fracture, effusion unchanged".
GOES_ON: Final = """
    unchanged/stable/better/less/same/persists/persist/persisting/remains/remain/redemonstrated/improved/improving/worse/worsened,
    worsening/larger/smaller/increased/decreased/resolving/similar/stays/continues, again seen/noted/identified
    /demonstrated, in place/situ, in /good/stable/satisfactory/unchanged/standard/appropriate/expected/similar
    position, /its/the/with tip /projects/projecting/terminates/terminating/is in/at/over/overlying/above/near, cm
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
ABSENT_SIGNS: Final = "(n)/(-)/(–)/(−)/-ve/–ve/−ve/neg"
LEADING_MINUS: Final = "(-"  # "- PTX, + effusion"
LEADING_BULLET: Final = "(-?"  # the same, where it may be a bullet
DASHES: Final = "-/–/−"

# They end what a denial reaches: "no PTX, + effusion". Behind a finding they say that it is there.
PRESENT_SIGNS: Final = "positive/pos/+ve for, (+)/+/+ve"
POSITIVE: Final = "positive/pos"

# A normal heart is denied by them as by a negation; anything else stays open.
NOT_CALLED: Final = """
    hardly/scarcely,
    cannot/not be called/considered/termed/deemed, cannot/not be described/regarded /as, cannot/not be said to be,
    can/could not be called/considered/termed/deemed, can t be called/considered/termed/deemed, not /entirely/quite
    /completely called/considered, no longer considered
"""

# "No tension pneumothorax" does not deny a pneumothorax, "no new effusion" no old one.
RESTRICTIONS: Final = (
    ("kind", "tension"),
    ("change", "new/enlarging/worsening/increasing/progressive/additional"),
    (
        "size",
        "large/sizable/sizeable/significant/substantial/big/massive/moderate/major/larger/bigger/measurable",
    ),
    ("behind", "under tension, of /any significant/large/appreciable/measurable/substantial size"),
)

# After a comma or "and" they open a new statement, which a negation does not reach.
RESTARTS: Final = """
    mild/mildly/minimal/stable/unchanged/persistent/chronic/bibasilar/scattered/again/old/healed/increased/decreased/low/calcified/small/improved/moderate/patchy/streaky/linear/improving/worsening/left/right/bilateral/redemonstrated/tortuous/status/with/rather/presence/interval/residual/remaining/underlying/several/numerous/only/just/instead/healed/widened/thickened/new/enlarging/enlarged
"""

RESTARTS_OF_ALL: Final = "the/this/these/it/there"

# They do the same behind a comma or "and" that follows a denied finding, not between adjectives ("no acute, displaced
# fracture"): nobody denies the severe or the many after denying another thing.
BEGINNINGS: Final = """
    severe/severely/marked/markedly/extensive/massive/diffuse/diffusely/widespread/florid,
    multiple/multifocal/multilobar/innumerable/countless/many/few/two/three/four/spiculated,
    loculated/layering/worse/present
"""
LENGTHS: Final = "mm/cm"
# Some deny them in a row ("no consolidation, large effusion"), some begin with them: what follows stays open.
PERHAPS_BEGINNINGS: Final = (
    *("acute", "large", "confluent", "gross", "obvious"),
    *("frank", "dense", "displaced", "comminuted", "known", "a", "an"),
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
            bilateral/bilaterally/bibasilar/bibasal/biapical/both/bases, left and right, right and left
        """,
    ),
)

# They end what a negation before them reaches, and what a cue after them reaches back to.
AFFIRMS: Final = """
    has/have increased/decreased/improved/worsened/developed/enlarged/progressed, is/are
    unchanged/stable/increased/decreased/improved/worse/larger/smaller, persists/persist, is/are again, yes
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
JOINS: Final = "and/&/plus"
COMPANY: Final = "with/w"
LISTS: Final = "or/nor"

# kind, value, patterns; a phrase of two kinds is taken in this order
CUES: Final = (
    ("absent_before", "", ABSENT_BEFORE),
    ("uncertain_about", "", UNCERTAIN_ABOUT),
    ("uncertain_before", "", UNCERTAIN_BEFORE),
    ("absent_before", "gone", GONE_BEFORE),
    ("absent_before", "excluded", EXCLUDED),
    ("absent_before", "answer", ANSWERS),
    ("absent_before", "gone_answer", GONE_ANSWERS),
    ("absent_about", "", ABSENT_ABOUT),
    ("absent_about", "more", NO_MORE),
    ("absent_about", "next", ABSENT_NEXT),
    ("absent_about", "excluded", "excluded"),
    ("absent_about", "sign", ABSENT_SIGNS),
    ("absent_about", "dash", DASHES),
    ("absent_about", "leading", LEADING_MINUS),
    ("absent_about", "nought", "0"),
    ("uncertain_after", "", LEADING_BULLET),
    ("absent_after", "", ABSENT_AFTER),
    ("absent_after", "evidence", NO_EVIDENCE),
    ("absent_after", "no", "no"),
    ("absent_after", "neither", NEITHER),
    ("absent_after", "not", NOT),
    ("absent_after", "gone", GONE_AFTER),
    ("change", "", CHANGES),
    ("uncertain_after", "denied", NOT_CALLED),
    ("uncertain_after", "", UNCERTAIN_AFTER),
    ("uncertain_after", "perhaps", PERHAPS),
    ("suggested_after", "", SUGGESTED_AFTER),
    ("silent_after", "", SILENT_AFTER),
    ("silent_after", "brief", SILENT_BRIEFLY),
    ("affirm", "", AFFIRMS),
    ("affirm", "seen", SEEN),
    ("affirm", "sign", PRESENT_SIGNS),
    ("stop", "", STOPS),
    ("stop", "except", EXCEPTIONS),
    ("stop", "there", STATEMENTS),
    ("companion", "", COMPANIONS),
    ("goes_on", "", GOES_ON),
    ("goes_on", "seen", IS_THERE),
    ("goes_on", "sign", POSITIVE),
    ("procedure", "", PROCEDURES),
    ("participle", "", PARTICIPLES),
    ("complaint", "", COMPLAINTS),
    ("colon", "", ":"),
    ("restart", "", RESTARTS),
    ("restart", "the", RESTARTS_OF_ALL),
    ("aside", "", ASIDES),
    ("begins", "", BEGINNINGS),
    ("begins", "length", LENGTHS),
    *(("perhaps_begins", word, word) for word in PERHAPS_BEGINNINGS),
    *(("restriction", value, patterns) for value, patterns in RESTRICTIONS),
    ("join", "", JOINS),
    ("join", "with", COMPANY),
    ("list", "", LISTS),
)
