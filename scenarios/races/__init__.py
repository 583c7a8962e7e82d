# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that cross on the wire, whoever the peers are."""
