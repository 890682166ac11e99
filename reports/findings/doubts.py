"""The words that leave a mention open, or unsaid. Data, no logic."""

from __future__ import annotations

from typing import Final

# Reach forward, to the end of the clause.
UNCERTAIN_AFTER: Final = """
    cannot/not /definitely/definitively/reliably confirm, insufficient/inadequate/atypical/unusual for, not enough for,
    not diagnostic of/for, not/nothing against, no evidence for or against, no question of,

    not a/an /very small/minor/trivial/insignificant/negligible, not insignificant/negligible/trivial, not a lot of,
    not a/any large/significant/sizable, not significant/large,
    ddx/dd/d /d /:, differential /diagnosis/diagnoses :, can/couldn/don/wouldn t
    say/state/claim/conclude/assume/guarantee /that /there /s /no/is/are /no, not think/believe, don/doesn/didn t
    think/believe, not convinced /that /this/these/there /is/are,
    almost/nearly/virtually/practically/probably/likely/possibly/presumably no, to
    ensure/document/verify/establish/demonstrate
    /complete/interval resolution/clearing /of, until /complete /resolution/clearing /of, unless/whether, (?, not
    excluded is/are, not /entirely/completely/totally/quite free/clear of/from, not devoid/void of, not/never
    negative for, never without, no absence/lack of, not all /of, neither/nor can/could, no evidence against, cannot/not
    say/state/claim/conclude/assume/guarantee /that /there no/is/are /no, cannot/not /be true/certain/clear/sure
    /that /there no/is/are /no, little/scant/insufficient/weak /radiographic evidence of/for, /evidence against,
    query/queried, possibly/probably/presumably/presumed/suspect/potential/potentially, may /well /also
    /be/represent/reflect/indicate/include/suggest, might /be/represent/reflect, could /also
    /be/represent/reflect/indicate/include, concern for, question of, question, questioned, cannot/not
    /completely/entirely/definitively/definitely/fully/reliably/confidently exclude, cannot
    /completely/entirely/definitively be certain, to confirm, suspicion of/for, suggestion of, perhaps/maybe,
    equivocal/poss/prob, differential /diagnosis /diagnoses /would
    /includes/include/including/considerations/consideration/of /include, may/might/could/would be /most /due
    /consistent/compatible/related/secondary /with/to, could/may/might relate to, can/could/may/might /also be seen
    in/with, consider, considerations include, indeterminate, borderline, if any, doubt/doubtful/doubted, favored,
    favor, not excluding, cannot be certain, raises the possibility of, possibility of, favoring, correlate
    /clinically /for/with, correlation /clinically for/with, clinical correlation for/with, /clinical
    symptoms/signs/symptom/sign of, most consistent/compatible with, most in keeping with, thought/felt/believed to
    /most /likely be/represent/reflect, in the appropriate/right/correct/proper clinical setting/context, ?,
    argue/argues/arguing /strongly against
"""

# Forward as well, whatever is denied before: "no sign can exclude", "no PTX, cannot exclude edema or effusion".
UNEXCLUDED: Final = """
    cannot/not /completely/entirely/definitively/definitely/fully/reliably/confidently exclude, can t
    /completely/entirely exclude, can t rule out, unable to /completely/entirely/definitively exclude, unable to rule
    out, exclude, to /better/further exclude, to rule out, cannot/not /completely/entirely/definitively rule out, can
    not exclude, can not rule out, not /possible/able to /completely/entirely/definitively exclude, not /possible/able
    to rule out, not entirely/completely exclude, exclusion of, never exclude/excludes, never rules/rule out
"""

# Forward too, but backward where nothing follows: "pneumonia likely".
PERHAPS: Final = "/most/quite likely, possible/probable/questionable/suspected"

