"""Find out within seconds whether a download can work. Without this check, tensorflow-datasets would try for minutes."""

import concurrent.futures
import socket
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit

TIMEOUT = 2.0
"""The time limit in seconds for a name look-up and a TCP connection together."""


class Offline(ConnectionError):
    """A data set cannot be downloaded, because its host cannot be reached."""


def require_reachable(name: str, urls: Iterable[str]) -> None:
    """Check that the hosts of a data set, or the proxy in front of them, accept a connection.

    Args:
        name: The data set's name, for the error message.
        urls: The addresses of the data set's files. If there are none, nothing is checked.

    Raises:
        Offline: If one of the hosts does not answer within `TIMEOUT` seconds.
    """
    hosts = {address(url) for url in urls} - {None}
    if not hosts:
        return
    pool = concurrent.futures.ThreadPoolExecutor(len(hosts))
    try:
        trials = {host: pool.submit(_connect, *host) for host in hosts if host is not None}
        done, _ = concurrent.futures.wait(trials.values(), timeout=TIMEOUT + 1)
        silent = [host for host, trial in trials.items() if trial not in done or not trial.result()]
    finally:
        pool.shutdown(wait=False)  # do not wait, because a name look-up has no timeout
    if silent:
        host, port = silent[0]
        raise Offline(
            f"{name!r} must be fetched first and {host}:{port} cannot be reached; go online, set a proxy, "
            "or download its files by hand and pass their folder: --files FOLDER on the command line, files= in Python"
        )


def address(url: str) -> tuple[str, int] | None:
    """The host and port to connect to for a URL. If the environment names a proxy, the result belongs to the proxy."""
    parts = urlsplit(url)
    if parts.hostname is None:
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}", scheme="http")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _connect(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=TIMEOUT).close()
    except OSError:
        return False
    return True
