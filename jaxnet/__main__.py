"""The entry point of the command line. It runs a command, and turns errors and signals into exit codes."""

import contextlib
import os
import signal
import sys
import warnings
import zipfile
from typing import Any

from jaxnet._version import __version__

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError, MemoryError, zipfile.BadZipFile)


class Ended(SystemExit):
    """The process got SIGTERM or SIGHUP, and has nothing to finish before it ends."""


def main() -> None:
    """Run the command that the arguments name.

    Compiled programs are saved in the user's cache, so that the next process does not compile them again. If the
    environment variable JAXNET_NO_COMPILATION_CACHE is set to anything, nothing is saved.

    The exit code is 0 if the command succeeded. It is 1 if the command failed; one line then says why. It is 2 if the
    arguments are wrong. It is 130, 143 or 129 if Ctrl-C, SIGTERM or SIGHUP ended the command early. If the command was
    training a network, this network is saved, and a line says where.
    """
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _end)
    try:
        _run()
        if sys.stdout is not None:  # it is None if it was closed before Python began
            sys.stdout.flush()
    except BrokenPipeError as error:
        _close()
        _fail("nobody reads the output any more", error, 1)
    except USER_ERRORS as error:
        _close()
        _fail(_one_line(error), error, 1)
    except KeyboardInterrupt as error:
        _fail("stopped", error, 130)
    except Ended as error:
        _fail("stopped", error, int(str(error.code)))
    except SystemExit:
        if not _flushed():
            _close()
        raise
    except RuntimeError as error:  # jax raises it, for example if memory is too small or a driver does not answer
        if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
            raise
        _fail(_one_line(error), error, 1)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:
        print(f"jaxnet {__version__}")
        return
    import tyro  # imported here, so that a signal during the import leads to the right exit code

    from jaxnet.cli import add_times, bang, doctor, film, predict, reproduce, speak_plainly, sweep, train

    speak_plainly()
    if sys.argv[1:2] == ["reproduce"] and {"-h", "--help"} & set(sys.argv):
        add_times()
    if not {"-h", "--help"} & set(sys.argv):
        import jax

        from jaxnet.core.devices import keep_compilations

        jax.config.update("jax_numpy_dtype_promotion", "standard")
        # Ignore a cache that cannot be read or written, because training works without the cache.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
        keep_compilations()
    tyro.extras.subcommand_cli_from_dict(
        {f.__name__: f for f in (train, sweep, bang, predict, film, reproduce, doctor)},
        prog="jaxnet",
        description="Gradient descent on jax, with views of every gradient.\n\n"
        "Train a network, look at every gradient, read your own digits.",
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _end(number: int, frame: Any) -> None:
    raise Ended(128 + number)


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"this takes more memory than there is; {' '.join(str(error).split())}".rstrip("; ")
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) < 2000 else f"{words[:2000]} ..."


def _fail(words: str, error: BaseException, code: int) -> None:
    """Print one line on standard error, if standard error is still open, and exit."""
    line = "; ".join((words, *getattr(error, "__notes__", ())))
    with contextlib.suppress(OSError, ValueError):
        print(f"jaxnet: {line}", file=sys.stderr, flush=True)
    sys.exit(code)


def _flushed() -> bool:
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        return sys.stdout is None
    return True


def _close() -> None:
    """Prevent an error at Python's exit if the output cannot be written."""
    if not _flushed():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
