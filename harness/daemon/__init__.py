# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd: sockets, timers, data planes, configuration around the engines of harness.ike."""
