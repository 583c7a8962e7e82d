# SPDX-License-Identifier: GPL-2.0-or-later
"""Why SAs go away or do not come about."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an SA went away or did not come about."""

    REQUESTED = "this end was asked to"
    DELETED_BY_PEER = "the peer deleted it"
    SUPERSEDED = "another one took its place"
    TIMEOUT = "the peer did not answer"
    DEAD_PEER = "the peer did not answer R-U-THERE"
    EXPIRED = "its lifetime ended"
    INITIAL_CONTACT = "the peer says that it has no other"
    OVERLOADED = "too many negotiations are half open"
    NO_PROPOSAL_CHOSEN = "no common algorithms"
    INVALID_ID = "the identities are not acceptable"
    MISMATCHED_ID = "mismatched ID was returned"
    AUTHENTICATION_FAILED = "authentication failed"
    INVALID_MESSAGE = "a message broke the rules"
    INVALID_KEY = "the key exchange failed"
    UNACCEPTABLE_ANSWER = "the peer answered what was not offered"
    REFUSED = "the peer refused it"
    NO_CONNECTION = "no connection is configured for this peer"
