"""How claims read that a model cannot make: of a change, a history, another view, a person. Data, no logic.

SAID is claimed wherever it stands. ASKED may be asked for as well, or be said to be missing: "comparison with prior
films is recommended", "no history was provided".
"""

from __future__ import annotations

import re
from typing import Final


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE)


_FILM: Final = (
    r"(?: (?:chest|exam(?:ination)?s?|stud(?:y|ies)|radiographs?|films?|x-?rays?|images?|imaging|cts?|reports?|scans?))"
)
_BEFORE_THIS: Final = r"(?:most recent |recent )?(?:prior|previous|last|earlier|preceding|comparison)"
_MUCH: Final = (
    r"(?:essentially |relatively |largely |grossly |slightly |mildly |markedly |significantly |overall |partially |"
    r"partly |somewhat )?"
)
# "have both decreased"
_HOW: Final = r"(?:(?:not|both|all|also|since|now|again|further|almost|somewhat|in the interval|\w+ly) ){0,3}"
_COUNTED: Final = r"(?:effusions?|edema|pneumothora\w+|consolidations?|atelectasis|congestion|size|extent|amount)"
_DEVICE: Final = r"(?:tubes?|catheters?|lines?|drains?|picc|leads?|wires?|pacemaker|balloon pump)"
_MOVED: Final = (
    r"(?:removed|placed|withdrawn|advanced|repositioned|replaced|inserted|exchanged|retracted|extubated|intubated|"
    r"pulled back|migrated)"
)

