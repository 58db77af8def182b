"""The result of a drill: counts, and the text that shows them."""

import msgspec

from drill.core.observations import Requests, Writes

SHOWN_MAX = 10


class Verdict(msgspec.Struct, frozen=True):
    """The result of a drill.

    The keys of `requests` are the proxies. `asked` is the number of DNS answers.
    """

    requests: dict[str, Requests]
    wrong: list[str]
    asked: int
    writes: Writes
    lost: list[int]
    timeline: str
    prefix: str
    seconds: float
    began_s: float

    @property
    def passed(self) -> bool:
        """Whether no request failed, no answer was wrong and no write is lost."""
        sent = [each.sent for each in self.requests.values()]
        some = all((*sent, self.asked, self.writes.acknowledged))
        failed = sum(each.failed for each in self.requests.values())
        return some and not (failed or self.wrong or self.lost)

    def text(self) -> str:
        """Return the result as text."""
        lines = [self.timeline, ""]
        for proxy, seen in self.requests.items():
            lines += self._requests(proxy, seen)
        lines += [*self._names(), *self._writes()]
        lines.append(f"total      {self.seconds:.0f} s")
        return "\n".join([*lines, "PASSED" if self.passed else "FAILED"])

    def numbers(self) -> dict[str, object]:
        """Return the result for programs, to be encoded as JSON."""
        return {
            "hosts_table": self.timeline.splitlines(),
            "requests": self.requests,
            "wrong": self.wrong,
            "asked": self.asked,
            "acknowledged": len(self.writes.acknowledged),
            "refused": len(self.writes.refusals),
            "lost": self.lost,
            "seconds": self.seconds,
        }

    def _requests(self, proxy: str, seen: Requests) -> list[str]:
        at_s, rate = seen.longest_at_s - self.began_s, seen.sent / seen.seconds
        return [
            f"requests   through {proxy}: {seen.sent} sent ({rate:.0f}/s), {seen.failed} failed",
            f"           {seen.resent} sent again on a new connection",
            f"           {seen.next_address} connected to a next address",
            f"latency    median {seen.median_ms:.1f} ms, p99 {seen.p99_ms:.0f} ms",
            f"           longest {seen.longest_ms:.0f} ms at {at_s:.1f}s",
            f"           including the client's own delay: at most {seen.behind_ms:.0f} ms",
            *(f"failed     {each}" for each in seen.failures[:SHOWN_MAX]),
        ]

    def _names(self) -> list[str]:
        return [
            f"names      {self.asked} answers, {len(self.wrong)} wrong",
            *(f"wrong      {each}" for each in self.wrong[:SHOWN_MAX]),
        ]

    def _writes(self) -> list[str]:
        seen = self.writes
        at_s = seen.longest_at_s - self.began_s
        return [
            f"writes     {len(seen.acknowledged)} acknowledged, {len(self.lost)} lost",
            f"           {len(seen.refusals)} refused",
            f"           longest {seen.longest_ms:.0f} ms at {at_s:.1f}s",
            *(f"refused    {each}" for each in seen.refusals[:SHOWN_MAX]),
            *(f"lost       {self.prefix}/{each}" for each in self.lost[:SHOWN_MAX]),
        ]
