# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKE implementations that the lab can run, each behind one contract."""