# Backward, to the start of the clause.
UNCERTAIN_BEFORE: Final = """
    /is/are/was/were not /clearly/definitely seen/identified/present/visualized/noted/evident/visible earlier today,
    /is/are/was/were not /clearly/definitely seen/identified/present/visualized/noted/evident/visible on /the
    lateral/ct, yesterday/previously/formerly none/nil, absent previously/formerly/before/yesterday,
    disproved/disproven, not disproved/disproven, replaced by/with,
    may/might/could have
    /already/since/now/completely resolved/cleared/disappeared/vanished/subsided, has/have/is/are
    probably/likely/possibly/presumably/perhaps resolved/cleared/gone,
    probably/likely/possibly/presumably/perhaps/apparently resolved/cleared/gone, cannot/not be
    /entirely/completely/fully discounted/dismissed, cannot/not /be /entirely/completely /be excluded, can not be
    /entirely/completely excluded, cannot be ruled out, not well/really seen/visualized/evaluated/appreciated, not
    /entirely/completely /be excluded, is/are not /entirely/completely excluded, could/may/might be present, may be
    obscured, not be excluded, not be ruled out, cannot /completely/entirely/definitively/fully/reliably be
    /completely/entirely/definitively/fully/reliably excluded, can t be /completely/entirely excluded, remains
    possible, is/remains uncertain/indeterminate/equivocal, should be considered, could/may/might /also
    have/give/produce/cause /this/a/the /similar appearance, poorly/incompletely/suboptimally seen/visualized,
    /is/are not /completely/entirely/definitively/fully ruled out, should be excluded, cannot be confirmed, is in
    the differential, /has/have/had not /yet /been /yet/entirely/completely/definitively/definitely/fully/reliably
    excluded/eliminated, /has/have/had not /yet been /entirely/completely/definitively/definitely/fully/reliably
    ruled out, could/can not be /entirely/completely/definitively/fully/reliably ruled out, could not be
    /entirely/completely/definitively/fully/reliably excluded, hasn/haven/isn/aren/wasn/weren t /yet /been
    /entirely/completely/definitively /ruled excluded/out, can/couldn t be /entirely/completely/definitively ruled
    out, couldn t be /entirely/completely/definitively excluded, never /been excluded, never been ruled out, neither
    seen/identified/confirmed/demonstrated/proven nor excluded, neither excluded nor confirmed/proven, neither
    confirmed nor ruled out, /is/are/was/were not /particularly/strongly favored, be excluded, be ruled out, is a
    consideration, if present/there, a possibility, another consideration, in the appropriate/right/correct/proper
    clinical
    setting/context, suspected, if any, doubtful, ?, is not /entirely/completely excluded,
    /may/would/could/might/can be difficult/hard/impossible to see/detect/identify/appreciate, could/may/might be
    missed/overlooked/masked/concealed
"""

# Forward where a finding follows at once ("this is likely atelectasis"), else backward ("atelectasis is likely").
UNCERTAIN_ABOUT: Final = """
    /: no/none/nil/absent to/or /only/just/very minimal/mild/small/trace/tiny, /: minimal/mild/small/trace/tiny to/or
    no/none/nil/absent,
    /is/are/seems not /entirely/at /all impossible/improbable/unlikely /that,
    is/are/was/were/be/remains/remain /most/more/very/also/still
    possible/probable/likely/questionable/suspected/questioned/considered/favored, /felt/thought/considered less
    likely, /felt/considered/thought /to /be unlikely/improbable, not likely, /is/are/would/may/might /be /somewhat
    difficult/hard/impossible to /completely/entirely/definitively/fully exclude, /is/are/would/may/might /be
    difficult/hard/impossible to rule out, :
    possible/possibly/probable/likely/suspected/questionable/uncertain/equivocal/indeterminate
"""

# Backward, of the finding right before alone.
UNASSESSED: Final = """
    /is/are/was/were not /well/fully/adequately/reliably assessed/evaluated/assessable/evaluable, cannot/not be
    /well/fully/adequately/reliably/further assessed/evaluated, /has/have /been drained/tapped/aspirated, evacuated,
    has/have been evacuated, n a, not applicable/available
"""

# Not about this film, or only asked: the mention says nothing.
SILENT_AFTER: Final = """
    could/may/might obscure, year/years/yr/yrs/month/months old, yo, y o, m/f o, followup/follow /up of/for, f u, dx
    with, presents/presenting /with, complains of, indication, concern on prior, recent, history of, hx of,
    evaluate for, evaluation for, assess for, rule out, r o, prior history of, known history of,
    diagnosed with, treated for, sensitivity/sensitive for/to, limits/limiting detection of
"""

# Of some of what stands before, not of all: "rib fractures, none displaced".
NONE_SUCH: Final = """
    none /is/are/has/have/was/were /definitely/clearly/obviously/significantly
    acute/new/displaced/nondisplaced/comminuted/healed/calcified/cavitary/cavitated/cavitating/spiculated/suspicious,
    none /is/are/has/have/was/were /definitely/clearly/obviously/significantly
    concerning/worrisome/malignant/enlarged/enlarging/larger/bigger/growing/grown/changed/dominant/loculated/large, none
    /is/are/was/were kinked/malpositioned/broken/fractured, none exceeding/measuring/exceeds/over/above/under, none
    larger/greater/more/smaller/less than, none of /which/them /is/are
    acute/new/displaced/calcified/suspicious/concerning/large, none of concern
"""

# The same, up to a comma or "with": "status post thoracentesis, small effusion".
SILENT_BRIEFLY: Final = """
    limited for /the /detection/evaluation/assessment /of,
    status post, s p, simulating/simulates/simulate/mimicking/mimics/mimic
"""
