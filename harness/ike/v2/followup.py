# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE_FOLLOWUP_KE: the further key exchanges of a CREATE_CHILD_SA, at either end (RFC 9370 2.2.4).

What CREATE_CHILD_SA agreed on comes into being only after the last of them. A link that the
responder chooses says which CREATE_CHILD_SA an IKE_FOLLOWUP_KE belongs to.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.ike.chance import Purpose, drawing
from harness.ike.constants_v2 import ExchangeType, NotifyType
from harness.ike.key_exchange import InvalidKeyExchangeData, Share, initiate, respond
from harness.ike.payload import Payload
from harness.ike.payloads_v2 import KeyExchange, Notify
from harness.ike.transforms import KeyExchange as Method
from harness.ike.v2.events import Reason
from harness.ike.v2.host import Answer, Task
from harness.ike.v2.ike_sa import IkeSa
from harness.ike.v2.message import Arrival, Sent
from harness.ike.v2.unfinished import Secrets, Unfinished

LINK_SIZE = 16
MOST_PENDING = 4
"""How many CREATE_CHILD_SA may wait for their key exchanges; one more ends the oldest."""


class FollowupTask:
    """One IKE_FOLLOWUP_KE of an exchange that this end began, and those behind it.

    `done` gets every shared secret, that of CREATE_CHILD_SA first; `failed` the peer's error, or
    None where its answer is not acceptable.
    """

    exchange = int(ExchangeType.IKE_FOLLOWUP_KE)

    def __init__(
        self,
        owner: Task,
        link: bytes,
        methods: tuple[Method, ...],
        shared: Secrets,
        done: Callable[[Secrets, float], None],
        failed: Callable[[Notify | None, float], None],
    ) -> None:
        self.owner = owner
        self.outlives = owner.outlives
        self._link = link
        self._methods = methods
        self._shared = shared
        self._done = done
        self._failed = failed
        self._share: Share | None = None

    def request(self, sa: IkeSa, now: float) -> tuple[Payload, ...] | None:
        """KEi(n) and the link."""
        sa.following = self.owner
        method = self._methods[0]
        self._share = initiate(method, drawing(sa.host.draw, Purpose.SECRET))
        return (
            KeyExchange(method.id, self._share.public),
            Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, self._link),
        )

    def finish(self, sa: IkeSa, arrival: Arrival, now: float) -> None:
        """Go on with the next key exchange, or finish what CREATE_CHILD_SA began."""
        sa.following = None
        error, ke = arrival.error, arrival.ke
        if error is not None or ke is None or self._share is None:
            self._failed(error, now)
            return
        try:
            if ke.group != self._methods[0].id:
                raise InvalidKeyExchangeData("The peer answered with another method.")
            shared = (*self._shared, self._share.agree(ke.data))
        except InvalidKeyExchangeData:
            self._failed(None, now)
            return
        follow(sa, self.owner, arrival, self._methods[1:], shared, self._done, self._failed, now)

    def abandon(self, sa: IkeSa, reason: Reason) -> None:
        """What it was for is abandoned."""
        sa.following = None
        self.owner.abandon(sa, reason)


def follow(
    sa: IkeSa,
    owner: Task,
    arrival: Arrival,
    methods: tuple[Method, ...],
    shared: Secrets,
    done: Callable[[Secrets, float], None],
    failed: Callable[[Notify | None, float], None],
    now: float,
) -> None:
    """Finish where no method is left, else begin the next key exchange under the answer's link."""
    if not methods:
        done(shared, now)
        return
    link = arrival.notify(NotifyType.ADDITIONAL_KEY_EXCHANGE)
    if link is None:
        failed(None, now)
        return
    sa.tasks.appendleft(FollowupTask(owner, link.data, methods, shared, done, failed))
    sa.advance(now)


def await_followup(sa: IkeSa, unfinished: Unfinished) -> Notify:
    """The notify with the link under which the peer shall go on."""
    link = sa.host.draw(Purpose.LINK, LINK_SIZE)
    while len(sa.followups) >= MOST_PENDING:
        del sa.followups[next(iter(sa.followups))]
    sa.followups[link] = unfinished
    return Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, link)


def answer_followup(sa: IkeSa, arrival: Arrival, now: float) -> Answer:
    """KEr(n), and the next link unless it was the last; STATE_NOT_FOUND for an unknown link."""
    link, ke = arrival.notify(NotifyType.ADDITIONAL_KEY_EXCHANGE), arrival.ke
    unfinished = None if link is None else sa.followups.pop(link.data, None)
    if unfinished is None or not unfinished.wanted():
        return Answer((Notify(NotifyType.STATE_NOT_FOUND),))
    method, rest = unfinished.methods[0], unfinished.methods[1:]
    if ke is None or ke.group != method.id:
        return Answer((Notify(NotifyType.INVALID_SYNTAX),))
    try:
        public, secret = respond(method, ke.data, drawing(sa.host.draw, Purpose.SECRET))
    except InvalidKeyExchangeData:
        return Answer((Notify(NotifyType.INVALID_SYNTAX),))
    shared = (*unfinished.shared, secret)
    answer = KeyExchange(method.id, public)
    if rest:
        again = Unfinished(rest, shared, unfinished.wanted, unfinished.complete)
        return Answer((answer, await_followup(sa, again)))

    def then(sent: Sent) -> None:
        unfinished.complete(shared)

    return Answer((answer,), then)
