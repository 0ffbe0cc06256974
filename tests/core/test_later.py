"""Libraries that load at their first use."""

import subprocess
import sys
import threading

import pytest

from fastjag.core.later import load_later


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library that says when its code runs, with a class and a part of its own."""
    folder = tmp_path / "slowly"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import time\n"
        "from slowly import contents\n"
        "from slowly.contents import Content\n"
        "time.sleep(0.05)\n"
        "RUNS = globals().get('RUNS', 0) + 1\n"
        "class Array: pass\n"
        "def double(x): return 2 * x\n"
        "__version__ = '1.2'\n"
    )
    (folder / "contents.py").write_text("class Content: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_later("slowly")
    yield sys.modules["slowly"]
    for name in ("slowly", "slowly.contents"):
        sys.modules.pop(name, None)


def is_loaded(module):
    return "double" in vars(module)


def test_nothing_is_an_instance_of_what_is_not_loaded(library):
    import slowly

    assert slowly is library
    assert not isinstance(3, (slowly.Array, slowly.contents.Content))
    assert not is_loaded(library)
    assert slowly.double(4) == 8
    assert is_loaded(library)
    assert isinstance(slowly.Array(), slowly.Array)
    assert sys.modules["slowly"] is library


def test_what_was_taken_before_means_the_same_after(library):
    Array, contents = library.Array, library.contents
    made, content = Array(), contents.Content()
    assert type(made) is library.Array
    assert isinstance(made, Array)
    assert isinstance(content, contents.Content)

    class Own(Array):
        pass

    assert issubclass(Own, library.Array)
    assert issubclass(Own, Array)


def test_unions_of_classes_are_those_of_the_classes(library):
    Array, Content = library.Array, library.contents.Content
    assert not issubclass(int, Array)
    assert not is_loaded(library)
    kinds = [Array | Content, Array | None, None | Array]
    assert kinds == [library.Array | library.contents.Content, *[library.Array | None] * 2]


@pytest.mark.parametrize("name", ["__version__", "double"])
def test_values_load_it(library, name):
    assert getattr(library, name)
    assert is_loaded(library)


def test_a_name_that_it_does_not_have(library):
    with pytest.raises(AttributeError, match="nothing"):
        _ = library.nothing
    with pytest.raises(AttributeError):
        _ = library.Nothing()


def test_threads_wait_for_the_whole(library):
    seen, barrier = [], threading.Barrier(8)

    def use():
        barrier.wait()
        seen.append((library.double(1), library.RUNS))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(2, 1)] * 8


def test_parts_are_imported_from_it(library):
    from slowly.contents import Content

    assert Content.__module__ == "slowly.contents"
    assert isinstance(library.contents.Content(), Content)


@pytest.fixture
def parts(library, tmp_path):
    """Its parts are later, too: the whole is one that imports them."""
    folder = tmp_path / "slowly"
    (folder / "files.py").write_text("class File: pass\ndef opened(): return File()\n")
    (folder / "__init__.py").write_text("from slowly.files import File\nclass Own(File): pass\n")
    load_later("slowly.files", ("File", "opened"))
    yield sys.modules["slowly.files"]
    sys.modules.pop("slowly.files", None)


def test_parts_wait_with_the_whole(library, parts):
    import slowly.files
    from slowly.files import File, opened

    assert slowly.files is parts
    assert not isinstance(3, File)
    assert "File" not in vars(parts)
    assert "Own" not in vars(library)
    assert isinstance(opened(), File)
    assert type(opened()) is parts.File
    assert issubclass(library.Own, parts.File)


def test_a_part_is_loaded_when_the_whole_is(library, parts):
    assert library.Own.__mro__[1] is parts.File
    assert sys.modules["slowly.files"] is parts


def test_other_names_of_a_part_load_it(library, parts):
    assert parts.__doc__ is None
    with pytest.raises(AttributeError, match="Other"):
        _ = parts.Other
    assert "opened" in vars(parts)
    assert "Own" in vars(library)


def test_parts_of_what_is_loaded_are_left_alone(library):
    assert library.double(1) == 2
    load_later("slowly.contents", ())
    assert sys.modules["slowly.contents"].Content is library.contents.Content


def test_what_is_loaded_or_not_installed_is_left_alone():
    load_later("json")
    load_later("fastjag_no_such_library")
    assert "fastjag_no_such_library" not in sys.modules
    assert sys.modules["json"].dumps([1]) == "[1]"


def test_awkward_as_uproot_uses_it():
    code = """
import sys
from fastjag.core.later import load_later
load_later("awkward")
import uproot, awkward, numpy
assert "awkward.contents" not in sys.modules
assert not isinstance(uproot, awkward.Array)
from awkward.operations import num
assert num(awkward.Array([[1, 2], []])).tolist() == [2, 0]
assert awkward.to_layout([1.5]).is_numpy and uproot.behaviors.TBranch.awkward is awkward
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numba_finds_what_vector_gives_it():
    """vector writes unions of awkward's classes where numba, or a library that uses it, loads it."""
    pytest.importorskip("numba")
    pytest.importorskip("vector")
    code = """
import warnings
from fastjag.core.later import load_later
load_later("awkward")
warnings.simplefilter("error")
from numba.core.entrypoints import init_all
init_all()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fsspec_as_uproot_uses_it(tmp_path):
    """Commands read and write without it; who needs it gets it."""
    (tmp_path / "a.txt").write_text("abc")
    code = """
import sys
from fastjag.__main__ import LATER
from fastjag.core.later import _Later, load_later
for library, names in LATER.items():
    load_later(library, names)
import uproot, uproot.sink.file, fsspec, asyncio, http.client, hashlib
assert all(type(sys.modules[name]) is _Later for name in LATER), LATER
assert fsspec.open(sys.argv[1]).open().read() == b"abc"
with uproot.recreate(sys.argv[2]) as file:
    file["x"] = "text"
assert str(uproot.open(sys.argv[2])["x"]) == "text"
assert isinstance(fsspec.filesystem("file"), fsspec.AbstractFileSystem)
assert fsspec.filesystem("simplecache", target_protocol="file").open(sys.argv[1]).read() == b"abc"
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
assert issubclass(AsyncFileSystemWrapper, fsspec.asyn.AsyncFileSystem)
async def three():
    return 3
assert asyncio.run(three()) == 3
assert hashlib.sha256(b"").hexdigest()[:4] == "e3b0" and http.HTTPStatus(404) == 404
"""
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.txt", tmp_path / "b.root"], check=True
    )
