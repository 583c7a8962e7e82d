# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab kernel: one pytest item inside a stock Debian kernel, restored from a warm snapshot."""
