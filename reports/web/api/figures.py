"""The operation on quality: the sums of the page of quality, as data."""

from __future__ import annotations

import math

from reports.quality import Agreement, Outcome, Share, Spread
from reports.web.api.answers import FindingAnswer, Lasting, Part, Quality, QualityGroup, QualityQuery
from reports.web.api.operations import Asked


def drafts(asked: Asked) -> Quality:
    """What radiologists made of the drafts."""
    query: QualityQuery = asked.query
    sums = asked.site.ledger.sums(asked.site.database, query.days)
    return Quality(
        whole=_group(sums.whole),
        weeks=[_group(one) for one in sums.weeks],
        sites=[_group(one) for one in sums.sites],
        devices=[_group(one) for one in sums.devices],
        readers=[_group(one) for one in sums.readers],
        findings=[_finding(one) for one in sums.findings],
    )


def _group(one: Outcome) -> QualityGroup:
    return QualityGroup(
        name=one.name,
        drafts=one.drafts,
        few=one.few,
        verdicts={verdict: _part(share) for verdict, share in one.verdicts.items()},
        success=_part(one.success),
        reasons=dict(one.reasons),
        withdrawn=one.withdrawn,
        film_to_draft=_lasting(one.drafting),
        draft_to_decision=_lasting(one.deciding),
        film_to_decision=_lasting(one.whole),
    )


def _finding(one: Agreement) -> FindingAnswer:
    return FindingAnswer(
        name=one.label,
        drafted=one.drafted,
        signed=one.signed,
        both=one.both,
        added=one.added,
        dropped=one.dropped,
        same=_part(one.same),
        kappa=_number(one.kappa),
        few=one.few,
    )


def _part(share: Share) -> Part:
    value, low, high = (_number(one) for one in (share.value, share.low, share.high))
    return Part(count=share.count, of=share.of, value=value, low=low, high=high)


def _lasting(spread: Spread) -> Lasting:
    return Lasting(median=_number(spread.median), ninth=_number(spread.ninth))


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else value
