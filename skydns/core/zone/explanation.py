"""The explanation of an answer: the steps of the code that answers, as lines of a TXT record."""

from skydns.core.dns import name as names
from skydns.core.dns.name import domain_of
from skydns.core.dns.question import Question
from skydns.core.dns.response import Response
from skydns.core.dns.rr import Rcode, RRset, RRType, Txt, describe, type_name
from skydns.core.zone.answer import answer
from skydns.core.zone.lookup import Snapshot
from skydns.core.zone.service import TEXT_BYTES_MAX


def explain(question: Question, snapshot: Snapshot, *, cached: bool, forwarded_to: str) -> Response:
    """Answer with the reasons for the answer.

    `cached` says whether the answer is in the cache, `forwarded_to` which other servers are asked.
    """
    lines = [f"question: {names.text(question.name)} {type_name(question.type)}"]
    domain = domain_of(question.name, snapshot.config.domains)
    where = "none of this server's" if domain is None else names.text(domain)
    lines.append(f"domain: {where}, at index {snapshot.zone.index}")
    if snapshot.store_down:
        lines.append("store: down; this may be out of date, and no TTL is above 30")
    lines.append(f"cache: the answer is {'cached' if cached else 'not cached'}")
    if forwarded_to:
        lines.append(f"forward: to {forwarded_to}")
    result = answer(question, snapshot, notes=lines)
    if result.rotations:
        lines.append(f"order: the first of {len(result.orders)} rotations")
    if result.external_target:
        lines.append(f"alias: leads outside, to {names.text(result.external_target)}")
    error = result.extended_error
    why = f" ({error.name.lower().replace('_', ' ')})" if error else ""
    lines.append(f"rcode: {result.rcode.name}{why}")
    for section in ("answer", "authority", "additional"):
        rrsets: tuple[RRset, ...] = getattr(result, section)
        lines += [f"{section}: {line}" for rrset in rrsets for line in describe(rrset)]
    text = "\n".join(lines).encode()[:TEXT_BYTES_MAX]
    return Response(Rcode.NOERROR, answer=(RRset(question.name, RRType.TXT, 0, (Txt(text),)),))
