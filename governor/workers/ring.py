"""A ring of records in shared memory: one process writes, another reads, nothing is locked.

*Rule of this file*: bytes and two counts. What a record says is :mod:`governor.workers.records`'.

*Theory*: the writer fills the place after the last record and then raises ``tail``; the reader
reads below ``tail`` and then raises ``head``. Each count has one writer and lies in a cache line
of its own. A writer that is killed in the middle of a record has not raised ``tail``: nobody sees
the half, and who goes on writing writes over it. A full ring takes nothing: the writer is told.

*Regime*: a processor that lets no store overtake an earlier one (x86-64). Elsewhere that holds
in practice only: between the record and the count lie some hundred instructions.
*Cost*: 1 us to place, publish, peek and step together, on a busy machine.
*Considered and rejected*: a pipe or a socket pair (a system call and a wake-up for each record,
and a half-written record at a kill); ``multiprocessing.Queue`` (locks, a thread, pickles).
"""

from __future__ import annotations

TAIL, HEAD, ASLEEP = 0, 8, 16
"""Places of the words of a ring's head, in words: each in a cache line of its own."""

HEAD_BYTES = 192

AWAKE, DOZING, SLEEPING = range(3)
"""The reader looks by itself; does so soon, unless it is urgent; must be woken."""


def size_bytes(n_slots: int, slot_bytes: int) -> int:
    """Return how much memory a ring takes."""
    return HEAD_BYTES + n_slots * slot_bytes


class _End:
    """One end of a ring.

    Parameters
    ----------
    memory : memoryview
        Of bytes, shared; zeroes at the very start.
    slot_bytes : int
        Size of a record's place; a multiple of 8.
    """

    __slots__ = ("_mask", "_slot_bytes", "_words", "memory", "words")

    def __init__(self, memory: memoryview, slot_bytes: int) -> None:
        n_slots = (len(memory) - HEAD_BYTES) // slot_bytes
        if n_slots < 1 or n_slots & (n_slots - 1) or slot_bytes % 8:
            raise ValueError(f"need a power of 2 of places of a multiple of 8, got {n_slots}")
        self.memory = memory
        self.words = memory.cast("q")
        self._words = self.words[: HEAD_BYTES // 8]
        self._slot_bytes = slot_bytes
        self._mask = n_slots - 1

    @property
    def capacity(self) -> int:
        """Records that fit."""
        return self._mask + 1


class RingWriter(_End):
    """The end that writes; goes on where the one before it has stopped."""

    __slots__ = ("_head", "_tail")

    def __init__(self, memory: memoryview, slot_bytes: int) -> None:
        super().__init__(memory, slot_bytes)
        self._tail = self._words[TAIL]
        self._head = self._words[HEAD]

    def place(self) -> int:
        """Return where the next record goes in ``memory``; -1 if there is no room."""
        if self._tail - self._head > self._mask:
            self._head = self._words[HEAD]
            if self._tail - self._head > self._mask:
                return -1
        return HEAD_BYTES + (self._tail & self._mask) * self._slot_bytes

    def publish(self) -> int:
        """Show the record just written; return how fast asleep the reader is."""
        self._tail += 1
        self._words[TAIL] = self._tail
        return self._words[ASLEEP]


class RingReader(_End):
    """The end that reads."""

    __slots__ = ("_head", "_tail")

    def __init__(self, memory: memoryview, slot_bytes: int) -> None:
        super().__init__(memory, slot_bytes)
        self._head = self._words[HEAD]
        self._tail = self._words[TAIL]

    def peek(self) -> int:
        """Return where the oldest unread record lies in ``memory``; -1 if there is none."""
        if self._head >= self._tail:
            self._tail = self._words[TAIL]
            if self._head >= self._tail:
                return -1
        return HEAD_BYTES + (self._head & self._mask) * self._slot_bytes

    def unread(self, mark: int, n_most: int) -> list[tuple[int, int, int]]:
        """Return an instant, ``mark`` and the place of each unread record, the oldest first.

        The first word of a record is its instant; one earlier than that before counts as the same,
        so that records of several rings can be sorted and those of each keep their order.
        """
        head, words, mask, size = self._head, self.words, self._mask, self._slot_bytes
        self._tail = self._words[TAIL]
        found = []
        at_ns = 0
        for number in range(head, min(self._tail, head + n_most)):
            place = HEAD_BYTES + (number & mask) * size
            found_ns = words[place >> 3]
            if found_ns > at_ns:
                at_ns = found_ns
            found.append((at_ns, mark, place))
        return found

    def step(self) -> None:
        """Give the place of the record just read back to the writer."""
        self._head += 1
        self._words[HEAD] = self._head

    def skip_all(self) -> int:
        """Drop what is unread; return how many records that were."""
        self._tail = self._words[TAIL]
        n = self._tail - self._head
        self._head = self._words[HEAD] = self._tail
        return n

    def sleep(self, depth: int) -> bool:
        """Say how fast asleep one is; return whether there is something to read after all.

        A processor may let this look overtake that word (a store and a load that follows): then
        both sides could miss each other, and what was written waits for the next look or tick.
        """
        self._words[ASLEEP] = depth
        return self._words[TAIL] > self._head
