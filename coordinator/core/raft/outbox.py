"""What a node wants sent, and the reads that it can answer: collected until `ready` takes them."""

from coordinator.core.raft.messages import AnyMessage


class Outbox:
    """The messages of one round.

    `before_save` need no disk; `after_save` promise something that must be on the disk first.
    `reads` are contexts whose reads may be served once the index is applied.
    """

    def __init__(self, saved_term: int) -> None:
        self.saved_term = saved_term  # the term on the disk, or on its way there
        self.before_save: list[AnyMessage] = []
        self.after_save: list[AnyMessage] = []
        self.reads: list[tuple[int, int]] = []

    def send_as_leader(self, message: AnyMessage) -> None:
        """Send a message that needs nothing on the disk but the leader's term."""
        # A voter alone leads before its term is saved, and could begin the same term again.
        is_saved = self.saved_term == message.term
        (self.before_save if is_saved else self.after_save).append(message)

    def clear(self) -> None:
        """Begin a new round."""
        self.before_save, self.after_save, self.reads = [], [], []
