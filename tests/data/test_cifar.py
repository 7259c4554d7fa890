"""The authors' files, in small: good, damaged, missing, downloaded."""

import functools
import hashlib
import http.server
import io
import logging
import os
import pickle
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision

from cifarlab.base.errors import UserError
from cifarlab.data.cache import Images, cached
from cifarlab.data.cifar import CIFAR10, CIFAR100, Version

EACH = 20  # images of a batch file


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def contents(version: Version, source: type[CIFAR10]) -> dict[str, bytes]:
    """Batch files of random images, the same ones in both versions."""
    found = {}
    for number, name in enumerate(version.names):
        random = np.random.RandomState(number)
        rows = random.randint(0, 256, (EACH, 3072), dtype=np.uint8)
        labels = random.randint(0, len(source.classes), EACH).astype(np.uint8)
        if version.folder.endswith(("-bin", "-binary")):
            coarse = [] if source is CIFAR10 else [np.full(EACH, 99, np.uint8)]
            found[name] = np.column_stack([*coarse, labels, rows]).tobytes()
        else:
            key = "labels" if source is CIFAR10 else "fine_labels"
            found[name] = pickle.dumps({"data": rows, key: labels.tolist()})
    return found


def packed(version: Version, files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{version.folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Small:
    """A source whose published sums are those of a few random images."""

    def __init__(self, base: type[CIFAR10], root: Path) -> None:
        self.root, self.files, self.archives, versions = root, {}, {}, []
        for version in base.versions:
            files = contents(version, base)
            archive = packed(version, files)
            self.files[version.folder], self.archives[version.archive] = files, archive
            sums = [{n: md5(files[n]) for n in part} for part in (version.train, version.test)]
            versions.append(replace(version, archive_md5=md5(archive), train=sums[0], test=sums[1]))
        self.source = type(base.__name__, (base,), {"versions": tuple(versions)})

    def unpack(self, folder: str) -> Path:
        (self.root / folder).mkdir(parents=True)
        for name, data in self.files[folder].items():
            (self.root / folder / name).write_bytes(data)
        return self.root / folder

    def pack(self, archive: str) -> Path:
        (self.root / archive).write_bytes(self.archives[archive])
        return self.root / archive

    def read(self, **options: object) -> Images:
        return self.source(str(self.root), **{"download": False} | options).read()


@pytest.fixture(params=[CIFAR10, CIFAR100], ids=lambda source: source.__name__)
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Small:
    return Small(request.param, tmp_path)


@pytest.fixture
def ten(tmp_path: Path) -> Small:
    return Small(CIFAR10, tmp_path)


def expected(small: Small) -> Images:
    version = small.source.versions[0]
    parts = []
    for names in (version.train, version.test):
        images, labels = [], []
        for number, _ in enumerate(version.names):
            if version.names[number] in names:
                random = np.random.RandomState(number)
                rows = random.randint(0, 256, (EACH, 3072), dtype=np.uint8)
                images.append(rows.reshape(EACH, 3, 32, 32).transpose(0, 2, 3, 1))
                labels.append(random.randint(0, len(small.source.classes), EACH))
        parts += [np.concatenate(images), np.concatenate(labels)]
    return Images(*parts, small.source.classes)


def assert_same(found: Images, images: Images) -> None:
    assert found.classes == images.classes
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        one, other = getattr(found, name), getattr(images, name)
        assert one.dtype == (np.uint8 if name.endswith("images") else np.int64)
        assert np.array_equal(one, other), name


def test_every_form_gives_the_same_images(small: Small) -> None:
    wanted = expected(small)
    assert len(wanted.train_labels) == EACH * len(small.source.versions[0].train)
    keys = set()
    for version in small.source.versions:
        folder = small.unpack(version.folder)
        assert_same(small.read(), wanted)
        folder.rename(small.root / "away")
        archive = small.pack(version.archive)
        assert_same(small.read(), wanted)
        keys.add(small.source(str(small.root)).key())
        archive.unlink()
        (small.root / "away").rename(small.root / f"away-{version.folder}")
    assert len(keys) == 1, "one cache for all"


def test_the_published_sums_of_the_python_version_are_torchvisions() -> None:
    for source in (CIFAR10, CIFAR100):
        theirs, ours = getattr(torchvision.datasets, source.__name__), source.versions[1]
        assert [*ours.train.items()] == [tuple(pair) for pair in theirs.train_list]
        assert [*ours.test.items()] == [tuple(pair) for pair in theirs.test_list]
        assert (ours.folder, ours.archive) == (theirs.base_folder, theirs.filename)
        assert ours.archive_md5 == theirs.tgz_md5
        assert source("data").key() == f"{source.__name__.lower()}-{theirs.tgz_md5}"
    assert len(set(CIFAR100.classes)) == 100 and list(CIFAR100.classes) == sorted(CIFAR100.classes)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("harm", ["cut", "bit", "gone", "folder"])
def test_a_damaged_batch_is_named(ten: Small, version: int, harm: str) -> None:
    name = ten.source.versions[version].names[2]
    path = ten.unpack(ten.source.versions[version].folder) / name
    data = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(data[:-1])
    elif harm == "bit":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif harm == "folder":
        path.mkdir()
    told = {"gone": "missing", "folder": "cannot be read"}.get(harm, r"damaged \(md5 .*\)")
    with pytest.raises(UserError, match=rf"^{path}: {told}[^\n]*$"):
        ten.read(download=True)  # a damaged one is not covered up by a download


def test_no_pickle_is_opened_whose_md5_is_not_published(
    ten: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(ten.root / "evil"),)

    version = ten.source.versions[1]
    folder = ten.unpack(version.folder)
    for name in version.names:
        (folder / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="data_batch_1: damaged"):
        ten.read()
    evil = packed(version, dict.fromkeys(version.names, pickle.dumps(Evil())))
    (ten.root / version.archive).write_bytes(evil)
    with pytest.raises(UserError, match=r"data_batch_1: damaged.*python\.tar\.gz: damaged"):
        ten.read()
    assert not (ten.root / "evil").exists()


def test_of_two_versions_the_whole_one_is_read(
    ten: Small, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ten.unpack("cifar-10-batches-bin") / "test_batch.bin"
    bad.write_bytes(bad.read_bytes()[:-1])
    good = ten.unpack("cifar-10-batches-py")
    with caplog.at_level(logging.WARNING, "cifarlab"):
        assert_same(ten.read(), expected(ten))
    (line,) = caplog.messages
    assert line.startswith(f"{bad}: damaged") and line.endswith(f"; read {good} instead")
    (good / "test_batch").unlink()
    with pytest.raises(UserError, match=r"test_batch\.bin: damaged .*; .*/test_batch: missing$"):
        ten.read()


def test_an_archive_cut_short(ten: Small) -> None:
    archive = ten.pack("cifar-10-binary.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"cifar-10-binary\.tar\.gz: damaged"):
        ten.read()


def test_without_files_or_network(small: Small) -> None:
    """Port 9 discards; nobody listens there."""
    binary, python = small.source.versions
    forms = [rf"{v.folder}/ or {v.archive} \(md5 {v.archive_md5}\)" for v in (binary, python)]
    put, start = (
        f"put {forms[0]}, or {forms[1]} there",
        f"{small.source.name} is not in {small.root}",
    )
    with pytest.raises(UserError, match=f"^{start}: {put}"):
        small.read()
    offline = r"and http://127.0.0.1:9/x could not be downloaded \(.*Connection refused.*\)"
    with pytest.raises(UserError, match=f"^{start}, {offline}: {put}"):
        small.read(download=True, url="http://127.0.0.1:9/x")
    assert list(small.root.iterdir()) == []
    away = small.root / "away"
    with pytest.raises(UserError, match="could not be downloaded"):
        small.source(str(away), url="http://127.0.0.1:9/x").read()
    assert not away.exists(), "a folder made for nothing"


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and folder of a server on this machine."""
    folder = tmp_path_factory.mktemp("mirror")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


@pytest.mark.parametrize("version", [0, 1])
def test_a_mirror(small: Small, mirror: tuple[str, Path], version: int) -> None:
    """Whatever the file is called there, its md5 tells which version it is."""
    address, folder = mirror
    archive = small.source.versions[version].archive
    (folder / "some.bin").write_bytes(small.archives[archive])
    assert_same(small.read(download=True, url=f"{address}/some.bin"), expected(small))
    assert [path.name for path in small.root.iterdir()] == [archive]
    assert_same(small.read(), expected(small))


def test_a_mirror_of_something_else(ten: Small, mirror: tuple[str, Path]) -> None:
    address, folder = mirror
    (folder / "x.tar.gz").write_bytes(b"not CIFAR")
    with pytest.raises(UserError, match=rf"{address}/x.tar.gz: not an archive of CIFAR-10: md5"):
        ten.read(download=True, url=f"{address}/x.tar.gz")
    with pytest.raises(UserError, match=r"could not be downloaded \(HTTP Error 404"):
        ten.read(download=True, url=f"{address}/nothing")
    with pytest.raises(UserError, match=r"data\.url=no-url: must begin with one of https"):
        ten.read(download=True, url="no-url")
    assert list(ten.root.iterdir()) == [], "nothing half written"


OK = b"HTTP/1.1 200 OK\r\n"
NO_ANSWER = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
    "a length that is none": OK + b"Content-Length: many\r\n\r\n",
    "a part cut": OK + b"Transfer-Encoding: chunked\r\n\r\n1000\r\nx",
    "a part of no length": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "to no address": b"HTTP/1.1 302 Found\r\nLocation: http://[::1/x\r\n\r\n",
    "too many headers": OK + b"X: x\r\n" * 200 + b"\r\n",
    "a file cut": OK + b"Content-Length: 10\r\n\r\nx",
    "it stops": None,
}


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER)
def test_a_mirror_that_does_not_answer(
    ten: Small, answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In HTTP, to its end or at all."""
    monkeypatch.setattr("cifarlab.base.download.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(OK if answer is None else answer)
                if answer is None:
                    connection.recv(1)  # until the other side has had enough

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        with pytest.raises(UserError, match=rf"and {url} could not be downloaded \(.*\): put "):
            ten.source(str(ten.root / "new" / "data"), url=url).read()
    assert list(ten.root.iterdir()) == []


@pytest.mark.parametrize("url", ["127.0.0.1:port/x", "127.0.0.1:9/a b", "127.0.0.1:9/å", "å" * 99])
def test_an_address_that_is_none(ten: Small, url: str) -> None:
    with pytest.raises(UserError, match=rf"and http://{url} could not be downloaded \(.*\): put "):
        ten.read(download=True, url=f"http://{url}")
    with pytest.raises(UserError, match=r"^data\.url=http://\[::1/x: not an address \("):
        ten.read(download=True, url="http://[::1/x")


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("another md5")])
def test_a_download_that_ends_leaves_no_folders(
    ten: Small, error: type[BaseException] | BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("cifarlab.data.published.download", broken)
    (ten.root / "there").mkdir()
    with pytest.raises((KeyboardInterrupt, UserError)):
        ten.source(str(ten.root / "there" / "new" / "data")).read()
    assert list(ten.root.rglob("*")) == [ten.root / "there"]


@pytest.mark.parametrize("form", ["cifar-10-batches-bin", "cifar-10-python.tar.gz"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_named(ten: Small, form: str, target: str) -> None:
    """It is not covered up by a download: what it led to may be on a disk that is not there."""
    link = ten.root / form
    link.symlink_to(link if target == "itself" else ten.root / "nowhere")
    told = "missing" if target == "nowhere" else r"cannot be read \(Too many levels"
    with pytest.raises(UserError, match=rf"^{link}/data_batch_1[.bin]*: {told}"):
        ten.read(download=True, url=(ten.root / "x").as_uri())


def test_a_root_that_is_a_file(ten: Small) -> None:
    archive = ten.pack("cifar-10-binary.tar.gz")
    with pytest.raises(UserError, match=rf"^data\.root={archive}: must be a folder"):
        ten.source(str(archive)).read()


@pytest.mark.parametrize("place", ["/proc/nowhere", "file/below"])
def test_a_cache_that_cannot_be_written(ten: Small, place: str) -> None:
    """Root may write wherever there are folders; not so in /proc, and not below a file."""
    ten.unpack("cifar-10-batches-bin")
    (ten.root / "file").write_text("in the way")
    folder = ten.root / place
    source = ten.source(str(ten.root))
    with pytest.raises(UserError, match=rf"^data\.cache_dir={folder}: cannot be written \("):
        cached(folder, source.key(), source.read)


def test_a_disk_that_is_full(ten: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    ten.unpack("cifar-10-batches-bin")
    source = ten.source(str(ten.root))
    monkeypatch.setattr("cifarlab.data.cache.np.savez", full)
    with pytest.raises(UserError, match="No space left on device"):
        cached(ten.root / "cache", source.key(), source.read)
    assert [path.suffix for path in (ten.root / "cache").iterdir()] in ([], [".lock"])


@pytest.mark.parametrize("evil_in", [0, 1])
def test_no_pickle_is_opened_that_a_mirror_sends(
    small: Small, mirror: tuple[str, Path], evil_in: int
) -> None:
    """Neither an archive of the right name with other files in it, nor a pickle in its place."""

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(small.root / "evil"),)

    address, folder = mirror
    version = small.source.versions[1]
    evil = pickle.dumps(Evil())
    archive = packed(version, dict.fromkeys(version.names, evil))
    (folder / version.archive).write_bytes([archive, evil][evil_in])
    for url in (f"{address}/{version.archive}", (folder / version.archive).as_uri()):
        with pytest.raises(UserError, match=rf"^{url}: not an archive of .*: md5 [^\n]*$"):
            small.read(download=True, url=url)
        assert list(small.root.iterdir()) == []


def test_a_pickle_is_checked_also_within_an_archive(small: Small) -> None:
    """Whose md5 fits: between its check and its reading, another may have taken its place."""

    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(small.root / "evil"),)

    version = small.source.versions[1]
    data = packed(version, dict.fromkeys(version.names, pickle.dumps(Evil())))
    (small.root / version.archive).write_bytes(data)
    changed = replace(version, archive_md5=md5(data))
    with pytest.raises(UserError, match=rf"{version.archive}/{version.folder}/.*: damaged \(md5 "):
        changed.read(small.root / version.archive, small.source.classes)
    assert not (small.root / "evil").exists()


def test_the_cache_holds_no_pickle(ten: Small) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(ten.root / "evil"),)

    source = ten.source(str(ten.root))
    cache = ten.root / "cache"
    cache.mkdir()
    for number, data in enumerate(({"train_images": np.array([Evil()], object)}, Evil())):
        path = cache / f"{source.key()}.npz"
        with path.open("wb") as file:
            np.savez(file, **data) if number == 0 else pickle.dump(data, file)
        with pytest.raises(
            UserError, match=r"the cached images are damaged [^\n]*delete this file"
        ):
            cached(cache, source.key(), source.read)
    assert not (ten.root / "evil").exists()
