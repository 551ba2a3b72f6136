"""An internet of network namespaces: public servers, and homes behind routers that do a chosen kind of NAT.

    198.51.100.10 ┐            ┌ router 203.0.113.1 ── 192.168.1.2 …
                  ├─ internet ─┤
    198.51.100.20 ┘            └ router 203.0.113.2 ── 192.168.1.2 …

Homes share their private addresses, as real ones do: what works here does not work by accident. Homes without NAT have
198.18.n.0/28.
"""

import enum

from netns import Node, link, wait_until

SERVER = "198.51.100.10"
OTHER_SERVER = "198.51.100.20"
_GATEWAY = "198.51.100.1"


class Nat(enum.Enum):
    """What a router does to UDP. (Mapping: which public port; filtering: who may send to it.)"""

    OPEN = "open"  # none: hosts have public addresses
    FULL_CONE = "full cone"  # one mapping for all; anyone may send to it
    ADDRESS_RESTRICTED = "address restricted"  # one mapping for all; addresses that were sent to may send
    PORT_RESTRICTED = "port restricted"  # one mapping for all; endpoints that were sent to may send
    SYMMETRIC = "symmetric"  # a random mapping for each destination, which alone may send to it
    SYMMETRIC_POOL = "symmetric, from a pool"  # likewise, from a thousand ports: many sockets find them
    COUNTING = "symmetric, counting"  # likewise, but ports in turn: near each other, so guessing finds them
    BLOCKED = "udp blocked"  # TCP only


_COUNTING_POOL = ", ".join(f"{i} : {40000 + i}" for i in range(48))

_SOURCE_NAT = {
    Nat.FULL_CONE: "update @mapped { udp sport : ip saddr } masquerade",
    Nat.ADDRESS_RESTRICTED: "update @mapped_for { udp sport . ip daddr : ip saddr } masquerade",
    Nat.PORT_RESTRICTED: "masquerade",
    Nat.SYMMETRIC: "masquerade fully-random",
    Nat.SYMMETRIC_POOL: "masquerade to :40000-40999 fully-random",
    Nat.COUNTING: f"masquerade to :numgen inc mod 48 map {{ {_COUNTING_POOL} }}",
    Nat.BLOCKED: "drop",
}
_DESTINATION_NAT = {
    Nat.FULL_CONE: "dnat to udp dport map @mapped",
    Nat.ADDRESS_RESTRICTED: "dnat to udp dport . ip saddr map @mapped_for",
}


# What a router that hairpins does with what its LAN sends to its own public address: both addresses are translated.
_HAIRPIN_IN = "iifname lan ip daddr {public} ip protocol udp dnat to udp dport map @mapped"
_HAIRPIN_OUT = "oifname lan ip saddr 192.168.1.0/28 ip protocol udp ct status dnat snat to {public}"


def _rules(nat: Nat, public: str, hairpin: bool) -> str:
    """A router's rule set. What comes from outside and is not expected is dropped without a trace: were it let in,
    connection tracking would keep its port from the hole punched from inside."""
    if nat is Nat.OPEN:
        return ""
    return f"""
table ip router {{
    map mapped {{ type inet_service : ipv4_addr; flags dynamic,timeout; timeout 2m; }}
    map mapped_for {{ type inet_service . ipv4_addr : ipv4_addr; flags dynamic,timeout; timeout 2m; }}
    chain arriving {{
        type nat hook prerouting priority dstnat;
        iifname wan ip protocol udp {_DESTINATION_NAT.get(nat, "accept")}
        {_HAIRPIN_IN.format(public=public) if hairpin else ""}
    }}
    chain leaving {{
        type nat hook postrouting priority srcnat;
        oifname wan ip protocol udp {_SOURCE_NAT[nat]}
        oifname wan masquerade
        {_HAIRPIN_OUT.format(public=public) if hairpin else ""}
    }}
    chain to_router {{
        type filter hook input priority filter;
        iifname wan drop
    }}
    chain through {{
        type filter hook forward priority filter;
        iifname wan ct state new ct status dnat accept
        iifname wan ct state new drop
    }}
}}
"""


