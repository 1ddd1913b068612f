"""What will arrive in the next 4 s, per bin of 50 ms: the wave that each failure starts.

*Rule of this file*: from who is out, who waits and what is new to a curve.

*Theory*: let X_q(h) be expected arrivals of attempt q in the h-th bin from now.

- Known: a caller out with a of its bins gone returns in bin h with chance
  M(a + 1 + h) / S(a), S the share that outlives a. Invitations return in their bin.
- New: X_0 is organic demand: arrivals that are no retries, per half second, over 8 s,
  without the two highest and two lowest of the 16 (a herd of fresh calls shorter
  than a second must not count as demand).
- Again: of X_q(h) a share fails at once, and if the line is longer than patience
  allows the rest fail at h + T; failures of bin h return as X_{q+1}(h + d) with
  chance M(d), by the law of all callers mixed as they arrive, the same bin (d = 0)
  included. h ascends, so every generation within 4 s is reckoned.

    share failing at once: phi = refused / arrivals over 0.3 s, less those given an
    invitation (their return is known once it is given);
    line: backlog(h+1) = backlog(h) + accepted - mu * 50 ms.

How long a refusal lasts nobody can tell. Two curves: **faded** (phi halves each
second: the better forecast once things recover) is for planning, **unfaded** for the
storm alarm (what follows if nothing gets better).

*Regime*: needs to know who retries; callers without identity are reckoned with
the law of all clients and not corrected by who has come. A back-off shorter than
a tick cannot be led.
*Cost*: nothing where nothing has failed, is invited back or is about to lose
patience: the curve is flat. Else see ``bench detect forecast``.
*Source*: the project's detection study, section 4. New here: cohorts integrated over
their bin, returns within the bin of the failure, laws sharper than their bins,
invitations, demand that a herd does not raise, lines that streams do not lengthen.
*Considered and rejected*: one generation only (half the wave missing after 1 s);
convolving at each failure (cannot be corrected by who has come since).
"""

from __future__ import annotations

from signals.backoff import (
    ANONYMOUS,
    BIN_S,
    N_AGES,
    N_LAWS,
    Record,
    build_kernel,
    prime_law,
)
from signals.families import N_ATTEMPTS
from signals.kernel import part
from signals.patience import MARGIN_S, compute_patience_s, compute_wait_s, plan_leaving
from signals.pending import N_DUE
from signals.state import Records

HORIZON = 80
"""Bins ahead: 4 s, beyond which nothing beats the last second."""

REBUILDS = 4
"""Kernels made anew per tick, in turn: what is learned shows within a few ticks."""

FADE_BINS = 20.0
"""Refusal halves each second (study: for ever is four times as wrong after a recovery)."""

FADE_SHARE = 0.35
"""Of the time that a refusal has lasted: the longer it has, the longer it will."""

REFUSED_MIN = 5.0
"""Refusals of the last tick or two from which a share is made."""

RETRY_FLOOR = 0.05
"""Weight of a family's fresh callers in the mixture of its retries, until retries are seen."""

SURVIVAL_MIN = 0.02
"""A law that says 'all are back' about callers still out is not believed further."""

MASS_MIN = 1e-3
"""Fewer callers than this in a bin start no generation."""


@part
def add_known(f: Record, bin_idx: int) -> None:
    """Reckon when those who are out, and those who are invited, will be back."""
    known, out, mass = f["known"], f["pending"]["out"], f["backoff"]["mass"]
    for law in range(N_LAWS):
        for q in range(N_ATTEMPTS):
            left = f["pending"]["n_out_by"][law, q]
            if left == 0:
                continue
            wave, kernel_ = known[q + 1], mass[law, q]
            alive = 1.0
            for age in range(min(N_AGES - 1, f["backoff"]["stop"][law, q])):
                alive -= kernel_[age]
                n = out[law, q, (bin_idx - age) % N_AGES]
                if n > 0:
                    weight = n / max(alive, SURVIVAL_MIN) if law != ANONYMOUS else float(n)
                    for h in range(min(HORIZON, N_AGES - 1 - age)):
                        wave[h] += weight * kernel_[age + 1 + h]
                    left -= n
                    if left <= 0:
                        break
    if f["pending"]["n_due"] > 0:
        due = f["pending"]["due"]
        for q in range(N_ATTEMPTS):
            known[q + 1, 0] += due[q, bin_idx % N_DUE]  # a bin late is still awaited
            for h in range(HORIZON):
                known[q + 1, h] += due[q, (bin_idx + 1 + h) % N_DUE]


@part
def mix_laws(f: Record) -> None:
    """Weigh the laws as their callers arrive."""
    mix, mass, seen = f["mix"], f["backoff"]["mass"], f["seen"]
    mix[:, :] = 0.0
    for q in range(N_ATTEMPTS):
        total = 0.0
        for law in range(N_LAWS):
            total += seen[law, q] + RETRY_FLOOR * seen[law, 0]
        for law in range(N_LAWS):
            weight = seen[law, q] + RETRY_FLOOR * seen[law, 0]
            if weight < 0.01 * total or weight <= 0.0:
                continue
            if f["backoff"]["is_primed"][law, q] == 0:
                prime_law(f["backoff"], law, q)
                build_kernel(f["backoff"], law, q)
            weight /= total
            for d in range(HORIZON):
                mix[q, d] += weight * mass[law, q, d]