COMPARISON_SAID: Final = _any_of(
    rf"(?:as |when |in )?compared(?: is made)? (?:to|with)(?: the| a)?(?: {_BEFORE_THIS})?{_FILM}*",
    rf"(?:since|from|than|seen on) (?:the |a )?{_BEFORE_THIS}{_FILM}*",
    r"previously(?: (?:seen|noted|described|identified|demonstrated))?",
    r"(?:as|than|from|since|like) before",
    r"(?:is|are|was|were) (?:once )?again",
    r"again (?:seen|noted|demonstrated|identified|visualized|present)",
    r"(?:once|yet) again",
    r"re-?demonstrat\w+",
    rf"{_MUCH}(?:unchanged|unaltered|stable|similar in appearance)",
    r"(?<!\ba )similar",
    r"(?:no|little) (?:(?:significant|appreciable|substantial|relevant|major) )?(?:interval )?(?:changes?|differences?)"
    r"(?! of\b)",
    r"(?:not|hardly) (?:\w+ly )?(?:changed|altered|different)",
    r"(?:in the )?interval (?:development|improvement|increase|decrease|resolution|removal|placement|enlargement|"
    r"worsening|clearing|progression|extubation|intubation)|in the interval",
    rf"{_MUCH}(?:improv(?:ed|ing|ement)|worsen(?:ed|ing)|resolv(?:ed|ing))",
    r"progress(?:ed|ing)",
    rf"(?:has|have|had) {_HOW}(?:increased|decreased|diminished|enlarged|grown|shrunk|developed|cleared|disappeared|"
    r"appeared|become|progressed|regressed|recurred|evolved|migrated|moved|changed|"
    rf"been {_HOW}{_MOVED})",
    r"(?:increased|decreased|diminished|reduced|increase in|decrease in|"
    rf"reduction in) (?:the )?(?:[\w-]+ ){{0,3}}{_COUNTED}",
    rf"{_DEVICE} (?:\w+ly )?(?:was |were )?(?:removed|withdrawn|advanced|repositioned|replaced|retracted|exchanged|"
    r"pulled back)|(?:pulled|moved) back|migrated",
    r"now|(?:than|since|from) (?:yesterday|last (?:week|month|year|night))|"
    r"(?:hour|day|week|month|year)s? (?:ago|earlier|before)",
    r"persist(?:s|ent|ently|ing)?|continu(?:ed|es|ing)|ongoing",
    r"remain(?:s|ed)?|no longer|new(?:ly)?|residual",
    r"recurr(?:ed|ent|ence|ing)|re-?accumulat\w+|re-?expan(?:ded|ding|sion)",
    r"increasing|decreasing|enlarging|evolv(?:ed|ing)",
    r"(?:slightly|somewhat|mildly|markedly|much|significantly|moderately|minimally|is|are|appears?|looks?) "
    r"(?:larger|smaller|bigger)",
    r"(?:larger|smaller|bigger|greater|lower|higher|more|less|fewer) than (?:before|on|in|it was)",
    r"(?:less|more) (?:prominent|conspicuous|apparent|pronounced|dense|extensive|severe|distinct|confluent|marked|"
    r"evident)",
    r"worse|better",
)
COMPARISON_ASKED: Final = _any_of(
    rf"(?:in )?(?:compare|comparison)(?: is made)? (?:to|with)(?: the| a)?(?: {_BEFORE_THIS})?{_FILM}*",
    rf"(?:on|to) (?:the |a )?{_BEFORE_THIS}{_FILM}*",
    rf"(?:prior|previous|earlier|preceding|comparison){_FILM}",
    r"interval(?: changes?)?|resolution|progression|clearing",
    rf"follow[- ]?up{_FILM}+ (?:show|demonstrate|reveal)(?:s|ed)?",
    r"comparisons?(?: stud(?:y|ies)| exams?| films?)?\s*:\s*(?!\W*(?:none|no|not|nil|na|n/a|unavailable)\b)\w+",
)
HISTORY_SAID: Final = _any_of(
    r"hx of|h/o|status[- ]post|s/p|underwent",
    r"(?:patient )?with (?:a )?known|(?<!not )(?<!un)known(?! as\b)",
    r"(?:year|month)s?[- ]old",
    r"patient (?:reports|presents|complains|denies|states|is an?|has an?)",
    r"present(?:s|ing|ed) with",
    r"(?:prior|previous|recent|interval) (?:[\w-]+ ){0,2}(?:surger(?:y|ies)|operations?|procedures?|intubation|"
    r"thoracentesis|"
    r"resections?|cabg|sternotom(?:y|ies)|thoracotom(?:y|ies)|\w+ectom(?:y|ies)|bypass|transplant\w*|fractures?|"
    r"biops(?:y|ies))",
    r"post-?\s?operative(?:ly)? day|pod ?#?\d+",
    r"post[- ]?(?:sternotomy|\w*lobectomy|pneumonectomy|cabg|thoracotomy|thoracentesis|intubation|extubation|"
    r"transplant\w*)",
    r"chronic (?:[\w-]+ ){0,2}(?:effusions?|consolidations?|pneumothora\w+|infiltrates?|edema)",
    r"(?:indications?|reason for (?:the |this )?(?:exam\w*|study))\s*:\s*(?!\W*(?:none|no|not|nil|na|n/a|"
    r"unavailable)\b)\w+",
)
HISTORY_ASKED: Final = _any_of(
    r"(?:(?:as |per |given |in view of |based on )+(?:the )?)?(?:patient'?s? )?"
    r"(?:(?:clinical|medical|surgical|past|reported|known|provided|given) )*history(?: of)?",
    r"clinical (?:indication|information|data)",
    r"fevers?|febrile|afebrile|cough(?:ing)?|dyspn[eo]+a|shortness of breath|hemoptysis|trauma",
    r"chest (?:pain|tightness)|wheezing|hypoxi[ac]|hypoxemi[ac]|tachycardi[ac]|tachypn[eo]+[ai]c?|leukocytosis|sputum|"
    r"sepsis|septic(?! embol)|immuno-?(?:compromised|suppressed|deficien\w+)|sedat(?:ed|ion)|smok(?:er|ing)|"
    r"weight loss|"
    r"night sweats|syncope|altered mental status|respiratory distress|hypotensi(?:on|ve)|neutropeni[ac]|chemotherapy|"
    r"radiotherapy|dialysis",
)
OTHER_VIEW_SAID: Final = _any_of(
    r"(?:seen|noted|visualized|visible|identified|apparent|appreciated|evident|confirmed|present) (?:\w+ )?on (?:the )?"
    r"lateral(?: (?:views?|radiographs?|films?|images?|projections?))?",
    r"(?:ct|mri|ultrasound|pet|echocardiogra(?:m|phy))(?: (?:scan|of the chest|of the thorax|chest|thorax|exam\w*|"
    r"today|"
    r"angiogra\w+))* (?:shows?|showed|demonstrate[sd]?|reveal(?:s|ed)?|confirm(?:s|ed)?|performed|dated)",
)
OTHER_VIEW_ASKED: Final = _any_of(
    r"(?:on |in )?(?:the )?lateral (?:chest )?(?:views?|radiographs?|films?|images?|projections?|x-?rays?|exam\w*)",
    r"(?:pa|ap|frontal) and lateral",
    r"(?:two|2) views?",
    r"(?:on |by )(?:the )?(?:chest )?(?:ct|mri|ultrasound|pet)",
)
PERSON_SAID: Final = _any_of(
    r"(?:discussed|communicated|conveyed|relayed|telephoned|phoned|called|faxed|paged|reported) (?:[\w-]+ ){0,3}?"
    r"(?:with|to|by|via)",
    r"(?:was|were|been) (?:\w+ )?(?:notified|informed|paged|phoned)|notified (?:of|by)|notification",
    r"(?:by|via|over the) (?:tele)?phone",
    r"(?<!be )(?:signed|dictated|transcribed|verified|interpreted|read)(?: (?:electronically|off))? by|"
    r"(?:electronically signed|signed electronically)",
    r"(?-i:Drs?)|(?:referring|ordering|attending|treating|emergency) (?:physician|clinician|doctor|provider|"
    r"radiologist)s?",
    r"at (?:approximately |about )?\d{1,2}(?::\d\d)? ?[ap]\.?m",
)

