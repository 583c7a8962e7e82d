# SPDX-License-Identifier: GPL-2.0-or-later
"""A ``remote`` of a racoon.conf: who the peer is, and what phase 1 may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from harness.daemon.complaints import Complaint
from harness.daemon.racoon import values as v
from harness.daemon.racoon.block import Block, Directive, read_block, table_of
from harness.daemon.racoon.files import Files, OwnCertificate
from harness.daemon.racoon.identifier import Identifier, identifier
from harness.daemon.racoon.lexer import Misplaced, Token
from harness.daemon.racoon.syntax import Arguments, Statement
from harness.ike.address import Address
from harness.ike.certificates import subject_dn
from harness.ike.retransmission import Retransmission
from harness.ike.transforms import Encryption, KeyExchange, Prf
from harness.ike.v1.configuration import (
    Child,
    Connection,
    Credentials,
    DeadPeerDetection,
    Lifetime,
    LifetimeCheck,
    NatTraversal,
    Phase1,
    Phase1Mode,
    Rekeying,
    Signer,
)
from harness.ike.v1.identity import Identity, address_identity, dn_identity

T = TypeVar("T")

ANONYMOUS = "anonymous"


def _certificate(arguments: Arguments) -> OwnCertificate:
    _x509(arguments)
    return OwnCertificate(arguments.take("a certificate"), arguments.take("a private key"))


def _authority(arguments: Arguments) -> Token:
    _x509(arguments)
    return arguments.take("a certificate")


def _x509(arguments: Arguments) -> None:
    kind = arguments.take("x509")
    if kind.text != "x509":
        raise Misplaced(kind, "ikelabd has only certificates of type x509")


EXCHANGE_MODE = Directive("exchange_mode", v.several(v.mode))
CERTIFICATE = Directive("certificate_type", _certificate)
AUTHORITY = Directive("ca_type", _authority)
MY_IDENTIFIER = Directive("my_identifier", identifier)
PEERS_IDENTIFIER = Directive("peers_identifier", identifier)
VERIFY_IDENTIFIER = Directive("verify_identifier", v.SWITCH)
NONCE_SIZE = Directive("nonce_size", v.number(8, 256))
INITIAL_CONTACT = Directive("initial_contact", v.SWITCH)
PASSIVE = Directive("passive", v.SWITCH)
CHECK = Directive("proposal_check", v.CHECK)
NAT = Directive("nat_traversal", v.NAT)
DPD_DELAY = Directive("dpd_delay", v.number(0, 86400))
DPD_RETRY = Directive("dpd_retry", v.number(1, 3600))
DPD_MAXFAIL = Directive("dpd_maxfail", v.number(1, 100))
REKEY = Directive("rekey", v.SWITCH)
LIFETIME = Directive("lifetime", v.lifetime)

_REMOTE = table_of(
    *(EXCHANGE_MODE, CERTIFICATE, AUTHORITY, MY_IDENTIFIER, PEERS_IDENTIFIER, VERIFY_IDENTIFIER),
    *(NONCE_SIZE, INITIAL_CONTACT, PASSIVE, CHECK, NAT, DPD_DELAY, DPD_RETRY, DPD_MAXFAIL, REKEY),
    LIFETIME,
    Directive("doi", v.fixed("ipsec_doi")),
    Directive("situation", v.fixed("identity_only")),
    Directive("generate_policy", v.fixed("off")),
    Directive("support_proxy", v.SWITCH),
    Directive("verify_cert", v.fixed("on")),
    Directive("send_cert", v.fixed("on")),
    Directive("send_cr", v.fixed("on")),
    Directive("ike_frag", v.fixed("off")),
)
_REFUSED_IN_REMOTE = {
    "peers_certfile": "ikelabd takes the peer's certificate from the wire; remove this",
    "script": "ikelabd runs no scripts; remove this",
    "mode_cfg": "ikelabd has no Mode Config for IKEv1; remove this",
    "xauth_login": "ikelabd has no XAUTH; remove this",
    "weak_phase1_check": "ikelabd believes only what is authenticated; remove this",
}

CIPHER = Directive("encryption_algorithm", v.PHASE1_CIPHER)
HASH = Directive("hash_algorithm", v.HASH)
METHOD = Directive("authentication_method", v.METHOD)
GROUP = Directive("dh_group", v.GROUP)
_PROPOSAL = table_of(CIPHER, HASH, METHOD, GROUP, LIFETIME)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One ``proposal``."""

    head: Token
    encryption: Encryption
    digest: Prf
    method: str
    group: KeyExchange
    lifetime: Lifetime | None


