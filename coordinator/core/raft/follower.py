"""What a follower does with what its leader sends: entries, commits, chunks of a snapshot."""

from coordinator.core.raft.log import Log
from coordinator.core.raft.membership import ConfigurationHistory
from coordinator.core.raft.messages import (
    AppendEntries,
    AppendOk,
    AppendReject,
    Commit,
    Heartbeat,
    HeartbeatOk,
    InstallSnapshot,
    SnapshotReply,
)
from coordinator.core.raft.ready import Outbox
from coordinator.core.raft.snapshot_transfer import RaftSnapshot, SnapshotAssembly


class Follower:
    """The part of a node that follows a leader. Its answers leave after the next save."""

    def __init__(
        self,
        me: int,
        log: Log,
        configurations: ConfigurationHistory,
        outbox: Outbox,
        guard_ms: int,
    ) -> None:
        self.snapshot: RaftSnapshot | None = None  # a snapshot that is to be saved and loaded
        self._me = me
        self._log = log
        self._configurations = configurations
        self._outbox = outbox
        self._guard_ms = guard_ms
        self._assembly = SnapshotAssembly()

    def take(self, message: AppendEntries | Heartbeat | Commit | InstallSnapshot) -> None:
        """Follow a message of this term's leader."""
        log = self._log
        match message:
            case AppendEntries():
                self._take_entries(message)
            case Commit(commit=commit):
                log.committed = max(log.committed, min(commit, log.last))
            case Heartbeat(sender=leader, term=term, commit=commit, round=round_):
                log.committed = max(log.committed, min(commit, log.last))
                self._outbox.after_save.append(
                    HeartbeatOk(
                        sender=self._me,
                        receiver=leader,
                        term=term,
                        round=round_,
                        guard_ms=self._guard_ms,
                    )
                )
            case InstallSnapshot():
                self._take_chunk(message)

    def _take_entries(self, message: AppendEntries) -> None:
        log, last = self._log, message.prev_index + len(message.entries)
        if last <= log.committed:
            # What is committed is equal everywhere: the leader just does not know it yet.
            self._acknowledge(message, log.committed)
            return
        agreed = log.term(message.prev_index) == message.prev_term
        if not agreed and message.prev_index >= log.committed:
            hint, hint_term = log.conflict_hint(message.prev_index, message.prev_term)
            self._outbox.after_save.append(
                AppendReject(
                    sender=self._me,
                    receiver=message.sender,
                    term=message.term,
                    rejected=message.prev_index,
                    hint=hint,
                    hint_term=hint_term,
                )
            )
            return
        entries = [entry for entry in message.entries if entry.index > log.committed]
        changed_from = log.append(entries)
        if changed_from is not None:
            self._configurations.forget(changed_from)
            self._configurations.note([entry for entry in entries if entry.index >= changed_from])
        log.committed = max(log.committed, min(message.commit, last))
        self._acknowledge(message, last)

    def _acknowledge(self, message: AppendEntries | InstallSnapshot, match: int) -> None:
        self._outbox.after_save.append(
            AppendOk(sender=self._me, receiver=message.sender, term=message.term, match=match)
        )

    def _take_chunk(self, message: InstallSnapshot) -> None:
        log = self._log
        if message.index <= log.committed:
            self._acknowledge(message, log.committed)
            return
        if log.term(message.index) == message.index_term:
            # The log leads up to the snapshot; the entries after it may have been acknowledged. (7)
            log.committed = message.index
            self._acknowledge(message, message.index)
            return
        taken = self._assembly.take(message)
        if isinstance(taken, int):
            reply = SnapshotReply(
                sender=self._me,
                receiver=message.sender,
                term=message.term,
                index=message.index,
                offset=taken,
            )
            self._outbox.after_save.append(reply)
            return
        self.snapshot = taken
        log.restart(taken.index, taken.term)
        self._configurations.restart(taken.index, taken.configuration)
        self._acknowledge(message, taken.index)
