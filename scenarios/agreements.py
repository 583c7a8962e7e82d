# SPDX-License-Identifier: GPL-2.0-or-later
"""The connections that scenarios start from; each changes what it is about."""

from datetime import UTC, datetime

from harness.peers.connection import Child, Connection, End, PreSharedKey
from harness.peers.credentials import Authority

MOON = End("moon", "192.168.0.1", "moon.strongswan.org", ("10.1.0.0/16",))
SUN = End("sun", "192.168.0.2", "sun.strongswan.org", ("10.2.0.0/16",))
HOST1 = End("host1", "10.0.0.1", "host1.strongswan.org")
HOST3 = End("host3", "10.0.0.3", "host3.strongswan.org")

SECRET = PreSharedKey("a secret of the lab, 32 octets long")
AUTHORITY = Authority("ikelab CA", datetime.now(UTC))

NET_NET = Connection.between(MOON, SUN, name="net-net", authentication=SECRET)
HOST_HOST = Connection.between(
    HOST1,
    HOST3,
    name="host-host",
    authentication=SECRET,
    child=Child("host-host", mode="transport"),
)


def with_certificates(connection: Connection) -> Connection:
    """The connection with an X.509 certificate at each end, both of one authority."""
    for node, side in connection.sides.items():
        credentials = AUTHORITY.certify(side.local.identity)
        connection = connection.authenticated_by(credentials, on=node)
    return connection
