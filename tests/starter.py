"""Becomes a program of ours each time it is asked, with the libraries imported once; see
``tests.programs``. Nothing of cifarlab's own is imported before."""

import array
import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

import hydra  # noqa: F401
import lightning.pytorch  # noqa: F401
import matplotlib.figure  # noqa: F401
import pydantic  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import torchmetrics  # noqa: F401
import torchvision.transforms.v2  # noqa: F401


def serve(asked: socket.socket) -> dict | None:
    """Wait for what to become and return it in a new process; ``None`` where no one asks any more.

    Between this process and the new one stands another, which tells how the new one ended.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those in between are nobody's zombies
    descriptors = array.array("i")
    while True:
        message, extra, _, _ = asked.recvmsg(1 << 20, socket.CMSG_SPACE(4 * 3))
        if not message:
            return None
        descriptors = array.array("i", extra[0][2])
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked.close()
    out, err, told = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(told)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        return json.loads(message)
    os.close(out)
    os.close(err)
    os.write(told, f"{pid} ".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)} ".encode())
    os._exit(0)


def give_up_passes() -> None:
    """Keep to the permissions of files also as root, as do the programs that this one starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the structure, this process
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then those above 31
    passes = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    done = [libc.prctl(24, number, 0, 0, 0) for number in (1, 2)]  # PR_CAPBSET_DROP
    done.append(libc.capget(header, held))
    for index in range(3):
        held[index] &= ~passes
    done.append(libc.capset(header, held))
    if any(done):
        raise OSError(ctypes.get_errno(), "these passes cannot be given up")


def become(what: dict) -> None:
    """Run a script as ``__main__``, as ``python <script>`` does."""
    if what["bound"] and os.geteuid() == 0:
        give_up_passes()
    if what["session"]:
        os.setsid()
    # a shell's background job ignores it, and so do those that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(what["environment"])
    os.chdir(what["cwd"])
    script = what["arguments"][0]
    sys.argv[:] = what["arguments"]
    sys.path[0] = str(Path(script).parent)
    module = ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    exec(compile(Path(script).read_bytes(), script, "exec"), module.__dict__)


if __name__ == "__main__":
    asked = socket.socket(fileno=int(sys.argv[1]))
    asked.sendall(b"ready")
    what = serve(asked)
    if what is not None:
        become(what)
