# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1, IKEv2 and ESP as pure protocol code: no socket, clock, file or kernel."""
