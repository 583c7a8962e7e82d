# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 as pure protocol code (RFC 2407, 2408, 2409, 3706, 3947): no socket, clock, file or kernel.

`endpoint.Endpoint` is what a caller drives; `configuration` says what it may agree to, `events`
what it reports, `script` how a test makes it do anything at all. One exchange a module.
"""
