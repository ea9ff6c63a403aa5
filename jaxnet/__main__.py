"""The command line's front door: which command, and what becomes of an error."""

import signal
import sys
import zipfile

import tyro

from jaxnet._version import __version__
from jaxnet.cli import add_times, bang, film, predict, reproduce, speak_plainly, sweep, train

USER_ERRORS = (ValueError, OSError, ModuleNotFoundError, FloatingPointError, zipfile.BadZipFile)


def main() -> None:
    """Run the command that the arguments name.

    What is compiled is kept in the user's cache, so that the next time it need not be compiled again; the environment
    variable JAXNET_NO_COMPILATION_CACHE, set to anything, switches that off.

    Exit codes: 0 done; 1 could not be done, with one line why; 2 the arguments make no sense; 130 and 143 ended early by
    Ctrl-C or SIGTERM, with what there was by then saved.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that temporary folders are removed
    speak_plainly()
    if sys.argv[1:] == ["--version"]:
        print(f"jaxnet {__version__}")
        return
    if not {"-h", "--help"} & set(sys.argv):
        from jaxnet.devices import keep_compilations

        keep_compilations()
    elif sys.argv[1:2] == ["reproduce"]:
        add_times()
    try:
        tyro.extras.subcommand_cli_from_dict(
            {f.__name__: f for f in (train, sweep, bang, predict, film, reproduce)},
            prog="jaxnet",
            description="Gradient descent you can see through: train a network, look at every gradient, read your own digits.",
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except BrokenPipeError:
        sys.exit(1)  # whoever read our output has gone
    except USER_ERRORS as error:
        print(f"jaxnet: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("jaxnet: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