@part
def rebuild_kernels(f: Record) -> None:
    """Make anew the kernels of a few laws that have learned something, in turn."""
    n_laws = N_LAWS * N_ATTEMPTS
    made = 0
    for step in range(n_laws):
        idx = (f["next_rebuild"] + step) % n_laws
        law, q = idx // N_ATTEMPTS, idx % N_ATTEMPTS
        if f["backoff"]["is_stale"][law, q] == 1:
            build_kernel(f["backoff"], law, q)
            made += 1
            if made == REBUILDS:
                f["next_rebuild"] = idx + 1
                return


@part
def run_generations(f: Record, patience_s: float, phi: float, fade: float) -> float:
    """Let arrivals fail and return, generation after generation; return how many fail anew."""
    x, mix, leaving = f["by_attempt"], f["mix"], f["leaving"]
    x[:, :] = f["known"]
    x[0, :] += f["busy_organic"]
    leaving[:, :] = f["planned"]
    backlog = float(f["patience"]["n_waiting"] + f["patience"]["n_orphans"])
    served = f["patience"]["pace_hz"] * BIN_S
    delay = int(patience_s / BIN_S + 0.5)
    n_failing = 0.0
    for h in range(HORIZON):
        is_late = patience_s > 0.0
        is_late = is_late and compute_wait_s(f["patience"], backlog) > patience_s + MARGIN_S
        for q in range(N_ATTEMPTS + 1):
            law = min(q, N_ATTEMPTS - 1)
            failing = x[q, h] * phi
            accepted = x[q, h] - failing
            backlog += accepted
            if is_late and h + delay < HORIZON:
                leaving[law, h + delay] += accepted
            if q < N_ATTEMPTS:
                failing += leaving[q, h]
            if failing < MASS_MIN:
                continue
            if q == 0:
                n_failing += failing
            # The last attempts that are told apart go on as themselves, from the next bin.
            first = 0 if q < N_ATTEMPTS else 1
            wave, chance = x[min(q + 1, N_ATTEMPTS)], mix[law]
            for d in range(first, HORIZON - h):
                wave[h + d] += failing * chance[d]
        backlog = max(0.0, backlog - served)
        phi *= fade
    return n_failing


@part
def sum_attempts(f: Record, total: Records, returns: Records) -> None:
    """Add the attempts up: everything, and returns alone."""
    x = f["by_attempt"]
    for h in range(HORIZON):
        back = 0.0
        for q in range(1, N_ATTEMPTS + 1):
            back += x[q, h]
        returns[h] = back
        total[h] = x[0, h] + back


@part
def compute_share(part_of: float, whole: float) -> float:
    """Divide, within [0, 1]; nothing of nothing is 0."""
    return min(1.0, part_of / whole) if whole > 1e-3 else 0.0


@part
def draw_curves(f: Record, bin_idx: int) -> None:
    """Draw both curves anew from what is out, waiting and new."""
    patience_s = compute_patience_s(f["patience"])
    f["known"][:, :] = 0.0
    f["planned"][:, :] = 0.0
    rebuild_kernels(f)
    add_known(f, bin_idx)
    mix_laws(f)
    n_leaving = 0.0
    if patience_s > 0.0 and f["patience"]["n_answers"] >= 8:
        n_leaving = plan_leaving(f["patience"], bin_idx, patience_s, f["planned"])
    phi = compute_share(f["refused"], f["arrivals"])
    phi_now = phi
    if f["refused_now"] >= REFUSED_MIN:
        phi_now = max(phi, compute_share(f["refused_now"], f["arrivals_now"]))
    uninvited = 1.0 - compute_share(f["granted"], f["refused"])
    phi, phi_now = phi * uninvited, phi_now * uninvited
    half_life = max(FADE_BINS, FADE_SHARE * f["refusing"])
    if phi < 1e-3 and patience_s == 0.0 and n_leaving == 0.0:
        f["by_attempt"][:, :] = f["known"]
        f["by_attempt"][0, :] += f["busy_organic"]
        sum_attempts(f, f["faded"], f["returns"])
        f["unfaded"][:] = f["faded"]
        f["n_failing"] = 0.0
        return
    run_generations(f, patience_s, phi, 0.5 ** (1.0 / half_life))
    sum_attempts(f, f["faded"], f["returns"])
    f["n_failing"] = run_generations(f, patience_s, phi_now, 1.0)
    sum_attempts(f, f["unfaded"], f["returns"])


@part
def draw_flat(f: Record) -> None:
    """Without failures the forecast is organic demand."""
    f["faded"][:] = f["organic"]
    f["unfaded"][:] = f["organic"]
    f["returns"][:] = 0.0
    f["n_failing"] = 0.0
