# SPDX-License-Identifier: GPL-2.0-or-later
import pytest

from harness.peers.strongswan.settings import (
    CONTROL_PLUGINS,
    KERNEL_PLUGINS,
    charon_settings,
    settings_of,
    write_settings,
)
from scenarios.agreements import NET_NET


def test_options_by_dotted_name_end_up_in_their_section() -> None:
    settings = charon_settings("kernel", {"charon.plugins.vici.x": 1, "charon.delete_delay": 2})
    charon = settings["charon"]
    assert isinstance(charon, dict)
    assert charon["delete_delay"] == 2
    assert charon["plugins"] == {"vici": {"socket": "unix:///run/charon.vici", "x": 1}}


def test_a_setting_below_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"charon\.load\.x is set below a value, load"):
        charon_settings("kernel", {"charon.load.x": 1})


def test_user_space_esp_comes_before_the_kernels() -> None:
    charon = charon_settings("userspace", {})["charon"]
    assert isinstance(charon, dict)
    plugins = str(charon["load"]).split()
    assert plugins.index("kernel-libipsec") < plugins.index("kernel-netlink")


def test_swanctl_reads_files_with_all_that_charon_has_for_it_and_no_more_than_it_needs() -> None:
    settings = charon_settings("kernel", {})
    charon, swanctl = (str(settings[name]["load"]).split() for name in ("charon", "swanctl"))  # type: ignore[index,call-overload]
    assert {"pem", "pkcs1", "pkcs8", "pkcs12", "x509", "openssl"} <= set(swanctl)
    assert not {"kernel-netlink", "socket-default", "vici"} & set(swanctl)
    assert set(swanctl) & set(charon) == set(charon) - {*KERNEL_PLUGINS["kernel"], *CONTROL_PLUGINS}


def test_the_keys_of_esp_are_dumped_only_where_no_kernel_tells_them() -> None:
    levels = {}
    for plane in ("kernel", "userspace"):
        charon = charon_settings(plane, {})["charon"]  # type: ignore[arg-type]
        assert isinstance(charon, dict)
        levels[plane] = charon["filelog"]["keys"].get("chd")  # type: ignore[index,union-attr,call-overload]
    assert levels == {"kernel": None, "userspace": 4}


def test_sections_are_written_in_braces() -> None:
    assert write_settings({"a": {"b": 1, "c": {"d": "x"}}}) == (
        "a {\n  b = 1\n  c {\n    d = x\n  }\n}"
    )


@pytest.mark.parametrize(("version", "wanted"), [(1, None), (2, "yes")])
def test_who_is_to_reauthenticate_makes_the_new_ike_sa_before_the_old_one_breaks(
    version: int, wanted: str | None
) -> None:
    side = NET_NET.with_ike(version=version, reauth=60).sides["moon"]
    assert settings_of(side).get("charon.make_before_break") == wanted
    assert not settings_of(NET_NET.sides["moon"])
