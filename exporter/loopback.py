"""Names and addresses of this host."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether ``host``, a name or an address, is this host itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
