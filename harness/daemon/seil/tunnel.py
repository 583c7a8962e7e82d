# SPDX-License-Identifier: GPL-2.0-or-later
"""One ``interface.ipsec`` of a SEIL configuration as a connection, with the defaults of a SEIL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.daemon.seil import keys
from harness.daemon.seil.lines import Sheet
from harness.ike.address import Address
from harness.ike.v1.configuration import (
    Child,
    Connection,
    DeadPeerDetection,
    Lifetime,
    NatTraversal,
    Phase1,
    Phase1Mode,
    PreSharedKey,
)
from harness.ike.v1.identity import UDP, Identity, address_identity, subnet_identity

T = TypeVar("T")

EVERYTHING = "0.0.0.0/0"
"""The proxy-id of a SEIL that has none configured."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The settings of one interface, `ipsec0`; `addresses` are those of the others."""

    name: str
    sheet: Sheet
    addresses: Mapping[str, tuple[str, ...]]

    def check(self) -> None:
        """Complain about what is missing or does not fit, so that `connection` can be called."""
        first = next(
            one for one in self.sheet.settings.values()
            if one.key.startswith(f"interface.{self.name}.")
        )  # fmt: skip
        for key in (keys.PRESHARED_KEY, keys.SOURCE, keys.DESTINATION):
            if self.sheet.setting(key, self.name) is None:
                self.sheet.complain(first.line, key.at(self.name), "this is missing; add a line")
        source = self.sheet.setting(keys.SOURCE, self.name)
        if source and source.sound and self._lacks_address(source.text):
            self.sheet.complain(
                source.line, source.key, f"{source.text} has no address; add a line"
                f" interface.{source.text}.ipv4.address or write the address here",
            )  # fmt: skip
        for which in (keys.MY_IDENTIFIER, keys.PEERS_IDENTIFIER):
            self._check_identifier(which)

    def _lacks_address(self, source: str) -> bool:
        """Whether a source is an interface that has no address in this file."""
        return source[0].isalpha() and self.sheet.setting(keys.ADDRESS, source) is None

    def connection(self) -> Connection:
        """The connection, once `check` had nothing to complain about."""
        source = self._value(keys.SOURCE, "")
        if not source[0].isdigit():
            source = self.addresses[source][0].partition("/")[0]
        destination = self._value(keys.DESTINATION, "")
        own = self._identity(keys.MY_IDENTIFIER, source) or address_identity(source)
        return Connection(
            self.name,
            Address(source),
            Address(destination),
            PreSharedKey(self._value(keys.PRESHARED_KEY, b"")),
            # With its own identity a SEIL says protocol 17 and leaves the port open.
            replace(own, protocol=UDP),
            self._identity(keys.PEERS_IDENTIFIER, destination),
            phase1=self._phase1(),
            children=(self._child(),),
            responder_only=self._value(keys.RESPONDER_ONLY, False),
            dpd=self._dpd(),
            nat=self._nat(),
            initial_contact=self._value(keys.INITIAL_CONTACT, True),
        )

    def _phase1(self) -> Phase1:
        default = Phase1()
        mode = self._value(keys.EXCHANGE_MODE, default.mode)
        return Phase1(
            self._listed(keys.PHASE1_ENCRYPTION) or default.encryptions,
            self._listed(keys.PHASE1_HASH) or default.hashes,
            (self._value(keys.PHASE1_GROUP, default.groups[0]),),
            Lifetime(self._value(keys.PHASE1_LIFETIME, default.lifetime.seconds)),
            mode,
            self._value(keys.CHECK_LEVEL, default.check),
            # Who is told to use Aggressive Mode takes it from the peer as well.
            accept_aggressive_psk=mode is Phase1Mode.AGGRESSIVE,
        )

    def _child(self) -> Child:
        default = Child(
            self.name,
            subnet_identity(self._value(keys.PROXY_LOCAL, EVERYTHING)),
            subnet_identity(self._value(keys.PROXY_REMOTE, EVERYTHING)),
        )
        return replace(
            default,
            encryptions=self._listed(keys.PHASE2_ENCRYPTION) or default.encryptions,
            integrities=self._listed(keys.PHASE2_AUTHENTICATION) or default.integrities,
            pfs=self._value(keys.PHASE2_GROUP, default.pfs),
            lifetime=Lifetime(
                self._value(keys.PHASE2_SECONDS, default.lifetime.seconds),
                self._value(keys.PHASE2_KILOBYTES, default.lifetime.kilobytes),
            ),
            check=self._value(keys.CHECK_LEVEL, default.check),
        )

    def _dpd(self) -> DeadPeerDetection:
        default = DeadPeerDetection()
        interval = float(self.sheet.value(keys.DPD_INTERVAL, int(default.interval)))
        return replace(
            default,
            interval=interval if self._value(keys.DPD, True) else 0.0,
            limit=self.sheet.value(keys.DPD_MAXFAIL, default.limit),
        )

    def _nat(self) -> NatTraversal:
        wanted = self._value(keys.NAT_TRAVERSAL, "enable")
        return NatTraversal(enabled=wanted != "disable", force=wanted == "force")

    def _check_identifier(self, which: keys.IdentifierKeys) -> None:
        """Type and value belong together, and one line may stand for both."""
        typed = {"address": which.address, "fqdn": which.fqdn, "user-fqdn": which.user_fqdn}
        bare = self.sheet.setting(which.bare, self.name)
        kind = self.sheet.setting(which.type, self.name)
        if bare and kind:
            self.sheet.complain(
                kind.line, kind.key, f"line {bare.line} gives the identity already; keep one"
            )
        for name, key in typed.items():
            setting = self.sheet.setting(key, self.name)
            if setting and not (kind and kind.text == name):
                self.sheet.complain(
                    setting.line, setting.key, f"this needs a line {which.type.at(self.name)} :"
                    f" {name}",
                )  # fmt: skip
        wanted = typed.get(kind.text) if kind else None
        if kind and wanted and kind.text != "address" and not self.sheet.setting(wanted, self.name):
            self.sheet.complain(
                kind.line, kind.key, f"this needs a line {wanted.at(self.name)} as well"
            )

    def _identity(self, which: keys.IdentifierKeys, address: str) -> Identity | None:
        """The identity of the configuration, None where it has none."""
        match self._value(which.type, None):
            case "address":
                return self._value(which.address, address_identity(address))
            case "fqdn":
                return self._value(which.fqdn, None)
            case "user-fqdn":
                return self._value(which.user_fqdn, None)
        return self._value(which.bare, None)

    def _value(self, key: keys.Key[T], default: T) -> T:
        return self.sheet.value(key, default, self.name)

    def _listed(self, key: keys.Key[T]) -> tuple[T, ...]:
        return self.sheet.listed(key, self.name)
