"""Noticing within seconds that a download cannot work, since tensorflow-datasets would try for minutes."""

import concurrent.futures
import socket
import urllib.request
from collections.abc import Iterable
from urllib.parse import urlsplit

TIMEOUT = 2.0
"""Seconds for a name look-up and a TCP connection together."""


class Offline(ConnectionError):
    """No host of a data set can be reached."""


def require_reachable(name: str, urls: Iterable[str]) -> None:
    """Make sure that the hosts a data set comes from, or the proxy before them, take a connection.

    Args:
        name: What to call the data set in the error.
        urls: Where its files come from; without any nothing is checked.

    Raises:
        Offline: If one of the hosts did not answer within `TIMEOUT` seconds.
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
        pool.shutdown(wait=False)  # a name look-up has no timeout of its own
    if silent:
        host, port = silent[0]
        raise Offline(
            f"{name!r} must be fetched first and {host}:{port} cannot be reached; go online, set a proxy, "
            "or download its files by hand and pass their folder: --files FOLDER on the command line, files= in Python"
        )


def address(url: str) -> tuple[str, int] | None:
    """Host and port to connect to for an address: its proxy's where the environment sets one."""
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
