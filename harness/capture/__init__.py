# SPDX-License-Identifier: GPL-2.0-or-later
"""What was on the wires: frames, and the pcapng file that they are kept in."""
