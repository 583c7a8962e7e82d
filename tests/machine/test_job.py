# SPDX-License-Identifier: GPL-2.0-or-later
import io
import json
import re
import struct
import tarfile
from pathlib import Path

import pytest

from harness.machine.errors import MachineError
from harness.machine.guest import RESULT
from harness.machine.job import Job, Result, decode_answer, encode_job, from_wire
from harness.machine.microvm import JOB_SIZE

pytest_plugins = ["pytester"]


def result(artifacts: bytes) -> Result:
    return Result((), artifacts, 0, "", 0.0, 0.0, 0.0)


def archive(*entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o777
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def test_equal_jobs_are_the_same_bytes_and_fill_the_device() -> None:
    one = encode_job(Job("a::b", {"moon": "x", "sun": None}, 7))
    two = encode_job(Job("a::b", {"sun": None, "moon": "x"}, 7))
    assert one == two
    assert len(one) == JOB_SIZE
    assert encode_job(Job("a::b", {"moon": "x", "sun": None}, 8)) != one


def test_a_job_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MachineError, match="shorten its options"):
        encode_job(Job("a::b", {"moon": "x" * JOB_SIZE}))


def test_an_answer_is_read_back_and_an_empty_device_is_none(tmp_path: Path) -> None:
    path = tmp_path / "out"
    header = json.dumps({"lost": None}).encode()
    path.write_bytes(RESULT + struct.pack("<QQ", len(header), 3) + header + b"tar" + bytes(4096))
    answer = decode_answer(path)
    assert answer is not None
    assert (answer.header, answer.artifacts) == ({"lost": None}, b"tar")
    path.write_bytes(bytes(8192))
    assert decode_answer(path) is None


def test_artifacts_are_laid_down_for_this_user_only(tmp_path: Path) -> None:
    result(archive(("a/b.txt", b"x"))).unpack(tmp_path / "out")
    path = tmp_path / "out/a/b.txt"
    assert path.read_bytes() == b"x"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil"])
def test_artifacts_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(MachineError, match=r"^the guest sent a file that would lie at .*evil'\.$"):
        result(archive((name, b"x"))).unpack(tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


def test_a_link_that_a_guest_sends_is_not_laid_down(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    result(buffer.getvalue()).unpack(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_reports_that_went_through_json_are_shown_as_if_they_had_not(
    pytester: pytest.Pytester,
) -> None:
    # The outer run prints what the inner run's own reports say after a journey through JSON.
    pytester.makepyfile(
        test_it="""
        import pytest
        def test_fails(record_property):
            record_property("name", "value")
            print("said")
            assert {"a": 1} == {"a": 2}
        @pytest.mark.skip(reason="not today")
        def test_skipped(): pass
        @pytest.mark.skip(reason="not today")
        def test_skipped_too(): pass
        @pytest.mark.xfail(reason="known", strict=True)
        def test_known(): assert 0
        @pytest.fixture
        def nothing(): raise OSError("no")
        def test_errs(nothing): pass
        """
    )
    pytester.makeconftest(
        """
        import json, pytest
        from harness.machine.job import from_wire
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item):
            report = yield
            hook, config = item.config.hook, item.config
            if not config.getoption("--co"):
                data = hook.pytest_report_to_serializable(config=config, report=report)
                data = from_wire(json.loads(json.dumps(data)))
                report = hook.pytest_report_from_serializable(config=config, data=data)
            return report
        """
    )
    through = pytester.runpytest("-rA", "--junitxml=all.xml", "-p", "no:randomly")
    through.assert_outcomes(failed=1, skipped=2, xfailed=1, errors=1)
    pytester.path.joinpath("conftest.py").write_text("")
    plain = pytester.runpytest("-rA", "--junitxml=all.xml", "-p", "no:randomly")

    def lines(text: str) -> list[str]:
        same = re.sub(r"0x[0-9a-f]+", "0x", text)
        # How long it took is another matter each time.
        return re.sub(r" in \d+\.\d+s\b", "", same).splitlines()

    assert lines(through.stdout.str()) == lines(plain.stdout.str())
    assert "SKIPPED [1] test_it.py:6: not today" in through.stdout.str()


def test_paths_of_the_guest_become_paths_of_the_host() -> None:
    data = {
        "nodeid": "tests/a.py::b",
        "longrepr": ["/project/tests/a.py", 3, "Skipped: /projects stay"],
        "sections": [["Captured", "/project is said here"]],
        "location": ["tests/a.py", 1, "b"],
    }
    assert from_wire(data, Path("/home/me")) == {
        "nodeid": "tests/a.py::b",
        "longrepr": ("/home/me/tests/a.py", 3, "Skipped: /projects stay"),
        "sections": [("Captured", "/project is said here")],
        "location": ("tests/a.py", 1, "b"),
    }
