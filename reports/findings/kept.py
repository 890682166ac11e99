"""Words that look like negation and deny nothing. Data, no logic."""

from __future__ import annotations

from typing import Final

# Look like negation and are none.
NO_CUES: Final = """
    /is/are/was/were no/not/nothing/none more/less/fewer/greater/larger than, /is/are no more
    seen/visible/present/noted/apparent than, is/are/was/were/has/have not /been /yet removed/withdrawn/drained,
    free flowing/fluid/air/gas/intraperitoneal/to/edge/edges/floating/layering/text/standing/on/under, /has/have
    gone up/down/from/to/back/into/through, neither better/larger/increased/more/improved nor
    worse/smaller/decreased/less/worsened, not /completely/entirely/fully/yet
    disappeared/vanished/subsided/reabsorbed, cleared for/by, /is/are/has/have not
    /completely/entirely/fully/quite/yet gone, not gone away, /has/have
    nearly/almost/virtually/mostly/largely/partly/partially gone/cleared/disappeared/vanished/subsided/reabsorbed,
    not /significantly/appreciably/substantially changed, not only/just/merely/simply/solely/without, not
    fail/failed to show/demonstrate/reveal, no question that, without /a question/doubt, cannot/not be denied, no
    worse/better/different, none before/prior/previously/earlier, none /seen/present on/in /the /most /recent
    prior/previous/earlier/comparison, no doubt, has/have not /significantly/appreciably
    enlarged/worsened/progressed/grown,
    incomplete/partial/near/significant/substantial/marked/some/slight/mild/further resolution/clearing /of,
    /is/are/may /be likely/probably/possibly/partly/partially accentuated/exaggerated/magnified, may be
    accentuated/exaggerated/magnified, /has/have
    largely/mostly/partly/partially/substantially/significantly/incompletely resolved/cleared, not optimally, not
    well, no comparison/comparisons /available, no prior/previous, not available, not included, no other,
    /is/are/was/were/has/have not absent,
    /is/are/was/were not /clearly/definitely seen/identified/present/visualized/noted/evident/appreciated/visible
    previously/before/yesterday/earlier, /is/are/was/were not /clearly/definitely
    seen/identified/present/visualized/noted/evident/appreciated/visible on/in /the /a /most /recent
    prior/previous/earlier/older/comparison, not previously
    seen/identified/present/visualized/noted/evident/appreciated/visible/described/demonstrated, age indeterminate,
    indeterminate age, of /indeterminate/uncertain/unknown/unclear/questionable
    age/chronicity/etiology/cause/significance, near /complete resolution /of,
    near/nearly/almost/virtually complete resolution/clearing /of, nearly/almost/virtually
    /completely/entirely resolved, partial resolution /of, partially resolved, has/have/is not /completely/fully/yet
    resolved/cleared, not /completely/fully/yet resolved/cleared, not improved/increased/decreased/changed,
    fails/failed/failing/failure/yet to clear/resolve/improve/reexpand, failure of resolution/clearing /of,
    hasn/haven/hadn/isn/aren/didn t /completely/fully/yet/significantly
    resolved/cleared/improved/changed/resolve/clear/improve/change, never /completely/fully
    resolved/cleared/subsided/disappeared/vanished, is/are being reabsorbed/resolved/cleared/drained,
    /is/are/was/were never /previously seen/identified/present/noted/visualized before, /is/are/was/were never
    seen/identified/present/noted/visualized on /the/any/a prior/previous/earlier/older, never previously
    seen/identified/noted, does/do/did not /completely/fully resolve/clear/improve, /have/has all but
    resolved/cleared, without resolution/clearing, no /evidence /of resolution/clearing of, no
    cause/explanation/source /for/of /the, /is/are not as, which/that was/were, no reason to doubt/question,
    without /a/any priors/comparison/comparisons, without /a/any prior/previous
    film/films/study/studies/exam/exams/examination/examinations/image/images/imaging/radiograph/radiographs/available,
    without /a/any prior for comparison, previously/formerly enlarged/widened/normal, that
    this/these is/are/represents/represent, since/from/unlike/to/as/like yesterday, /has/have/had never
    /really/quite/completely/fully gone /away, never went away
"""

# The same, unless it stands right behind a finding without a side: "effusion, none on the left".
NONE_OF_A_SIDE: Final = "none /on/at /the left/right/r/l/lt/rt /side"

# Look like negation as well and say that what follows is there: "no PTX, no change in effusion".
UNCHANGED: Final = """
    no /significant/interval/definite/appreciable/substantial/acute/gross/further/apparent
    /interval/significant change/changes /in/of/from/since, no /significant/interval/further change/changes to the, no
    /significant/appreciable/definite/interval/further/apparent /interval
    worsening/enlargement/improvement/resolution/clearing/progression/growth/increase/decrease /of/in, no/without
    /significant/apparent/appreciable/substantial/real/interval difference/differences /in/of/from/since, without
    change /in, without /significant /interval change /in, without increase, w o /significant /interval change
"""
