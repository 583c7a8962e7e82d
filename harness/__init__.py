# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelab: a network emulation test harness for IPsec interoperability."""
