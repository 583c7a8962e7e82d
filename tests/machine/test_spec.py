# SPDX-License-Identifier: GPL-2.0-or-later
from pathlib import Path

import pytest

from harness.machine.errors import MachineError
from harness.machine.images import key_of, upstream
from harness.machine.spec import load_spec, load_specs

IMAGES = Path(__file__).parents[2] / "images"
GOOD = 'suite = "bookworm"\npackages = ["strongswan-charon"]\nversion = "5.9.8"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "some-peer" / "image.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_the_shipped_images_are_the_peers_the_guest_and_the_kernels() -> None:
    specs = load_specs(IMAGES)
    assert {name for name, spec in specs.items() if spec.kind == "guest"} == {"guest"}
    assert specs["strongswan-bookworm"].version == "5.9.8"
    assert specs["strongswan-trixie"].version == "6.0.1"
    assert {"debian-5.10", "debian-6.1", "debian-6.12"} <= set(load_specs(IMAGES, "kernel"))


def test_the_folder_names_the_image_and_the_first_package_is_the_one_that_counts(
    tmp_path: Path,
) -> None:
    spec = load_spec(write(tmp_path, GOOD))
    assert (spec.name, spec.kind, spec.version_of) == ("some-peer", "peer", "strongswan-charon")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("suite = ", "this is not TOML: Invalid value"),
        (GOOD + 'colour = "red"\n', "colour: unknown key; known are"),
        (GOOD.replace("bookworm", "lenny"), "suite: 'lenny' is none of bookworm"),
        (GOOD.replace('"bookworm"', "12"), "suite: 12 is not a text."),
        (GOOD.replace('version = "5.9.8"\n', ""), "version: this key is missing."),
        (GOOD.replace('["strongswan-charon"]', "[]"), "packages: a list of at least one"),
        (GOOD.replace('"strongswan-charon"', '"Strong Swan"'), "packages: 'Strong Swan' is not"),
        (GOOD.replace('"strongswan-charon"', '"ab", "ab"'), "packages: a package is named twice"),
        (GOOD + 'version-of = "charon"\n', "version-of: 'charon' is none of the image's own"),
        (GOOD + 'kind = "router"\n', "kind: 'router' is none of guest, kernel, peer."),
    ],
)
def test_a_wrong_description_is_one_sentence_with_file_and_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(MachineError) as caught:
        load_spec(path)
    assert str(caught.value).startswith(f"{path}: {sentence}")
    assert "\n" not in str(caught.value)


def test_a_missing_description_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="there is no such file"):
        load_spec(tmp_path / "image.toml")
    with pytest.raises(MachineError, match=r"no image\.toml is under this folder"):
        load_specs(tmp_path)


def test_where_a_description_lies_does_not_change_the_image_but_a_package_does(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    first = load_spec(write(tmp_path / "a", GOOD))
    second = load_spec(write(tmp_path / "b", "# a comment\n" + GOOD))
    other = load_spec(write(tmp_path / "c", GOOD.replace("]", ', "iproute2"]')))
    assert key_of(first) == key_of(second) != key_of(other)


@pytest.mark.parametrize(
    ("debian", "upstreams"),
    [
        ("5.9.8-5+deb12u1", "5.9.8"),
        ("1:7.2+dfsg-7+deb12u18", "7.2"),
        ("3.11.2-1+b1", "3.11.2"),
        ("6.0.1-6+deb13u2", "6.0.1"),
        ("2.4-beta-1", "2.4-beta"),
        ("12.4", "12.4"),
    ],
)
def test_the_upstream_version_is_what_debian_packaged(debian: str, upstreams: str) -> None:
    assert upstream(debian) == upstreams
