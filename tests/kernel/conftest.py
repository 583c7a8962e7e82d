# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterator

import pytest

from tests.kernel.namespaces import Namespace, new_namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with new_namespace() as made:
        yield made


@pytest.fixture
def gateways() -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces with a cable between them, 192.0.2.1 and .2, 2001:db8::1 and ::2."""
    with new_namespace() as moon, new_namespace() as sun:
        moon.ip(f"link add eth0 type veth peer name eth0 netns {sun.path}")
        for number, node in enumerate((moon, sun), 1):
            node.ip("link set lo up")
            node.ip(f"address add 192.0.2.{number}/24 dev eth0")
            node.ip(f"address add 2001:db8::{number}/64 dev eth0 nodad")
            node.ip("link set eth0 up")
        yield moon, sun
