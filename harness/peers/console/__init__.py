# SPDX-License-Identifier: GPL-2.0-or-later
"""A router as a peer, reached by its console: over ssh, telnet, a serial line, or a descriptor.

`box.ConsoleBox` is the peer, `settings.read_box` says where it is, `verbs.SeilConsole` is what can
be typed, `in_node` the console of an ikelabd in the lab.
"""
