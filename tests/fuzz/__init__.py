# SPDX-License-Identifier: GPL-2.0-or-later
"""Any octets against whatever takes octets: ten thousand in the tests, a million in ci/nightly."""