class Home:
    """A LAN behind a router. `public` is its address outside (of the router, or of the host where there is no NAT).

    A home may be `behind` another one, as where the provider has a NAT of its own, or a second router stands behind the
    first. `hairpin` (of a full cone) lets hosts reach each other by their public endpoints.
    """

    def __init__(
        self, world: "World", number: int, nat: Nat, behind: "Home | None" = None, hairpin: bool = False
    ) -> None:
        self._world = world
        self._hosts = 0
        self._hairpin = hairpin
        self.nat = nat
        self.uplink = f"home{number}"
        self.router = world.node(f"router {number} ({nat.value})")
        if behind is None:
            self.public, self._gateway, self._above = f"203.0.113.{number}", _GATEWAY, world.internet
            self._lan = f"198.18.{number}.0" if nat is Nat.OPEN else "192.168.1.0"
            link(self.router, "wan", world.internet, self.uplink)
            world.internet.ip(f"route add {self.public}/32 dev {self.uplink}")
        else:
            self.public, self._gateway, self._above = behind.plug_in(self.router, "wan", self.uplink)
            self._lan = "10.9.9.0"
        self.router.ip(f"addr add {self.public}/32 dev wan")
        self.router.ip(f"route add default via {self._gateway} dev wan onlink")
        self.router.ip("link add lan type bridge")
        self.router.ip(f"addr add {self._lan_address(1)}/28 brd + dev lan")
        self.router.ip("link set lan up")
        self.router.sysctl("ipv4/ip_forward", 1)
        if nat is Nat.OPEN:
            self._above.ip(f"route add {self._lan}/28 via {self.public} dev {self.uplink} onlink")
        self.set_nat(nat)

    def plug_in(self, node: Node, near_name: str, far_name: str) -> tuple[str, str, Node]:
        """A cable from `node` into this LAN: (address for it, its gateway, the router)."""
        self._hosts += 1
        link(node, near_name, self.router, far_name)
        self.router.ip(f"link set {far_name} master lan")
        return self.address_of(self._hosts), self._lan_address(1), self.router

    def _lan_address(self, host: int) -> str:
        network, _, last = self._lan.rpartition(".")
        return f"{network}.{int(last) + host}"

    def host(self) -> Node:
        """A new computer in the LAN, the first with the same address in every home (see `address_of`)."""
        number = self._hosts + 1
        node = self._world.node(f"host {number} behind {self.router.name}")
        address, gateway, _ = self.plug_in(node, "lan0", f"port{number}")
        node.ip(f"addr add {address}/28 brd + dev lan0")
        node.ip(f"route add default via {gateway}")
        return node

    def address_of(self, host: int) -> str:
        """Private address of the host made as number `host` (from 1)."""
        return self._lan_address(1 + host)

    def set_nat(self, nat: Nat) -> None:
        """Changes what the router does, and forgets every mapping."""
        self.nat = nat
        self.router.nft("flush ruleset")
        self.router.nft(_rules(nat, self.public, self._hairpin))
        self.forget_mappings()

    def forget_mappings(self) -> None:
        """As a router that was switched off and on: masqueraded connections end when their interface goes down."""
        self.router.ip("link set wan down")
        self.router.ip("link set wan up")
        self.router.ip(f"route replace default via {self._gateway} dev wan onlink")
        wait_until(self._uplink_is_up, f"{self.uplink} is up again")

    def _uplink_is_up(self) -> bool:
        ends = ((self.router, "wan"), (self._above, self.uplink))
        return all(" state UP " in end.ip(f"-o link show {name}") for end, name in ends)


class World:
    """All of it. A context manager: on leaving, processes end and namespaces are gone."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._homes = 0
        self.internet = self.node("internet")
        self.internet.ip(f"addr add {_GATEWAY}/32 dev lo")
        self.internet.sysctl("ipv4/ip_forward", 1)
        self.internet.nft("add table ip cut")
        self.internet.nft("add chain ip cut through { type filter hook forward priority filter; }")
        self.server = self.computer("server", SERVER)
        self.other_server = self.computer("other", OTHER_SERVER)

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *exc: object) -> None:
        for node in reversed(self._nodes):
            node.close()
        self._nodes.clear()

    def node(self, name: str) -> Node:
        """A computer with no network but its own loopback."""
        made = Node(name)
        self._nodes.append(made)
        return made

    def computer(self, name: str, address: str) -> Node:
        """A new computer with a public address; `name` is that of the cable to it, too."""
        made = self.node(name)
        link(made, "wan", self.internet, name)
        made.ip(f"addr add {address}/32 dev wan")
        made.ip(f"route add default via {_GATEWAY} dev wan onlink")
        self.internet.ip(f"route add {address}/32 dev {name}")
        return made

    def home(self, nat: Nat, behind: Home | None = None, hairpin: bool = False) -> Home:
        """A new LAN with its router on the internet, or in the LAN of the home it is `behind`."""
        self._homes += 1
        return Home(self, self._homes, nat, behind, hairpin)

    def attacker(self, network: str) -> Node:
        """A computer that sends from any address of `network` (such as 192.0.2.0/24) and gets what is sent there."""
        node = self.computer("attacker", network.replace(".0/", ".1/").partition("/")[0])
        self.internet.ip(f"route add {network} dev attacker")
        node.ip(f"route add local {network} dev lo")
        return node

    def cut(self, *rules: str) -> None:
        """From now on the internet does not forward what matches, such as "ip protocol udp"; `cut()` mends it."""
        self.internet.nft("flush chain ip cut through")
        for rule in rules:
            self.internet.nft(f"add rule ip cut through {rule} drop")

    def lose(self, percent: int) -> None:
        """From now on the internet loses so many of 100 forwarded UDP datagrams, at random."""
        self.cut(f"ip protocol udp numgen random mod 100 < {percent}")
