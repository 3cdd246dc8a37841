#!/usr/bin/env python3
"""@ATTACK: none: what builds and programs do to their own files, by every call that a broker makes for them, works as without
@EXPECT: all=SUCCESS none=SUCCESS
"""

import ctypes
import os
import shutil
import stat
import subprocess
import tempfile
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
HERE = os.getcwd()


def shell(script):
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr


def tools():
    shell("""
        mkdir -p one/two && echo 1 >one/two/file && ln -s two/file one/link && ln one/two/file one/hard
        chmod -R u+rwX,go-w one && chmod 700 one/two && chmod +x one/two/file
        touch -d '2001-02-03 04:05:06' one/two/file && touch -h -d '2001-02-03' one/link && touch one/two/file
        cp -a one copy && cp -p one/two/file kept && install -m 750 one/two/file installed
        test "$(stat -c %a installed)" = 750 && test "$(stat -c %Y copy/two/file)" = "$(stat -c %Y one/two/file)"
        tar -cf all.tar one && rm -rf one && tar -xf all.tar && test -x one/two/file && test -L one/link
        mv one/two one/three && mv -n kept one/three/file && mv one moved && rm -r moved copy all.tar installed kept
        sed -i s/1/2/ exam.sh.in && grep -q 2 exam.sh.in && rm exam.sh.in
    """)


def programs():
    shell("""
        printf 'int f(void) { return 0; }' >f.c && printf 'int f(void); int main(void) { return f(); }' >main.c
        cc -c f.c && ar rcs libf.a f.o && ranlib libf.a && cc -shared -fPIC -o libg.so f.c && cc -o main main.c libf.a && ./main
        strip main && ./main && rm -f f.c f.o libf.a libg.so main main.c
    """)


def calls():
    folder = tempfile.mkdtemp()
    top = os.open(folder, os.O_RDONLY)
    path = os.path.join(folder, "a")
    with open(path, "w") as file:
        os.fchmod(file.fileno(), 0o640)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        os.utime(file.fileno(), ns=(1, 2))
        assert os.stat(path).st_mtime_ns == 2
        os.unlink(path)
        os.fchmod(file.fileno(), 0o600)
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    os.close(os.open("b", os.O_CREAT | os.O_WRONLY, dir_fd=top))
    os.rename("b", "c", src_dir_fd=top, dst_dir_fd=top)
    os.chmod("c", 0o600, dir_fd=top)
    os.utime("c", dir_fd=top)
    os.chown(os.path.join(folder, "c"), os.getuid(), os.getgid())
    os.symlink("c", "d", dir_fd=top)
    os.utime("d", ns=(3, 4), dir_fd=top, follow_symlinks=False)
    assert os.lstat(os.path.join(folder, "d")).st_mtime_ns == 4
    os.unlink("d", dir_fd=top)
    assert LIBC.renameat2(top, b"c", top, b"e", 1) == 0
    os.mkdir("f", dir_fd=top)
    os.rename("f", "g", src_dir_fd=top, dst_dir_fd=top)
    assert LIBC.renameat2(top, b"e", top, b"g", 2) == 0
    os.rmdir(os.path.join(folder, "e/"))
    os.chdir(folder)
    os.rename("g", "./h")
    os.unlink("../" + os.path.basename(folder) + "/h")
    os.chdir(HERE)
    os.rmdir(folder)


def nameless():
    """Pipes, sockets, and what comes by a descriptor alone."""
    import socket

    for one in os.pipe():
        os.fchmod(one, 0o600)
        os.fchown(one, -1, -1)
        os.utime(one)
    unbound = socket.socket(socket.AF_UNIX)
    os.fchmod(unbound.fileno(), 0o600)
    shell("echo >by-descriptor && chmod 640 /dev/stdin <by-descriptor && test $(stat -c %a by-descriptor) = 640")
    os.unlink("by-descriptor")


def errors():
    """The same words as from the system."""
    long = "x" * 300
    open("plain", "w").close()
    os.makedirs("full/of")
    cases = [
        (FileNotFoundError, lambda: os.unlink("nothing")),
        (FileNotFoundError, lambda: os.unlink("")),
        (FileNotFoundError, lambda: os.rename("nothing", "something")),
        (NotADirectoryError, lambda: os.unlink("plain/x")),
        (NotADirectoryError, lambda: os.unlink("plain/")),
        (NotADirectoryError, lambda: os.rmdir("plain")),
        (IsADirectoryError, lambda: os.unlink("full")),
        (OSError, lambda: os.rmdir("full")),
        (OSError, lambda: os.unlink(long)),
        (OSError, lambda: os.unlink("x/" * 3000)),
        (OSError, lambda: os.fchmod(999, 0o600)),
        (OSError, lambda: os.unlink("x", dir_fd=999)),
    ]
    for expected, call in cases:
        try:
            call()
        except expected as error:
            assert type(error) is expected, error
        else:
            raise AssertionError(f"no {expected.__name__}")
    null, wild = ctypes.c_void_p(0), ctypes.c_void_p(1 << 20)
    for address in (null, wild):
        assert LIBC.unlink(address) == -1 and ctypes.get_errno() == 14
    os.unlink("plain")


def threads():
    """Many at once, and with signals that come meanwhile: each call is made once."""
    import signal

    signal.signal(signal.SIGALRM, lambda *_: None)
    # One that does not ask for this is told of the signal, by a call that came to nothing.
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    failed = []

    def work(name):
        try:
            for count in range(200):
                old, new = f"{name}-{count}", f"{name}-{count}-new"
                open(old, "w").close()
                os.rename(old, new)
                os.chmod(new, 0o600)
                os.unlink(new)
        except OSError as error:
            failed.append(error)

    running = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in running:
        thread.start()
    work("main")
    for thread in running:
        thread.join()
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert not failed, failed


def forks():
    """A copy of an interpreter, and what the suite may do beside its own files."""
    for _ in range(3):
        child = os.fork()
        if child == 0:
            open("forked", "w").close()
            os.unlink("forked")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    folder = os.path.join(HERE, "big")
    os.makedirs(folder)
    for number in range(300):
        open(os.path.join(folder, f"{number}\n"), "w").close()
    shutil.rmtree(folder)


shutil.copy("exam.sh", "exam.sh.in")
with open("exam.sh.in", "a") as script:
    script.write("# 1\n")
for part in (tools, programs, calls, nameless, errors, threads, forks):
    try:
        part()
        print("BLOCKED nothing of", part.__name__)
    except Exception as problem:
        print("LEAKED not as usual:", part.__name__, type(problem).__name__, problem)