@dataclass(frozen=True, slots=True)
class Remote:
    """One ``remote``; `address` is None for an anonymous one."""

    head: Token
    address: str | None
    block: Block
    proposals: tuple[Proposal, ...]

    @property
    def name(self) -> str:
        """What its connection is called."""
        return self.address or ANONYMOUS

    def connection(
        self, local: str | None, files: Files, repeat: Retransmission, children: Sequence[Child]
    ) -> Connection:
        """The connection; raises `Misplaced` for what only shows when files are read."""
        own = local or ("::" if self.address and ":" in self.address else "0.0.0.0")
        credentials = self._credentials(files)
        return Connection(
            self.name,
            Address(own),
            None if self.address is None else Address(self.address),
            credentials,
            self._own_identity(credentials, local),
            self._peer_identity(),
            phase1=self._phase1(),
            children=tuple(children),
            responder_only=self.block.value(PASSIVE, False),
            dpd=self._dpd(),
            nat=self._nat(),
            retransmission=repeat,
            rekeying=Rekeying.ANY if self.block.value(REKEY, True) else Rekeying.NEVER,
            initial_contact=self.block.value(INITIAL_CONTACT, True),
            nonce_size=self.block.value(NONCE_SIZE, 16),
        )

    @property
    def check(self) -> LifetimeCheck:
        """What becomes of other lifetimes that a peer offers."""
        return self.block.value(CHECK, LifetimeCheck.STRICT)

    def _phase1(self) -> Phase1:
        modes = self.block.value(EXCHANGE_MODE, (Phase1Mode.MAIN,))
        first = self.proposals[0]
        shared = self.block.value(LIFETIME, Lifetime(28800))
        return Phase1(
            _unique(one.encryption for one in self.proposals),
            _unique(one.digest for one in self.proposals),
            _unique(one.group for one in self.proposals),
            first.lifetime or shared,
            modes[0],
            self.check,
            Phase1Mode.AGGRESSIVE in modes,
        )

    def _credentials(self, files: Files) -> Credentials:
        if self.proposals[0].method == "rsasig":
            own = self.block.value(CERTIFICATE, None)
            if own is None:
                raise Misplaced(self.head, "rsasig needs certificate_type x509 with its two files")
            return files.signature(own, self.block.value(AUTHORITY, None))
        if self.address is None:
            raise Misplaced(
                self.head,
                "ikelabd finds a preshared key by the peer's address; write it for anonymous",
            )
        return files.secret(self.address, self.head)

    def _own_identity(self, credentials: Credentials, local: str | None) -> Identity:
        given = self.block.value(MY_IDENTIFIER, None)
        if given is not None and given.identity is not None:
            return given.identity
        if given is not None and given.kind == "asn1dn":
            if not isinstance(credentials, Signer):
                raise Misplaced(given.token, "asn1dn without a name needs a certificate")
            return dn_identity(subject_dn(credentials.chain[0]))
        if local is None:
            raise Misplaced(
                self.block.token(MY_IDENTIFIER),
                "the own address is not known; write my_identifier with it, or listen { isakmp; }",
            )
        return address_identity(local)

    def _peer_identity(self) -> Identity | None:
        given: Identifier | None = self.block.value(PEERS_IDENTIFIER, None)
        if given is None or not self.block.value(VERIFY_IDENTIFIER, True):
            return None
        if given.identity is not None:
            return given.identity
        if given.kind == "asn1dn":
            return None
        if self.address is None:
            raise Misplaced(given.token, "an anonymous peer has no address; write one here")
        return address_identity(self.address)

    def _dpd(self) -> DeadPeerDetection:
        return DeadPeerDetection(
            float(self.block.value(DPD_DELAY, 0)),
            float(self.block.value(DPD_RETRY, 5)),
            self.block.value(DPD_MAXFAIL, 5),
        )

    def _nat(self) -> NatTraversal:
        wanted = self.block.value(NAT, "off")
        return NatTraversal(enabled=wanted != "off", force=wanted == "force")


def read_remote(statement: Statement, complaints: list[Complaint]) -> Remote | None:
    """A ``remote``, or None where what it needs is missing or wrong."""
    before = len(complaints)
    head = statement.head
    try:
        address = _peer(statement)
    except Misplaced as wrong:
        complaints.append(wrong.complaint)
        address = None
    inner = statement.block or ()
    proposals = [one for one in inner if one.name == "proposal" and one.block is not None]
    others = [one for one in inner if one not in proposals]
    block = read_block(head, others, _REMOTE, _REFUSED_IN_REMOTE, complaints)
    found = [made for one in proposals if (made := _proposal(one, complaints)) is not None]
    if not proposals:
        block.complain(head, "this has no proposal; add proposal { … }")
    _check_product(found, block)
    return Remote(head, address, block, tuple(found)) if len(complaints) == before else None


def _peer(statement: Statement) -> str | None:
    arguments = statement.arguments()
    peer = arguments.take("an address or anonymous")
    address = None if peer.text == ANONYMOUS and not peer.quoted else v.address(peer)
    at = arguments.here
    if v.port(arguments) not in (None, 0, 500):
        raise Misplaced(at, "ikelabd speaks to port 500; remove the port")
    if arguments.skip("inherit"):
        raise Misplaced(at, "ikelabd has no inheritance of remotes; write out the statements")
    arguments.finish()
    if statement.block is None:
        raise Misplaced(statement.end, "a block in braces is expected here")
    return address


def _proposal(statement: Statement, complaints: list[Complaint]) -> Proposal | None:
    before = len(complaints)
    block = read_block(statement.head, statement.block or (), _PROPOSAL, {}, complaints)
    block.need(CIPHER, HASH, METHOD, GROUP)
    cipher, digest = block.value(CIPHER, None), block.value(HASH, None)
    method, group = block.value(METHOD, None), block.value(GROUP, None)
    if len(complaints) > before or not (cipher and digest and method and group):
        return None
    return Proposal(statement.head, cipher, digest, method, group, block.value(LIFETIME, None))


def _check_product(found: list[Proposal], block: Block) -> None:
    """An engine offers the product of lists, with one lifetime and one kind of credentials."""
    if not found:
        return
    every = product(
        _unique(one.encryption for one in found),
        _unique(one.digest for one in found),
        _unique(one.group for one in found),
    )
    if list(every) != [(one.encryption, one.digest, one.group) for one in found]:
        block.complain(
            found[-1].head,
            "ikelabd offers every encryption with every hash and group, in order;"
            " write the proposals of all combinations, or fewer",
        )
    for one in found[1:]:
        if (one.method, one.lifetime) != (found[0].method, found[0].lifetime):
            block.complain(
                one.head, "ikelabd has one authentication_method and lifetime for all proposals"
            )


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
