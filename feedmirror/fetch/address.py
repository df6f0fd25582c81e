"""Which addresses a stranger's URL may lead to: those of the public internet, and no others.

Pure. It looks at the numeric address that is about to be connected to. A look at the URL would be worthless:
127.1, 0177.0.0.1, 2130706433 and any name that somebody points there all lead to loopback.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# Only this block of IPv6 is handed out to networks of the public internet (RFC 4291, 2.4 and the IANA registry).
# What lies outside holds loopback, link-local, unique-local (AWS's metadata fd00:ec2::254), site-local,
# multicast, IPv4-compatible addresses and the local NAT64 prefix.
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# RFC 6052: the network's own translator turns these into the IPv4 address in their last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")

# `ipaddress` of 3.11 calls all of these global.
_DENIED = tuple(
    ip_network(block)
    for block in (
        "168.63.129.16/32",  # Azure's host: metadata and keys of the machine
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "2001::/23",  # protocol assignments, with Teredo, which carries an IPv4 address (RFC 4380)
        "2002::/16",  # 6to4, which carries one as well (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)


def is_public(address: str) -> bool:
    """Whether this numeric address (with or without a zone) is one of the public internet."""
    ip = _unwrapped(ip_address(address))
    if isinstance(ip, IPv6Address) and ip not in _PUBLIC_IPV6:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in block for block in _DENIED)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that will be talked to in the end, where an IPv6 address stands for one."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip
