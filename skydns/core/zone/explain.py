"""Why an answer is as it is: the steps of the very code that answers, as lines of a TXT record."""

from skydns.core.dns import name as names
from skydns.core.dns.name import domain_of
from skydns.core.dns.rr import Rcode, RRset, Txt, Type, describe, type_name
from skydns.core.zone.answer import Answer, Question, answer
from skydns.core.zone.lookup import World
from skydns.core.zone.service import TEXT_BYTES_MAX


def explained(question: Question, world: World, kept: bool, elsewhere: str) -> Answer:  # noqa: FBT001
    """Answer with the reasons for the answer; `kept` says that it is in the cache, `elsewhere`
    who else is asked."""
    notes = [f"asked: {names.text(question.name)} {type_name(question.type)}"]
    domain = domain_of(question.name, world.settings.domains)
    where = "no domain of ours" if domain is None else f"domain {names.text(domain)}"
    notes.append(f"in: {where}, index {world.zone.index}")
    if world.blind:
        notes.append("store: away, what follows may be old and TTLs are at most 30")
    notes.append(f"cache: {'kept' if kept else 'not kept'}")
    if elsewhere:
        notes.append(f"elsewhere: {elsewhere}")
    said = answer(question, world, notes=notes)
    if said.turns > 1:
        notes.append(f"order: one of {said.turns}, in turn")
    if said.outside:
        notes.append(f"outside: the alias leads to {names.text(said.outside)}")
    why = f" ({said.extended.name.lower().replace('_', ' ')})" if said.extended else ""
    notes.append(f"said: {said.rcode.name}{why}")
    for section in ("answer", "authority", "additional"):
        rrsets: tuple[RRset, ...] = getattr(said, section)
        notes += [f"{section}: {line}" for rrset in rrsets for line in describe(rrset)]
    text = "\n".join(notes).encode()[:TEXT_BYTES_MAX]
    return Answer(Rcode.NOERROR, answer=(RRset(question.name, Type.TXT, 0, (Txt(text),)),))
