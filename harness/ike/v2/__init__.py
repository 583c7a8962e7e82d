# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv2 as pure protocol code (RFC 7296): no socket, clock, file or kernel.

`endpoint.Endpoint` is what a caller drives; `connection` says what it may agree to, `events` what
it reports, `script` how a test makes it do anything at all. One exchange a module.
"""
