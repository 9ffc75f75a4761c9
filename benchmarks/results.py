"""What was measured: one `Measure` a quantity, with its values by peer and round, and their ratios."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Measure:
    """One quantity of one case of a benchmark, for all peers.

    A round in which a peer could not be measured holds None, so that position n is round n for every peer.
    A detail is kept in the JSON and left out of the table.
    """

    benchmark: str
    case: str
    quantity: str
    unit: str
    less_is_better: bool = True
    detail: bool = False
    rounds: dict[str, list[float | None]] = field(default_factory=dict)

    def of(self, peer: str) -> float | None:
        """Return the median over the rounds, or None when the peer was not measured."""
        values = [value for value in self.rounds.get(peer, ()) if value is not None]
        return median(values) if values else None

    def ratio(self, peer: str, other: str) -> float | None:
        """Return the median of `peer` divided by `other` within each round."""
        pairs = zip(self.rounds.get(peer, ()), self.rounds.get(other, ()), strict=False)
        ratios = [mine / theirs for mine, theirs in pairs if mine is not None and theirs]
        return median(ratios) if ratios else None


@dataclass
class Results:
    """All measures of a run, and which peer could not take part where and why."""

    measures: list[Measure] = field(default_factory=list)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def fail(self, where: str, peer: str, reason: str) -> None:
        self.failures.setdefault(where, {})[peer] = reason

    def find(self, benchmark: str, case: str, quantity: str) -> Measure | None:
        wanted = (benchmark, case, quantity)
        return next((m for m in self.measures if (m.benchmark, m.case, m.quantity) == wanted), None)

    def cases(self, benchmark: str, quantity: str) -> list[Measure]:
        return [m for m in self.measures if (m.benchmark, m.quantity) == (benchmark, quantity)]