# These only read like a claim.
NO_CLAIM: Final = _any_of(
    r"(?:compared (?:to|with)|similar (?:to|in \w+ to)) (?:that of |that on |those of )?(?:the )?(?:right|left|"
    r"contralateral|"
    r"opposite|other|adjacent|surrounding|normal|rest|remainder|expected)",
    r"(?:larger|smaller|bigger|worse|better|greater|higher|lower|(?:less|more) \w+)(?: (?:on|in|at|along|toward|"
    r"towards|within|"
    r"over|than)){1,2} (?:the |both )?(?:right|left|lung|bas|api[cx]|upper|lower|mid|periph|perihil|normal|expected|"
    r"usual)\w*",
    r"(?:larger|smaller|bigger|worse|better|greater|higher|lower) than (?:that|the) (?:of|on|in) the",
    r"(?:right|left|basilar|bibasilar) (?:much |slightly )?worse",
    r"better (?:(?:further|be) )?(?:seen|visuali[sz]\w+|appreciated|evaluat\w+|delineat\w+|defin\w+|characteri[sz]\w+|"
    r"demonstrated|"
    r"assess\w+|defined|depicted|identified|shown|detail|quality)",
    r"more (?:prominent|conspicuous|apparent|marked) (?:centrally|peripherally|inferiorly|superiorly|basally)",
    r"(?:low|high|poor|limited|spatial|contrast|image)[ -]resolution|resolution of (?:the |this )?(?:image|film|study|"
    r"radiograph|exam\w*)",
    r"persistent (?:left )?(?:sided )?(?:superior vena cava|svc|left svc)",
    r"dialysis (?:catheters?|lines?|access)",
    r"residual (?:(?:oral|enteric|iv|barium) )?(?:contrast|barium)",
    r"remains? (?:a (?:\w+ )?(?:possibility|consideration|concern)|indeterminate|non-?specific|uncertain|unclear|"
    r"possible|in the differential|of concern|difficult|limited)",
    r"(?:no|without|negative for)(?: (?:\w+ ){0,3}of)? (?:(?:acute|significant|chest|thoracic|blunt|prior|"
    r"recent) ){0,2}trauma",
    r"(?:sequelae?|evidence|stigmata|changes|residua) (?:of|related to) (?:prior|previous|old|remote) [\w-]+"
    r"(?: [\w-]+)?",
    r"(?:(?:consistent|compatible|in keeping) with|suggest(?:s|ing)|suggestive of|"
    r"representing) (?:a )?(?:prior|previous|old|remote|post\w*) [\w-]+(?: [\w-]+)?",
    r"continued (?:\w+ )?(?:follow[- ]?up|surveillance|attention|monitoring|observation)",
    r"ongoing (?:follow[- ]?up|surveillance|attention|monitoring|observation)",
    r"(?:no|without) (?:other )?known (?:normal|variant)",
)

# A clause with one of these asks for a comparison, a history or a view, or says that there is none.
REQUEST: Final = _any_of(
    r"recommend\w*|advis\w+|suggest(?:ed)? (?:correlation|follow\w*|comparison)|(?:is|are) suggested|please|"
    r"correlat(?:e|ed|ion)|(?:would|may|might|could|can) be (?:better |further )*"
    r"(?:helpful|useful|considered|obtained|performed|evaluated|assessed|characterized|of \w+)|"
    r"should be|need(?:s|ed)?|requir(?:e|es|ed)|necessary|warrant(?:s|ed)?|obtain|consider|consideration|"
    r"follow[- ]?up (?:with|by|in|to|as|is|are|imaging|to)|further (?:\w+ )?(?:evaluation|imaging|characterization|"
    r"assessment|work-?up)|if (?:\w+ )?(?:available|clinically|there|indicated|needed|obtainable)",
    r"no (?:[\w-]+ ){0,4}(?:available|provided|given|submitted|supplied|for comparison)",
    rf"no (?:prior|previous|comparison|old|earlier) ?{_FILM}",
    r"(?:without|lack of|absence of) (?:any |a )?(?:prior|previous|comparison|clinical|history)",
    r"not? (?:\w+ )?(?:available|provided|given|submitted|supplied|known|obtained|included)|unavailable",
    r"comparisons?\s*:?\s*(?:none|no)|history\s*:?\s*(?:none|not|unknown|n/a)",
)
# What stands behind one of these in its clause is supposed, and not said.
SUPPOSED: Final = _any_of(
    r"if|whether|until|unless|should|must|(?:could|can) be compared|to (?:document|ensure|confirm|assess|evaluate|"
    r"exclude|"
    r"establish|determine|rule out|verify|monitor|follow|look for)|(?:evaluat|assess)\w* for"
)
CLAUSE: Final = re.compile(
    r",(?!\s*(?:if|as well as|and/or|or)\b)|"
    r"\b(?:but|however|although|though|which|while|whereas|given|because|since|due to|in (?:a|the|this) patient)\b",
    re.IGNORECASE,
)
